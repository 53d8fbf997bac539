"""Turns what was decided of a message into records for the event topics and the dead-letter topic, and counts them."""

from collections.abc import Callable
from hashlib import blake2b, sha256
from typing import Final, NamedTuple, Protocol

from processor.core.events import DeadLetter, DeliveryEvent, RetryEvent, ended_id, event_id, retry_id
from processor.core.lanes import lane_of
from processor.core.message import Facts, Head, Origin
from processor.core.plan import Plan
from processor.core.refusal import MESSAGE_ID, too_long
from processor.core.verdict import Again, End
from processor.core.words import DEAD_LETTERED, Lane, Reason, Status
from processor.kafka.topics import OVERHEAD_BYTES, Names
from processor.kafka.transactions import Output
from processor.metrics import DEAD_LETTERS, DELIVERY_EVENTS
from processor.stages.record import Record

_PREFIX_BYTES: Final = 1_024
_UNCONFIGURED: Final = "unconfigured"


class Encoding(Protocol):
    """How events become bytes; the codec's, in the configured framing."""

    def encode_delivery(self, event: DeliveryEvent) -> bytes:
        """Return the record of a delivery event."""
        ...

    def encode_retry(self, event: RetryEvent) -> bytes:
        """Return the record of a retry event."""
        ...

    def encode_dead_letter(self, event: DeadLetter) -> bytes:
        """Return the record of a dead letter."""
        ...


class Ended(NamedTuple):
    """A terminal result of a message, with or without a provider call; one is made for each message."""

    status: Status
    reason: Reason
    attempts: int  # provider calls made in all
    provider: str | None = None
    code: str | None = None
    provider_message_id: str | None = None
    field_name: str | None = None
    in_doubt: bool = False
    segments: int | None = None
    encoding: str | None = None
    refused: tuple[int, ...] = ()  # recipients, by index
    part_ids: tuple[str, ...] = ()


def uncalled(end: End, facts: Facts) -> Ended:
    """Return the result of a message that ends without another call."""
    left = facts.open_recipients if end.status is Status.SENT else None
    return Ended(end.status, end.reason, facts.attempt, field_name=end.field_name, refused=left or ())


class Publisher:
    """Makes the outputs of every result; the same fact always gets the same event id."""

    def __init__(self, plan: Plan, names: Names, encoding: Encoding, now_ms: Callable[[], int]) -> None:
        """Publish to the topics of *names*, at the instants of *now_ms*."""
        self._plan = plan
        self._names = names
        self._encoding = encoding
        self._now_ms = now_ms
        self._dead_letter_max = plan.message_bytes_max + OVERHEAD_BYTES

    def ended(self, head: Head, facts: Facts, value: bytes | None, ended: Ended) -> list[Output]:
        """Return the terminal delivery event of a message, and its dead letter where the status asks for one."""
        origin = facts.origin
        known = public_id(head.message_id)
        event = DeliveryEvent(
            event_id=ended_id(known, origin),
            message_id=known,
            external_id=_reference(head.external_id),
            attempt=ended.attempts,
            occurred_at_ms=self._now_ms(),
            channel=self._channel(head),
            provider=ended.provider,
            campaign_id=_reference(head.campaign_id),
            lane=self.lane(head),
            status=ended.status,
            terminal=True,
            reason=ended.reason,
            provider_code=ended.code,
            provider_message_id=ended.provider_message_id,
            field_name=ended.field_name,
            in_doubt=ended.in_doubt,
            segments=ended.segments,
            encoding=ended.encoding,
            recipients_refused=ended.refused,
            part_ids=ended.part_ids,
        )
        DELIVERY_EVENTS.labels(ended.status, event.channel).inc()
        outputs = [Output(self._names.delivery, self._encoding.encode_delivery(event), known.encode())]
        if ended.status in DEAD_LETTERED:
            outputs.append(self.dead_letter(facts, value, ended.reason, known, ended.attempts, ended.field_name))
        return outputs

    def again(self, head: Head, facts: Facts, settled: Again, *, provider: str, lane: Lane, in_doubt: bool) -> Output:
        """Return the retry event of the attempt that follows *facts*."""
        attempt = facts.attempt + 1
        origin = facts.origin
        event = RetryEvent(
            event_id=retry_id(head.message_id, origin, attempt),
            message_id=head.message_id,
            external_id=_reference(head.external_id),
            attempt=attempt,
            charged=settled.charged,
            occurred_at_ms=self._now_ms(),
            channel=head.channel,
            provider=provider,
            campaign_id=_reference(head.campaign_id),
            lane=lane,
            reason=settled.reason,
            next_attempt_at_ms=settled.due_at_ms,
            provider_code=settled.code,
            in_doubt=in_doubt,
            recipients_refused=settled.refused,
        )
        return Output(self._names.retry, self._encoding.encode_retry(event), head.message_id.encode())

    def dead_letter(
        self,
        facts: Facts,
        value: bytes | None,
        reason: Reason,
        message_id: str | None = None,
        attempts: int = 0,
        field_name: str | None = None,
    ) -> Output:
        """Return the dead letter of a record: whole, or a pointer with hash and prefix where it is too large."""
        origin = facts.origin
        truncated = value is not None and len(value) > self._dead_letter_max
        letter = DeadLetter(
            event_id=event_id("dead", *origin),
            message_id=message_id,
            occurred_at_ms=self._now_ms(),
            reason=reason,
            field_name=field_name,
            attempts=attempts,
            origin=origin,
            origin_timestamp_ms=facts.produced_at_ms,
            value=value[:_PREFIX_BYTES] if truncated and value else value,
            value_size_bytes=len(value or b""),
            value_sha256=sha256(value or b"").hexdigest(),
            truncated=truncated,
        )
        DEAD_LETTERS.labels(reason).inc()
        key = None if message_id is None else message_id.encode()
        return Output(self._names.dead_letter, self._encoding.encode_dead_letter(letter), key)

    def lane(self, head: Head) -> Lane | None:
        """Return the lane of a message, where its channel is configured."""
        channel = self._plan.channels.get(head.channel)
        return None if channel is None else lane_of(head.priority, channel, self._plan.lanes)

    def _channel(self, head: Head) -> str:
        return head.channel if head.channel in self._plan.channels else _UNCONFIGURED


def public_id(message_id: str) -> str:
    """Return *message_id*, or a hash of one that may be a path, a header line or ten kilobytes: those go nowhere."""
    if MESSAGE_ID.fullmatch(message_id):
        return message_id
    return "invalid-" + blake2b(message_id.encode("utf-8", "surrogatepass"), digest_size=16).hexdigest()


def _reference(text: str | None) -> str | None:
    """Return an external or campaign id, or None for one that no event has room for: the message is REJECTED for it."""
    return None if too_long(text) else text


def first_facts(record: Record, now_ms: int) -> Facts:
    """Return the facts of a record that has none of ours yet, and was just read."""
    topic, partition = record.place
    return Facts(Origin(topic, partition, record.offset), now_ms, record.timestamp_ms, now_ms)


def due(facts: Facts, due_at_ms: int) -> Facts:
    """Return *facts* with another due instant."""
    return facts if facts.due_at_ms == due_at_ms else facts._replace(due_at_ms=due_at_ms)
