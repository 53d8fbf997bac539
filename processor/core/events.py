"""Facts that the processor publishes; never changed once published."""

from collections.abc import Sequence
from hashlib import blake2b
from typing import Any, NamedTuple

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
    part_ids: tuple[str, ...] = ()  # the provider's ids of the parts of a text message; empty where there is one part


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
    channel: str | None = None  # this and the next three as the provider echoes them, with our id
    external_id: str | None = None
    campaign_id: str | None = None
    attempt: int | None = None
    occurred_at_ms: int | None = None  # by the provider's clock
    url: str | None = None  # of a clicked link
    user_agent_family: str | None = None
    provider_type: str | None = None  # the provider's own word for what happened
    raw: str | None = None  # the whole report, where its type is none that we know; it may hold an address

    def __repr__(self) -> str:
        """Show every field but what the provider wrote itself, which may hold an address."""
        return _shown(self, hidden=("raw", "url"))


class EngagementEvent(NamedTuple):
    """What a recipient, or a machine in front of one, did with a message; on comm.events.engagement."""

    event_id: str
    type: str  # opened, clicked, unsubscribed
    message_id: str
    external_id: str | None
    occurred_at_ms: int  # when the request arrived, or when the provider says that it happened
    channel: str
    campaign_id: str | None
    url: str | None  # target of the clicked link, as it stood in the message
    position: int | None  # of the clicked link among those of the message, from 0
    message_status: str | None  # when this happened; None: not known
    user_agent_family: str | None
    actor: str  # human, privacy_proxy, scanner, unknown
    rule: str | None  # that decided who acted
    repeated: bool = False
    provider: str | None = None  # that reported it by webhook; None: our own tracking saw it
    scope: str | None = None  # what an unsubscribe suppresses

    def __repr__(self) -> str:
        """Show every field but the address of a link, which may hold somebody's name."""
        return _shown(self, hidden=("url",))


class Control(NamedTuple):
    """A suppression or a recall; on comm.control, whose key says what it is about."""

    kind: str  # suppression, recall
    scope: str  # campaign, marketing, all_but_transactional; message, campaign, channel
    address_hash: str | None  # keyed: 32 hexadecimal digits
    message_id: str | None  # that is recalled, or that led to the suppression
    campaign_id: str | None
    channel: str | None
    until_ms: int | None  # it binds until then; None: until it is taken back
    set_at_ms: int
    cause: str  # unsubscribed, complained, operator


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
        return _shown(self, hidden=("value",))


def _shown(event: Any, *, hidden: Sequence[str]) -> str:
    shown = [f"{name}={each!r}" for name, each in zip(event._fields, event, strict=True) if name not in hidden]
    return f"{type(event).__name__}({', '.join(shown)})"


def event_id(*parts: str | int) -> str:
    """
    Return the id that the same fact always gets: 32 hexadecimal digits of a BLAKE2b over *parts*.

    The parts of a terminal event are its kind, message id and origin, those of a retry the attempt as
    well: a record that is judged again after an aborted transaction publishes the same id. No part
    holds a line feed (ids and topic names are of closed alphabets), so the parts cannot run together.
    """
    text = "\n".join(map(str, parts))
    return blake2b(text.encode("utf-8", "surrogatepass"), digest_size=16).hexdigest()


def ended_id(message_id: str, origin: Origin) -> str:
    """Return the id of the terminal delivery event of the message that came as the record at *origin*."""
    return event_id("ended", message_id, *origin)


def retry_id(message_id: str, origin: Origin, attempt: int) -> str:
    """Return the id of the retry event of one of its attempts."""
    return event_id("retry", message_id, *origin, attempt)
