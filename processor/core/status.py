"""The status of a message, from its delivery events alone, in whatever order they come."""

from collections.abc import Iterable, Mapping
from typing import Final

from processor.core.events import DeliveryEvent
from processor.core.words import Reason, Status

REPEATED: Final = frozenset({Reason.SAME_CONTENT, Reason.OTHER_CONTENT})
"""Reasons of results that belong to a record whose id was seen before, and say nothing of the message."""

_FINAL: Final = frozenset({Status.DELIVERED, Status.BOUNCED})

RANKS: Final[Mapping[Status, int]] = {
    **dict.fromkeys(Status, 4),
    Status.COMPLAINED: 1,
    Status.DELIVERED: 2,
    Status.BOUNCED: 2,
    Status.DELAYED: 3,
    Status.REJECTED: 5,
    Status.DUPLICATE: 6,
}
"""Of the list of `status_of`; for those who remember no more of a message than its status."""

Key = tuple[int, int, str, str]


def status_of(events: Iterable[DeliveryEvent]) -> Status | None:
    """
    Return what a message has come to; None where nothing has happened to it yet.

    The events are ranked, and the first one says it; as the order is total, no order of arrival matters:

    1. COMPLAINED: who complains has it, whatever else was reported.
    2. DELIVERED and BOUNCED; the latest of them. Servers take a message and return it later, and providers succeed
       after they had said that they gave up. Of the same instant BOUNCED counts.
    3. DELAYED: the provider has it, even if an attempt in doubt was followed by one that failed.
    4. The result of the record; of several records with one id the earliest.
    5. REJECTED: what is refused outright may be mended, and asked for again with the same id.
    6. DUPLICATE, and REJECTED for other content: results of a record that says nothing of the message.
    """
    first = min(events, key=_rank, default=None)
    return None if first is None else first.status


def _rank(event: DeliveryEvent) -> Key:
    at_ms, status = event.occurred_at_ms, event.status
    if status in _FINAL:
        at_ms = -at_ms  # BOUNCED is before DELIVERED
    of_the_record = event.reason in REPEATED and RANKS[status] >= RANKS[Status.SENT]
    return RANKS[Status.DUPLICATE] if of_the_record else RANKS[status], at_ms, status, event.event_id
