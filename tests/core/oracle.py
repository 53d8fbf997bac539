"""
A slow, obvious calendar to hold the fast one against.

It looks at wall clocks, one instant at a time, through python-dateutil's time zones: another
implementation than the product's, and no arithmetic on offsets.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta, tzinfo
from functools import cache
from typing import TYPE_CHECKING
from zoneinfo import ZoneInfo, available_timezones

from dateutil import tz

from processor.core.plan import DailyInterval

if TYPE_CHECKING:
    from collections.abc import Iterable

MINUTE_MS = 60_000
HOUR_MS = 60 * MINUTE_MS
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)

# Every hemisphere, half and quarter hours, a half-hour DST, none at all, and dates that differ from London's.
ZONES = (
    "UTC",
    "Europe/Bucharest",
    "Europe/London",
    "America/New_York",
    "America/St_Johns",
    "Australia/Lord_Howe",
    "Pacific/Chatham",
    "Asia/Kathmandu",
    "Africa/Casablanca",
    "Pacific/Kiritimati",
)


@cache
def oracle_zone(name: str) -> tzinfo:
    found = tz.gettz(name)
    assert found is not None, name
    return found


@dataclass(frozen=True)
class Daily:
    """An interval by the name of its zone, to be read by the oracle and by the product."""

    start_ms: int
    end_ms: int
    zone: str = "UTC"

    def product(self) -> DailyInterval:
        return DailyInterval(self.start_ms, self.end_ms, UTC if self.zone == "UTC" else ZoneInfo(self.zone))

    def allows(self, at_ms: int) -> bool:
        of_day_ms = wall_ms(self.zone, at_ms)
        if self.start_ms < self.end_ms:
            return self.start_ms <= of_day_ms < self.end_ms
        return of_day_ms >= self.start_ms or of_day_ms < self.end_ms


def wall_ms(zone: str, at_ms: int) -> int:
    """Return what the clocks on the walls of *zone* show, in milliseconds since they showed 00:00."""
    wall = (EPOCH + timedelta(milliseconds=at_ms)).astimezone(oracle_zone(zone))
    return ((wall.hour * 60 + wall.minute) * 60 + wall.second) * 1000 + wall.microsecond // 1000


def first_allowed_minute(dailies: Iterable[Daily], *, from_ms: int, before_ms: int) -> int | None:
    """Return the first whole minute from *from_ms* on at which all of *dailies* allow sending."""
    for at_ms in range(from_ms, before_ms, MINUTE_MS):
        if all(daily.allows(at_ms) for daily in dailies):
            return at_ms
    return None


def ms(text: str) -> int:
    """Return the instant of an ISO 8601 text with an offset."""
    return int((datetime.fromisoformat(text) - EPOCH) / timedelta(milliseconds=1))


@cache
def changes_of_2026() -> tuple[tuple[str, int], ...]:
    """Return (zone, hour before which the offset was another) of every zone that changes its clocks in 2026."""
    first_ms, last_ms = ms("2026-01-01T00:00+00:00"), ms("2027-01-01T00:00+00:00")
    return tuple(
        (name, hour_ms)
        for name in sorted(available_timezones())
        for day_ms in range(first_ms, last_ms, 24 * HOUR_MS)
        if _offset(name, day_ms) != _offset(name, day_ms + 24 * HOUR_MS)
        for hour_ms in range(day_ms + HOUR_MS, day_ms + 25 * HOUR_MS, HOUR_MS)
        if _offset(name, hour_ms - HOUR_MS) != _offset(name, hour_ms)
    )


def _offset(zone: str, at_ms: int) -> timedelta | None:
    return datetime.fromtimestamp(at_ms // 1000, oracle_zone(zone)).utcoffset()
