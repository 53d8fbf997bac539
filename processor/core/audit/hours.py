"""
Whether an instant lies inside a daily interval, by what the clocks on the walls show.

Beside `core/windows.py` on purpose, and without a line of it: a mistake there must not be repeated here.
"""

from datetime import UTC, datetime, timedelta, tzinfo
from typing import Final

EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
DAY: Final = timedelta(days=1)


def allows(start_ms: int, end_ms: int, zone: tzinfo, at_ms: int, *, within_ms: int = 0) -> bool:
    """Tell whether any instant from *at_ms* to *within_ms* later is inside; it matters not how long it stays so."""
    start, end = timedelta(milliseconds=start_ms) % DAY, timedelta(milliseconds=end_ms)
    shown = time_of_day(at_ms, zone)
    inside = start <= shown < end if start < end else shown >= start or shown < end
    return inside or (start - shown) % DAY <= timedelta(milliseconds=within_ms)


def time_of_day(at_ms: int, zone: tzinfo) -> timedelta:
    """Return what the clocks show, as the time since they showed 00:00."""
    wall = (EPOCH + timedelta(milliseconds=at_ms)).astimezone(zone)
    return timedelta(hours=wall.hour, minutes=wall.minute, seconds=wall.second, microseconds=wall.microsecond)
