"""
The next legal instant: where daily intervals allow sending.

Whether an instant is inside an interval is decided by the wall clock alone. So an interval whose
start falls into a DST gap opens at the transition, and an hour that happens twice counts twice.
"""

from collections.abc import Iterable, Sequence
from datetime import UTC, datetime, tzinfo
from typing import Final

from processor.core.plan import DAY_MS, DailyInterval

HORIZON_MS: Final = 366 * DAY_MS
"""How far ahead a legal instant is looked for: a year meets every daily pattern of every zone."""

# Since 1970 no zone has changed its offset and changed it back within less than 6.95 days (Gaza, Recife); a test holds
# that a stretch of this length can be judged by the offsets at its two ends.
CALM_MS: Final = 3 * DAY_MS

_FIRST_S: Final = -62_135_510_400  # 0001-01-02: a day inside what datetime can hold, whatever the offset
_LAST_S: Final = 253_402_214_400  # 9999-12-31


def next_inside(interval: DailyInterval, at_ms: int) -> int:
    """Return the first instant from *at_ms* on whose time of day in the interval's zone is inside it."""
    zone = interval.zone
    length_ms = (interval.end_ms - interval.start_ms) % DAY_MS or DAY_MS
    while True:
        offset_ms = _offset_ms(zone, at_ms)
        since_start_ms = (at_ms + offset_ms - interval.start_ms) % DAY_MS
        if since_start_ms < length_ms:
            return at_ms
        opens_ms = at_ms + DAY_MS - since_start_ms
        if zone is UTC or _offset_ms(zone, opens_ms) == offset_ms:
            return opens_ms
        at_ms = _change_ms(zone, at_ms, opens_ms)


def next_outside(interval: DailyInterval, at_ms: int) -> int | None:
    """Return when an interval that *at_ms* is inside of closes; None if it is always open."""
    is_all_day = (interval.end_ms - interval.start_ms) % DAY_MS == 0
    return None if is_all_day else next_inside(DailyInterval(interval.end_ms, interval.start_ms, interval.zone), at_ms)


def next_legal_ms(intervals: Sequence[DailyInterval], *, not_before_ms: int, end_ms: int | None) -> int | None:
    """
    Return the first instant from *not_before_ms* on, and before *end_ms*, that is inside all *intervals*.

    None where there is none, or none within `HORIZON_MS`.
    """
    if not intervals:
        return not_before_ms if end_ms is None or not_before_ms < end_ms else None
    limit_ms = not_before_ms + HORIZON_MS
    if end_ms is not None and end_ms < limit_ms:
        limit_ms = end_ms
    at_ms = not_before_ms
    while at_ms < limit_ms:
        inside_ms = _next_inside_all(intervals, at_ms)
        if inside_ms is not None:
            return inside_ms if inside_ms < limit_ms else None
        at_ms = _next_change_ms(intervals, at_ms, limit_ms)
    return None


def _next_inside_all(intervals: Sequence[DailyInterval], at_ms: int) -> int | None:
    """Return the first instant inside all *intervals* within a day or so of *at_ms*, or None."""
    day_over_ms = at_ms + DAY_MS
    while at_ms <= day_over_ms:
        before_ms = at_ms
        for interval in intervals:
            at_ms = next_inside(interval, at_ms)
        if at_ms == before_ms or len(intervals) == 1:
            return at_ms
    return None


def _next_change_ms(intervals: Iterable[DailyInterval], at_ms: int, limit_ms: int) -> int:
    """
    Return the first instant after *at_ms* at which a zone of *intervals* changes its offset, at most *limit_ms*.

    While no offset changes, each day is like the one before: a day without a legal instant rules out all of them.
    """
    offsets_ms = [(i.zone, _offset_ms(i.zone, at_ms)) for i in intervals if i.zone is not UTC]
    while offsets_ms and at_ms < limit_ms:
        ahead_ms = min(at_ms + CALM_MS, limit_ms)
        changed = [zone for zone, offset_ms in offsets_ms if _offset_ms(zone, ahead_ms) != offset_ms]
        if changed:
            return min(_change_ms(zone, at_ms, ahead_ms) for zone in changed)
        at_ms = ahead_ms
    return limit_ms


def _offset_ms(zone: tzinfo, at_ms: int) -> int:
    """Return what *zone* adds to UTC at an instant; instants that datetime cannot hold count as its first or last."""
    if zone is UTC:
        return 0
    offset = datetime.fromtimestamp(min(max(at_ms // 1000, _FIRST_S), _LAST_S), zone).utcoffset()
    return 0 if offset is None else (offset.days * 86_400 + offset.seconds) * 1000


def _change_ms(zone: tzinfo, low_ms: int, high_ms: int) -> int:
    """Return the instant in (low, high] at which the offset becomes another than at *low_ms*; there is one."""
    offset_ms = _offset_ms(zone, low_ms)
    while high_ms - low_ms > 1:
        middle_ms = (low_ms + high_ms) // 2
        if _offset_ms(zone, middle_ms) == offset_ms:
            low_ms = middle_ms
        else:
            high_ms = middle_ms
    return high_ms
