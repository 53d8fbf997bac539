"""Every zone that changes its clocks in 2026, every hour around it, in the hours that are hardest to get right."""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING

import pytest

from processor.core.judge import judge
from processor.core.plan import DAY_MS
from processor.core.verdict import Dispatch, End, Verdict, Wait
from processor.core.windows import next_inside
from processor.core.words import Reason, Status
from tests.core.oracle import HOUR_MS, MINUTE_MS, ZONES, Daily, changes_of_2026, ms, wall_ms
from tests.core.worlds import facts, head, plan, zones

if TYPE_CHECKING:
    from collections.abc import Sequence

AROUND_H = 30
SPAN_MINUTES = (2 * AROUND_H + 50) * 60  # what lies in a gap opens two days later at the latest
HOURS = range(0, 2 * AROUND_H * 60, 60)

Walls = tuple[int, ...]
Hours = tuple[int, int]


def walls_of(zone: str, from_ms: int, minutes: range) -> Walls:
    """Return what the clocks show at each of *minutes* since an instant, by another library than the product's."""
    return tuple(wall_ms(zone, from_ms + minute * MINUTE_MS) for minute in minutes)


@cache
def quarters(zone: str, from_ms: int) -> Walls:
    """Return what the clocks show each quarter of an hour; zones that show the same have the same answers."""
    return walls_of(zone, from_ms, range(0, SPAN_MINUTES, 15))


@cache
def examples() -> dict[tuple[int, Walls], str]:
    """Return one of all the zones that show the same around a change of theirs."""
    return {(from_ms, quarters(zone, from_ms)): zone for zone, from_ms in changes()}


def changes() -> list[tuple[str, int]]:
    return [(zone, change_ms - AROUND_H * HOUR_MS) for zone, change_ms in changes_of_2026()]


@cache
def walls(from_ms: int, shown: Walls) -> Walls:
    """Return what the clocks show each minute."""
    return walls_of(examples()[from_ms, shown], from_ms, range(SPAN_MINUTES))


@cache
def hardest(from_ms: int, shown: Walls) -> Sequence[Hours]:
    """Return intervals in what is left out or happens twice, at its ends, over midnight, and all day."""
    each = walls(from_ms, shown)
    change = next(at for at in range(1, SPAN_MINUTES) if (each[at] - each[at - 1]) % DAY_MS != MINUTE_MS)
    low, high = sorted(((each[change - 1] + MINUTE_MS) % DAY_MS, each[change]))
    middle = (low + (high - low) // 2) // MINUTE_MS * MINUTE_MS
    return [
        (low, (low + 30 * MINUTE_MS) % DAY_MS),  # from the beginning of the gap or of the overlap
        (middle, (middle + MINUTE_MS) % DAY_MS),  # one minute in it
        (middle, (high + HOUR_MS) % DAY_MS),  # out of it
        ((high - MINUTE_MS) % DAY_MS, high),  # its last minute
        (high, (high + MINUTE_MS) % DAY_MS),  # the first minute after it
        (22 * HOUR_MS, 6 * HOUR_MS),  # over midnight
        ((middle - 12 * HOUR_MS) % DAY_MS, middle),  # half a day that ends in it
        (0, DAY_MS),
    ]


def inside(shown: Walls, hours: Hours) -> list[bool]:
    """Return, for each minute, whether the clocks on the walls show a time of the interval."""
    start_ms, end_ms = hours
    if start_ms < end_ms:
        return [start_ms <= of_day_ms < end_ms for of_day_ms in shown]
    return [of_day_ms >= start_ms or of_day_ms < end_ms for of_day_ms in shown]


@cache
def allowed(from_ms: int, shown: Walls, hours: Hours) -> list[bool]:
    return inside(walls(from_ms, shown), hours)


def test_every_hour_around_every_change_of_2026_opens_when_the_clocks_on_the_walls_say() -> None:
    asked = 0
    for zone, from_ms in changes():
        shown = quarters(zone, from_ms)
        for hours in hardest(from_ms, shown):
            product, expected = Daily(*hours, zone).product(), allowed(from_ms, shown, hours)
            for minute in HOURS:
                opens = expected.index(True, minute)
                found_ms = next_inside(product, from_ms + minute * MINUTE_MS)
                assert found_ms == from_ms + opens * MINUTE_MS, (zone, hours, from_ms + minute * MINUTE_MS)
                asked += 1

    assert len(changes()) > 200
    assert asked == len(changes()) * 8 * len(HOURS)


def first(expected: Sequence[bool], from_minute: int, to_minute: int) -> int | None:
    return next((minute for minute in range(from_minute, to_minute) if expected[minute]), None)


def told(verdict: Verdict) -> int | str:
    """Return the instant until which a message waits, or what else is to be done with it."""
    match verdict:
        case Wait(until_ms=until_ms):
            return until_ms
        case Dispatch():
            return "now"
        case End(status=Status.EXPIRED, reason=reason):
            return reason
        case _:
            raise AssertionError(verdict)


@pytest.mark.parametrize("providers", [(8 * HOUR_MS, 9 * HOUR_MS), (23 * HOUR_MS, 2 * HOUR_MS), (12 * HOUR_MS, 0)])
def test_around_a_change_start_end_and_both_windows_leave_what_each_of_them_allows(providers: Hours) -> None:
    """The provider's hours are UTC. Often they never meet the message's, or not before its end."""
    for (from_ms, shown), zone in examples().items():
        utc = inside(walls_of("UTC", from_ms, range(SPAN_MINUTES)), providers)
        world = plan(first=Daily(*providers))
        for hours in hardest(from_ms, shown):
            both = [one and other for one, other in zip(allowed(from_ms, shown, hours), utc, strict=True)]
            for start, now, end in ((0, 0, 40), (20, 0, 36), (0, 26, 33), (33, 20, 90)):
                of = head(
                    start_at_ms=from_ms + start * HOUR_MS,
                    end_at_ms=from_ms + end * HOUR_MS,
                    interval_min_ms=hours[0],
                    interval_max_ms=hours[1],
                    time_zone=zone,
                )
                now_ms = from_ms + now * HOUR_MS
                verdict = told(judge(of, facts(due_at_ms=0), world, now_ms=now_ms, zones=zones))

                opens = first(both, max(start, now) * 60, end * 60)
                if opens is None:
                    assert verdict == Reason.NO_LEGAL_INSTANT, (zone, hours, of)
                else:
                    at_ms = from_ms + opens * MINUTE_MS
                    assert verdict == ("now" if at_ms == now_ms else at_ms), (zone, hours, of)


@pytest.mark.parametrize("zone", ZONES)
def test_the_leap_day_of_2028_is_in_every_zone_a_day_like_any_other(zone: str) -> None:
    from_ms = ms("2028-02-28T00:00+00:00")
    shown = walls_of(zone, from_ms, range(5 * 24 * 60))
    for hours in ((0, MINUTE_MS), (23 * HOUR_MS, HOUR_MS), (8 * HOUR_MS, 20 * HOUR_MS), (0, DAY_MS)):
        expected = inside(shown, hours)
        for minute in range(0, 3 * 24 * 60, 60):
            found_ms = next_inside(Daily(*hours, zone).product(), from_ms + minute * MINUTE_MS)
            assert found_ms == from_ms + expected.index(True, minute) * MINUTE_MS


def test_a_message_that_may_go_on_the_leap_day_alone_goes_then() -> None:
    leap_day = {"start_at_ms": ms("2028-02-29T00:00+02:00"), "end_at_ms": ms("2028-03-01T00:00+02:00")}
    of = head(**leap_day, interval_min_ms=9 * HOUR_MS, interval_max_ms=10 * HOUR_MS, time_zone="Europe/Bucharest")

    verdict = judge(of, facts(due_at_ms=0), plan(), now_ms=ms("2028-02-01T00:00+02:00"), zones=zones)

    assert told(verdict) == ms("2028-02-29T09:00+02:00")
