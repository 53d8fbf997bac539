"""The next legal instant, against a calendar that looks at one minute after another."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, tzinfo
from itertools import pairwise
from timeit import repeat
from zoneinfo import available_timezones

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from processor.core.plan import DAY_MS, DailyInterval
from processor.core.windows import CALM_MS, HORIZON_MS, next_inside, next_legal_ms, next_outside
from tests.core.oracle import (
    HOUR_MS,
    MINUTE_MS,
    ZONES,
    Daily,
    changes_of_2026,
    first_allowed_minute,
    ms,
    oracle_zone,
    wall_ms,
)

FIRST_MS = ms("2023-12-31T00:00+00:00")  # with the leap day of 2024
LAST_MS = ms("2027-01-02T00:00+00:00")


def _dailies(step_ms: int) -> st.SearchStrategy[Daily]:
    of_day = st.integers(0, DAY_MS // step_ms - 1).map(lambda step: step * step_ms)
    width = st.one_of(st.just(step_ms), st.integers(1, DAY_MS // step_ms - 1).map(lambda step: step * step_ms))
    return st.builds(
        lambda start, width, zone: Daily(start, (start + width) % DAY_MS, zone), of_day, width, st.sampled_from(ZONES)
    )


NEAR_CHANGES = st.builds(
    lambda change, hours: change[1] + hours * HOUR_MS,
    st.deferred(lambda: st.sampled_from(changes_of_2026())),
    st.integers(-30, 30),
)
MINUTES = st.one_of(
    NEAR_CHANGES, st.integers(FIRST_MS // MINUTE_MS, LAST_MS // MINUTE_MS).map(lambda minute: minute * MINUTE_MS)
)
INSTANTS = st.one_of(NEAR_CHANGES, st.integers(FIRST_MS, LAST_MS))


@given(_dailies(MINUTE_MS), MINUTES)
@example(Daily(3 * HOUR_MS + 30 * MINUTE_MS, 4 * HOUR_MS, "Europe/Bucharest"), ms("2026-03-29T00:00+00:00"))
@example(Daily(23 * HOUR_MS, HOUR_MS, "Africa/Casablanca"), ms("2026-02-15T00:00+00:00"))
def test_the_next_instant_inside_an_interval_is_the_one_that_looking_minute_by_minute_finds(
    daily: Daily, at_ms: int
) -> None:
    found = first_allowed_minute([daily], from_ms=at_ms, before_ms=at_ms + 3 * DAY_MS)

    assert next_inside(daily.product(), at_ms) == found


@given(_dailies(1), INSTANTS, st.floats(0, 1))
@settings(max_examples=400)
def test_to_the_millisecond_the_answer_is_inside_and_nothing_before_it_is(
    daily: Daily, at_ms: int, part: float
) -> None:
    found_ms = next_inside(daily.product(), at_ms)

    assert daily.allows(found_ms)
    if found_ms != at_ms:
        assert not daily.allows(found_ms - 1)
        assert not daily.allows(at_ms)
        assert not daily.allows(at_ms + int(part * (found_ms - 1 - at_ms)))


@given(_dailies(1), INSTANTS, st.floats(0, 1))
@settings(max_examples=400)
def test_an_interval_is_open_until_it_closes_and_not_a_millisecond_longer(
    daily: Daily, at_ms: int, part: float
) -> None:
    opens_ms = next_inside(daily.product(), at_ms)
    closes_ms = next_outside(daily.product(), opens_ms)

    assert closes_ms is not None
    assert not daily.allows(closes_ms)
    assert daily.allows(closes_ms - 1)
    assert daily.allows(opens_ms + int(part * (closes_ms - 1 - opens_ms)))


def test_an_interval_of_a_whole_day_never_closes() -> None:
    assert next_outside(DailyInterval(0, DAY_MS, UTC), FIRST_MS) is None


@pytest.mark.parametrize("around_ms", [-HOUR_MS, 0])
def test_every_change_of_clocks_in_2026_has_the_answers_of_the_wall_clock(around_ms: int) -> None:
    """One-minute, hour-long and wrapping intervals that open at, in and around the gap or overlap of each zone."""
    assert len(changes_of_2026()) > 200
    for zone, change_ms in changes_of_2026():
        from_ms = change_ms - 3 * HOUR_MS
        walls = [wall_ms(zone, from_ms + minute * MINUTE_MS) for minute in range(30 * 60)]
        opens_ms = (wall_ms(zone, change_ms - HOUR_MS) + HOUR_MS + around_ms + 30 * MINUTE_MS) % DAY_MS
        for width_ms in (MINUTE_MS, HOUR_MS, 23 * HOUR_MS):
            daily = Daily(opens_ms, (opens_ms + width_ms) % DAY_MS, zone)
            inside = [(wall - opens_ms) % DAY_MS < width_ms for wall in walls]
            for minute in (0, 60, 150, 180, 200, 240):
                expected = from_ms + inside.index(True, minute) * MINUTE_MS
                assert next_inside(daily.product(), from_ms + minute * MINUTE_MS) == expected, (daily, minute)


@given(st.lists(_dailies(MINUTE_MS), max_size=3), MINUTES, st.integers(0, 2 * 24 * 60))
def test_the_next_legal_instant_is_inside_every_interval_and_before_the_end(
    dailies: list[Daily], at_ms: int, minutes: int
) -> None:
    end_ms = at_ms + minutes * MINUTE_MS

    found = next_legal_ms([daily.product() for daily in dailies], not_before_ms=at_ms, end_ms=end_ms)

    assert found == first_allowed_minute(dailies, from_ms=at_ms, before_ms=end_ms)


def test_an_interval_that_starts_inside_the_gap_opens_at_the_transition() -> None:
    half_past_three = Daily(3 * HOUR_MS + 30 * MINUTE_MS, 5 * HOUR_MS, "Europe/Bucharest")

    opens_ms = next_inside(half_past_three.product(), ms("2026-03-29T02:00+02:00"))

    assert opens_ms == ms("2026-03-29T04:00+03:00")


def test_an_interval_that_lies_inside_the_gap_waits_for_the_next_day() -> None:
    within = Daily(3 * HOUR_MS + 15 * MINUTE_MS, 3 * HOUR_MS + 30 * MINUTE_MS, "Europe/Bucharest")

    assert next_inside(within.product(), ms("2026-03-29T02:00+02:00")) == ms("2026-03-30T03:15+03:00")


def test_an_hour_that_happens_twice_counts_twice() -> None:
    half_past_three = Daily(3 * HOUR_MS + 30 * MINUTE_MS, 3 * HOUR_MS + 45 * MINUTE_MS, "Europe/Bucharest").product()

    first_ms = next_inside(half_past_three, ms("2026-10-25T00:00+03:00"))
    second_ms = next_inside(half_past_three, first_ms + 15 * MINUTE_MS)

    assert first_ms == ms("2026-10-25T03:30+03:00")
    assert second_ms == ms("2026-10-25T03:30+02:00")


def test_the_leap_day_is_a_day_like_any_other() -> None:
    morning = Daily(8 * HOUR_MS, 9 * HOUR_MS, "America/New_York").product()

    assert next_inside(morning, ms("2028-02-28T10:00-05:00")) == ms("2028-02-29T08:00-05:00")
    assert next_inside(morning, ms("2028-02-29T10:00-05:00")) == ms("2028-03-01T08:00-05:00")


def test_midnight_as_24_00_is_an_end_and_a_start() -> None:
    evening, whole, night = Daily(20 * HOUR_MS, DAY_MS), Daily(0, DAY_MS), Daily(DAY_MS, 6 * HOUR_MS)
    noon_ms = ms("2026-06-01T12:00+00:00")

    assert next_inside(evening.product(), noon_ms) == ms("2026-06-01T20:00+00:00")
    assert next_inside(evening.product(), ms("2026-06-01T23:59:59.999+00:00")) == ms("2026-06-01T23:59:59.999+00:00")
    assert next_inside(whole.product(), noon_ms) == noon_ms
    assert next_inside(night.product(), noon_ms) == ms("2026-06-02T00:00+00:00")


def test_two_intervals_that_meet_only_in_summer_wait_for_summer() -> None:
    intervals = (Daily(9 * HOUR_MS, 10 * HOUR_MS, "Europe/Bucharest"), Daily(6 * HOUR_MS, 7 * HOUR_MS))

    found = next_legal_ms(
        [daily.product() for daily in intervals], not_before_ms=ms("2026-11-24T00:00+00:00"), end_ms=None
    )

    assert found == ms("2027-03-28T06:00+00:00")


@pytest.mark.parametrize("hours", [0, 12, 24, 36, 48, 60])
def test_two_intervals_that_meet_only_between_two_changes_of_clocks_are_found(hours: int) -> None:
    """Israel changes on Friday, 27 March 2026, Romania on Sunday."""
    intervals = (
        Daily(9 * HOUR_MS, 10 * HOUR_MS, "Asia/Jerusalem"),
        Daily(8 * HOUR_MS, 9 * HOUR_MS, "Europe/Bucharest"),
    )

    at_ms = ms("2026-01-01T00:00+00:00") + hours * HOUR_MS
    found = next_legal_ms([daily.product() for daily in intervals], not_before_ms=at_ms, end_ms=None)

    assert found == ms("2026-03-27T06:00+00:00")


def test_the_end_itself_is_too_late() -> None:
    morning, eight_ms = Daily(8 * HOUR_MS, 9 * HOUR_MS).product(), ms("2026-06-01T08:00+00:00")

    assert next_legal_ms([morning], not_before_ms=eight_ms - 5, end_ms=eight_ms) is None
    assert next_legal_ms([morning], not_before_ms=eight_ms - 5, end_ms=eight_ms + 1) == eight_ms
    assert next_legal_ms([], not_before_ms=eight_ms, end_ms=eight_ms) is None


@given(st.integers(-(2**62), 2**62), st.sampled_from(ZONES))
def test_no_instant_is_too_far_away_to_be_answered(at_ms: int, zone: str) -> None:
    daily = Daily(8 * HOUR_MS, 9 * HOUR_MS, zone)

    assert at_ms <= next_inside(daily.product(), at_ms) <= at_ms + 2 * DAY_MS


@pytest.mark.parametrize("zones", [("UTC", "UTC"), ("Europe/Bucharest", "America/New_York"), ("UTC", "Asia/Gaza")])
def test_an_empty_intersection_is_found_to_be_empty_within_5_ms(zones: tuple[str, str]) -> None:
    intervals = [Daily(h * HOUR_MS, (h + 1) * HOUR_MS, zone).product() for h, zone in zip((8, 20), zones, strict=True)]
    at_ms = ms("2026-11-24T00:00+00:00")

    best_s = min(repeat(lambda: next_legal_ms(intervals, not_before_ms=at_ms, end_ms=None), number=1, repeat=20))

    assert next_legal_ms(intervals, not_before_ms=at_ms, end_ms=None) is None
    assert best_s < 0.005


def test_no_zone_has_changed_its_offset_and_back_within_twice_what_the_search_takes_in_one_step() -> None:
    """Since 1970 and until 2037, by the transitions that the zone files list."""
    for name in sorted(available_timezones()):
        zone = oracle_zone(name)
        listed = [at_s for at_s in getattr(zone, "_trans_utc", ()) if at_s >= 0]
        offsets = [(at_s, *(datetime.fromtimestamp(s, zone).utcoffset() for s in (at_s - 1, at_s))) for at_s in listed]
        changes = [(at_s, before, then) for at_s, before, then in offsets if before != then]
        for (first_s, before, _), (second_s, _, then) in pairwise(changes):
            assert before != then or (second_s - first_s) * 1000 > 2 * CALM_MS, (name, first_s)
    assert getattr(oracle_zone("Asia/Gaza"), "_trans_utc", ())


class ChangesOnce(tzinfo):
    """UTC until an instant, an hour ahead of it from then on."""

    def __init__(self, change_ms: int) -> None:
        self.change = datetime.fromtimestamp(change_ms // 1000, oracle_zone("UTC")).replace(tzinfo=None)

    def utcoffset(self, at: datetime | None) -> timedelta:
        return timedelta(hours=at is not None and at.replace(tzinfo=None) >= self.change)

    def dst(self, at: datetime | None) -> timedelta:
        return timedelta()

    def tzname(self, at: datetime | None) -> str:
        return "once"

    def fromutc(self, at: datetime) -> datetime:
        return at + timedelta(hours=at.replace(tzinfo=None) >= self.change)


def test_the_search_ends_at_its_horizon() -> None:
    at_ms = ms("2026-01-01T00:00+00:00")
    opens_ms = at_ms + HORIZON_MS + 5 * DAY_MS + 8 * HOUR_MS
    once = DailyInterval(9 * HOUR_MS, 10 * HOUR_MS, ChangesOnce(opens_ms))
    eight = Daily(8 * HOUR_MS, 9 * HOUR_MS).product()

    assert next_legal_ms([once, eight], not_before_ms=at_ms, end_ms=None) is None
    assert next_legal_ms([once, eight], not_before_ms=at_ms + 6 * DAY_MS, end_ms=None) == opens_ms
