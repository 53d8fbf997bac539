"""Whether a message asks for something that cannot be done; what then names the field, never its content."""

import re
from typing import Final

from processor.core.clock import Zones
from processor.core.lanes import PRIORITY_MAX
from processor.core.message import Head
from processor.core.plan import DAY_MS, Plan
from processor.core.retry import MIGRATED_ERROR
from processor.core.verdict import End
from processor.core.words import Reason, Status

RETRY_ATTEMPTS_MAX: Final = 1000
RETRY_INTERVAL_MAX_S: Final = 30 * 86_400

# Microseconds sent as milliseconds would wait for ever, and sums of such instants overflow the long of an event.
YEAR_10000_MS: Final = 253_402_300_800_000

_MESSAGE_STATUSES: Final = frozenset({None, "NEW", MIGRATED_ERROR})

REFERENCE_CHARS_MAX: Final = 1_024
"""Of external and campaign ids: every event repeats them, and one that its topic refuses would stop all others."""

# An id is part of keys, logs and providers' paths: no separators, no control characters, no length to fill memory with.
_FIRST_ASKED: Final = Head._fields.index("channel")
_PURPOSE: Final = Head._fields.index("purpose")  # like the external id behind it, it is for others to read
_LAST_ASKED: Final = Head._fields.index("message_status")

MESSAGE_ID: Final = re.compile(r"[A-Za-z0-9._:-]{1,64}")


def refusal(head: Head, plan: Plan, zones: Zones) -> End | None:
    """Return REJECTED with the first fault of *head*, or None where it has none."""
    return bad_message_id(head) or bad_request(head, plan, zones) or bad_external_id(head)


def bad_message_id(head: Head) -> End | None:
    """Return REJECTED for an id that is none."""
    return None if MESSAGE_ID.fullmatch(head.message_id) else _rejected(Reason.INVALID_MESSAGE_ID, "message_id")


def bad_external_id(head: Head) -> End | None:
    """Return REJECTED for an external id that no event has room for."""
    return _rejected(Reason.INVALID_REFERENCE, "external_id") if too_long(head.external_id) else None


def request(head: Head) -> tuple[object, ...]:
    """Return all of a head that decides how it is treated: heads that are alike in it differ in their ids alone."""
    return head[_FIRST_ASKED:_PURPOSE], head[_LAST_ASKED:]


def bad_request(head: Head, plan: Plan, zones: Zones) -> End | None:
    """Return REJECTED with the first fault of what `request` returns, in the order of its fields."""
    return (
        _bad_route(head, plan)
        or _bad_times(head)
        or _bad_interval(head, zones)
        or _bad_retry(head)
        or (_rejected(Reason.INVALID_REFERENCE, "campaign_id") if too_long(head.campaign_id) else None)
    )


def _bad_route(head: Head, plan: Plan) -> End | None:
    channel = plan.channels.get(head.channel)
    if channel is None:
        return _rejected(Reason.UNKNOWN_CHANNEL, "channel")
    provider = head.provider or channel.provider
    if provider not in plan.providers:
        return _rejected(Reason.UNKNOWN_PROVIDER, "provider")
    if provider != channel.provider and provider not in channel.providers:
        return _rejected(Reason.PROVIDER_NOT_ON_CHANNEL, "provider")
    if not 0 <= head.priority <= PRIORITY_MAX:
        return _rejected(Reason.INVALID_PRIORITY, "priority")
    return None


def _bad_times(head: Head) -> End | None:
    start_ms, end_ms = head.start_at_ms, head.end_at_ms
    if start_ms is not None and not 0 <= start_ms < YEAR_10000_MS:
        return _rejected(Reason.INVALID_INSTANT, "start_at")
    if end_ms is not None and not 0 <= end_ms < YEAR_10000_MS:
        return _rejected(Reason.INVALID_INSTANT, "end_at")
    if start_ms is not None and end_ms is not None and end_ms <= start_ms:
        return _rejected(Reason.END_BEFORE_START, "end_at")
    return None


def _bad_interval(head: Head, zones: Zones) -> End | None:
    if head.time_zone is not None and zones(head.time_zone) is None:
        return _rejected(Reason.INVALID_TIME_ZONE, "time_zone")
    low_ms, high_ms = head.interval_min_ms, head.interval_max_ms
    if low_ms is None and high_ms is None:
        return None
    if low_ms is None or not 0 <= low_ms <= DAY_MS:
        return _rejected(Reason.INVALID_INTERVAL, "interval_min")
    # As a start, 24:00 is midnight: from there to 00:00 is as empty as between equal bounds.
    if high_ms is None or not 0 <= high_ms <= DAY_MS or high_ms in {low_ms, low_ms % DAY_MS}:
        return _rejected(Reason.INVALID_INTERVAL, "interval_max")
    return None


def _bad_retry(head: Head) -> End | None:
    if head.message_status not in _MESSAGE_STATUSES:
        return _rejected(Reason.INVALID_RETRY, "message_status")
    if head.retry_max_attempts is not None and not 0 <= head.retry_max_attempts <= RETRY_ATTEMPTS_MAX:
        return _rejected(Reason.INVALID_RETRY, "retry_max_attempts")
    if head.retry_interval_s is not None and not 0 <= head.retry_interval_s <= RETRY_INTERVAL_MAX_S:
        return _rejected(Reason.INVALID_RETRY, "retry_interval")
    if head.retry_attempt is not None and head.retry_attempt < 0:
        return _rejected(Reason.INVALID_RETRY, "retry_attempt")
    return None


def too_long(reference: str | None) -> bool:
    """Tell whether a reference is too long for an event."""
    return reference is not None and len(reference) > REFERENCE_CHARS_MAX


def _rejected(reason: Reason, field_name: str) -> End:
    return End(Status.REJECTED, reason, field_name)
