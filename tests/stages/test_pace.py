"""Where a tenth of the answers ask us to slow down, the rate at a provider is halved; then it climbs back."""

from __future__ import annotations

import random
from itertools import pairwise

import pytest

from processor.stages.dispatch.pace import CUT_EVERY_S, FLOOR_PER_S, OBJECTIONS, Pace


def begun(pace: Pace, now_s: float, *, want: int = 10_000) -> int:
    """Begin as many of *want* calls as the pace lets."""
    room = pace.room(now_s)
    count = want if room is None else min(want, room)
    pace.spent(count)
    return count


def objected(pace: Pace, now_s: float) -> None:
    """Answer as many calls as it takes with a request to slow down."""
    for _ in range(OBJECTIONS):
        pace.ended(now_s, throttled=True)


@pytest.fixture
def throttled() -> Pace:
    """A pace that was cut at second 1, while 100 calls a second ended."""
    pace = Pace()
    for call in range(91):
        pace.ended(call / 100, throttled=False)
    for call in range(91, 101):
        pace.ended(call / 100, throttled=True)
    return pace


def test_there_is_no_limit_until_a_provider_objects() -> None:
    assert Pace().room(5.0) is None


def test_objections_that_are_a_tenth_of_the_answers_halve_the_rate_that_was(throttled: Pace) -> None:
    assert throttled.limit_per_s == pytest.approx(50, rel=0.05)
    assert sum(begun(throttled, 1 + step / 100) for step in range(1, 101)) == pytest.approx(50, rel=0.1)


def test_fewer_are_about_single_messages() -> None:
    pace = Pace()
    for call in range(3_000):
        pace.ended(call / 100, throttled=call % 12 == 0)

    assert pace.room(30.0) is None


def test_objections_from_before_a_quiet_time_count_no_more() -> None:
    pace = Pace()
    for call in range(OBJECTIONS - 1):
        pace.ended(call / 100, throttled=True)
    pace.ended(60.0, throttled=True)

    assert pace.room(60.0) is None


def test_a_provider_that_objects_to_the_very_first_calls_is_not_brought_to_a_standstill() -> None:
    pace = Pace()
    for call in range(20):
        pace.ended(100.0 + call / 100, throttled=False)
    objected(pace, 100.2)

    assert pace.limit_per_s == pytest.approx((20 + OBJECTIONS) / 0.2 / 2, rel=0.05)


def test_a_quiet_time_before_is_no_part_of_the_rate_that_a_provider_objects_to() -> None:
    pace = Pace()
    for call in range(20):
        pace.ended(call / 100, throttled=False)
    for call in range(20):
        pace.ended(60.0 + call / 100, throttled=False)
    objected(pace, 60.2)

    assert pace.limit_per_s == pytest.approx((20 + OBJECTIONS) / 0.2 / 2, rel=0.05)


def test_objections_to_what_was_under_way_are_no_second_one(throttled: Pace) -> None:
    for step in range(19):
        objected(throttled, 1.0 + step / 20)

    assert throttled.limit_per_s == pytest.approx(50, rel=0.05)


def test_objections_that_go_on_cut_on_down_to_a_call_a_second(throttled: Pace) -> None:
    now_s = 1.0
    for _ in range(30):
        now_s += CUT_EVERY_S
        objected(throttled, now_s)

    assert throttled.limit_per_s is not None
    assert FLOOR_PER_S <= throttled.limit_per_s <= 1.1


def test_the_rate_climbs_back_and_the_limit_is_forgotten(throttled: Pace) -> None:
    rates = [sum(begun(throttled, second + step / 100) for step in range(100)) for second in range(1, 40)]

    assert rates[10] == pytest.approx(100, rel=0.1)
    assert all(later > earlier - 10 for earlier, later in pairwise(rates))
    assert throttled.room(60.0) is None


def test_a_pause_gathers_no_more_than_a_tenth_of_a_second(throttled: Pace) -> None:
    assert begun(throttled, 11.0) <= 11


@pytest.mark.parametrize("allowed_per_s", [20, 100, 400])
def test_a_provider_that_takes_so_many_a_second_gets_most_of_them_and_refuses_few(allowed_per_s: int) -> None:
    pace, taken, refused, left = Pace(), 0, 0, 0.0
    for step in range(60_000):  # ten minutes of centiseconds, 1,000 calls a second wanted
        now_s = step / 100
        left = min(allowed_per_s / 10, left + allowed_per_s / 100)
        for _ in range(begun(pace, now_s, want=10)):
            pace.ended(now_s, throttled=left < 1)
            taken, refused, left = (taken + 1, refused, left - 1) if left >= 1 else (taken, refused + 1, left)

    assert taken >= 0.7 * allowed_per_s * 600
    assert refused <= 0.1 * taken


def test_a_provider_that_refuses_some_recipients_is_called_as_fast_as_before() -> None:
    pace, draw, calls = Pace(), random.Random(7), 0
    for step in range(60_000):  # 8 calls a second wanted, one in 25 refused
        now_s = step / 100
        for _ in range(begun(pace, now_s, want=1 if step % 12 == 0 else 0)):
            pace.ended(now_s, throttled=draw.random() < 0.04)
            calls += 1

    assert calls >= 0.97 * 60_000 / 12
