"""What the ledgers of a run say, each thing by itself: what was asked, what providers got, what events tell."""

from typing import Final, NamedTuple

from processor.core.events import DeadLetter, DeliveryEvent, EngagementEvent, RetryEvent
from processor.core.message import Head, Origin

# Flat, and of plain values only: a run of millions is kept on disk, and a word that comes back from there is a plain
# text, equal to the member of its closed list.


class Asked(NamedTuple):
    """A record on an inbound topic; *channel* None: nothing in it can be read."""

    topic: str
    partition: int
    offset: int
    at_ms: int  # the record's timestamp
    digest: int  # of its value: what is forwarded to another partition has the same, and the same timestamp
    waits: bool  # its group has not read past it
    channel: str | None = None
    provider: str | None = None
    start_at_ms: int | None = None
    end_at_ms: int | None = None
    interval_min_ms: int | None = None
    interval_max_ms: int | None = None
    time_zone: str | None = None
    purpose: str = ""
    campaign_id: str | None = None

    @property
    def origin(self) -> Origin:
        """Return where it lies."""
        return Origin(self.topic, self.partition, self.offset)


class Waiting(NamedTuple):
    """A record of a delay tier or a send topic that is not finished: the message of an inbound record waits."""

    topic: str
    origin_topic: str
    origin_partition: int
    origin_offset: int

    @property
    def origin(self) -> Origin:
        """Return the inbound record that it comes from."""
        return Origin(self.origin_topic, self.origin_partition, self.origin_offset)


class Result(NamedTuple):
    """A terminal delivery event."""

    event_id: str
    status: str
    reason: str
    attempt: int
    provider: str | None
    partial: bool  # some recipients were refused
    later: bool = False  # published while other ledgers had been read already


class Report(NamedTuple):
    """A delivery event that is not terminal: what a provider reported later."""

    event_id: str
    at_ms: int  # the timestamp of its record


class Retry(NamedTuple):
    """A failed attempt that is followed by another."""

    event_id: str
    reason: str
    attempt: int
    provider: str
    next_attempt_at_ms: int


class Letter(NamedTuple):
    """A dead letter; *named*: a delivery event tells of its message as well."""

    event_id: str
    reason: str
    named: bool
    later: bool = False  # as in Result


class Act(NamedTuple):
    """An engagement event."""

    event_id: str


class Call(NamedTuple):
    """What a provider received; recipients as hashes."""

    attempt: int | None  # None: the provider is not told
    first_byte_ms: int
    accepted: bool
    recipients: tuple[int, ...]


class Acknowledged(NamedTuple):
    """A record that Kafka acknowledged to its producer, by what the producer noted; about its place."""

    message_id: str | None


class Lies(NamedTuple):
    """A record that lies on an inbound topic, about its place; *message_id* None: nothing in it can be read."""

    message_id: str | None


Told = DeliveryEvent | RetryEvent | DeadLetter | EngagementEvent
"""The events that say what became of a message."""

Fact = Asked | Waiting | Result | Report | Retry | Letter | Act | Call | Acknowledged | Lies

KINDS: Final[tuple[type[Fact], ...]] = (
    Asked,
    Waiting,
    Result,
    Report,
    Retry,
    Letter,
    Act,
    Call,
    Acknowledged,
    Lies,
)
"""Each with the place that stands for it where facts are kept."""


def place_of(topic: str, partition: int, offset: int) -> str:
    """Return what facts are about where no message is known: no message id has a `/` or an `@`."""
    return f"{topic}/{partition}@{offset}"


def asked(origin: Origin, at_ms: int, digest: int, head: Head | None, *, waits: bool) -> Asked:
    """Return the fact of an inbound record."""
    if head is None:
        return Asked(*origin, at_ms, digest, waits)
    return Asked(
        *origin,
        at_ms,
        digest,
        waits,
        head.channel,
        head.provider,
        head.start_at_ms,
        head.end_at_ms,
        head.interval_min_ms,
        head.interval_max_ms,
        head.time_zone,
        head.purpose,
        head.campaign_id,
    )


def told(event: Told, at_ms: int, *, later: bool = False) -> Fact:
    """Return the fact of an event; *at_ms* is the timestamp of its record."""
    match event:
        case DeliveryEvent():
            if not event.terminal:
                return Report(event.event_id, at_ms)
            partial = bool(event.recipients_refused)
            return Result(event.event_id, event.status, event.reason, event.attempt, event.provider, partial, later)
        case RetryEvent():
            return Retry(event.event_id, event.reason, event.attempt, event.provider, event.next_attempt_at_ms)
        case DeadLetter():
            return Letter(event.event_id, event.reason, event.message_id is not None, later)
        case EngagementEvent():
            return Act(event.event_id)
