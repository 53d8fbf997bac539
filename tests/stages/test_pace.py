"""Throttling answers halve the rate at a provider; then it climbs back."""

from __future__ import annotations

from itertools import pairwise

import pytest

from processor.stages.dispatch.pace import CUT_EVERY_S, FLOOR_PER_S, Pace


def begun(pace: Pace, now_s: float, *, want: int = 10_000) -> int:
    """Begin as many of *want* calls as the pace lets."""
    room = pace.room(now_s)
    count = want if room is None else min(want, room)
    pace.spent(count)
    return count


@pytest.fixture
def throttled() -> Pace:
    """A pace that was cut at second 1, while 100 calls a second ended."""
    pace = Pace()
    for call in range(101):
        pace.ended(call / 100)
    pace.throttled(1.0)
    return pace


def test_there_is_no_limit_until_a_provider_objects() -> None:
    assert Pace().room(5.0) is None


def test_the_first_objection_halves_the_rate_that_was(throttled: Pace) -> None:
    assert throttled.limit_per_s == pytest.approx(50, rel=0.05)
    assert sum(begun(throttled, 1 + step / 100) for step in range(1, 101)) == pytest.approx(50, rel=0.1)


def test_a_provider_that_objects_to_the_very_first_calls_is_not_brought_to_a_standstill() -> None:
    pace = Pace()
    for call in range(20):
        pace.ended(100.0 + call / 100)
    pace.throttled(100.2)

    assert pace.limit_per_s == pytest.approx(50, rel=0.1)


def test_a_quiet_time_before_is_no_part_of_the_rate_that_a_provider_objects_to() -> None:
    pace = Pace()
    for call in range(20):
        pace.ended(call / 100)
    for call in range(20):
        pace.ended(60.0 + call / 100)
    pace.throttled(60.2)

    assert pace.limit_per_s == pytest.approx(50, rel=0.1)


def test_objections_to_what_was_under_way_are_one(throttled: Pace) -> None:
    for step in range(10):
        throttled.throttled(1.0 + step / 20)

    assert throttled.limit_per_s == pytest.approx(50, rel=0.05)


def test_objections_that_go_on_cut_on_down_to_a_call_a_second(throttled: Pace) -> None:
    now_s = 1.0
    for _ in range(30):
        now_s += CUT_EVERY_S
        throttled.throttled(now_s)

    assert throttled.limit_per_s is not None
    assert FLOOR_PER_S <= throttled.limit_per_s <= 12  # halved each second, climbing 5 in between


def test_the_rate_climbs_back_and_the_limit_is_forgotten(throttled: Pace) -> None:
    rates = [sum(begun(throttled, second + step / 100) for step in range(100)) for second in range(1, 40)]

    assert rates[10] == pytest.approx(100, rel=0.1)
    assert all(later > earlier - 10 for earlier, later in pairwise(rates))
    assert throttled.room(60.0) is None


def test_a_pause_gathers_no_more_than_a_tenth_of_a_second(throttled: Pace) -> None:
    assert begun(throttled, 11.0) <= 11
