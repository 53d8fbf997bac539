"""Facts that the processor publishes; never changed once published."""

from hashlib import blake2b
from typing import NamedTuple

from processor.core.message import Origin
from processor.core.words import Lane, Reason, Status


class DeliveryEvent(NamedTuple):
    """A status that a message reached; on comm.events.delivery, keyed by message id."""

    event_id: str
    message_id: str
    external_id: str | None
    attempt: int  # provider calls made so far
    occurred_at_ms: int
    channel: str
    provider: str | None
    campaign_id: str | None
    lane: Lane | None
    status: Status
    terminal: bool
    reason: Reason
    provider_code: str | None = None
    provider_message_id: str | None = None
    field_name: str | None = None  # the field that made it REJECTED; never its content
    in_doubt: bool = False  # the result of an attempt whose process died
    segments: int | None = None  # short messages that a text was split into
    encoding: str | None = None  # of a text message: gsm7 or ucs2
    recipients_refused: tuple[int, ...] = ()  # by the provider in this attempt; to is 0, then cc, then bcc


class RetryEvent(NamedTuple):
    """A failed attempt that will be tried again; on comm.events.retry, keyed by message id."""

    event_id: str
    message_id: str
    external_id: str | None
    attempt: int  # the one that failed
    charged: int  # attempts that have spent the retry budget, this one included if it did
    occurred_at_ms: int
    channel: str
    provider: str
    campaign_id: str | None
    lane: Lane
    reason: Reason
    next_attempt_at_ms: int
    provider_code: str | None = None
    in_doubt: bool = False
    recipients_refused: tuple[int, ...] = ()  # as in DeliveryEvent


class Receipt(NamedTuple):
    """What a provider reports of a message later; on comm.receipts, keyed by provider and the provider's id."""

    event_id: str
    provider: str
    provider_message_id: str  # as the report writes it
    id_keys: tuple[str, ...]  # to compare with the ids of delivery events, the likeliest first
    message_id: str | None  # where the provider echoes it
    state: str
    provider_code: str | None
    done_at: str | None  # digits, by the provider's clock
    received_at_ms: int


class DeadLetter(NamedTuple):
    """A record that nobody could read, or a message REJECTED or FAILED; on comm.dead-letter."""

    event_id: str
    message_id: str | None  # None where the record could not be read
    occurred_at_ms: int
    reason: Reason
    field_name: str | None
    attempts: int
    origin: Origin
    origin_timestamp_ms: int
    value: bytes | None  # whole, or a prefix where it is too large; None: a tombstone
    value_size_bytes: int
    value_sha256: str
    truncated: bool = False

    def __repr__(self) -> str:
        """Show every field but the value, which is somebody's message."""
        shown = ", ".join(f"{name}={each!r}" for name, each in zip(self._fields, self, strict=True) if name != "value")
        return f"DeadLetter({shown})"


def event_id(*parts: str | int) -> str:
    """
    Return the id that the same fact always gets: 32 hexadecimal digits of a BLAKE2b over *parts*.

    The parts of a terminal event are its kind, message id and origin, those of a retry the attempt as
    well: a record that is judged again after an aborted transaction publishes the same id. No part
    holds a line feed (ids and topic names are of closed alphabets), so the parts cannot run together.
    """
    text = "\n".join(map(str, parts))
    return blake2b(text.encode("utf-8", "surrogatepass"), digest_size=16).hexdigest()
