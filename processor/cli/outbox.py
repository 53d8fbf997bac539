"""Puts messages on the inbound topics and counts what Kafka acknowledged."""

from collections.abc import Callable
from functools import partial
from typing import Final

from confluent_kafka import KafkaError, Producer

from processor.cli.compose import Row, Wrong, message_of
from processor.codec.outbound import OutboundCodec
from processor.core.clock import Clock
from processor.core.lanes import lane_of
from processor.core.message import Message
from processor.core.plan import Plan
from processor.core.refusal import refusal
from processor.core.words import Lane, Reason
from processor.kafka.connection import Connection
from processor.kafka.topics import Names
from processor.stages.zones import zones

Told = Callable[[int, str], object]
"""Is told a line's number, and a message id or an error."""

WRITE: Final = {  # what to write where the processor would reject a message
    Reason.INVALID_MESSAGE_ID: "write 1 to 64 of A-Z a-z 0-9 . _ : -",
    Reason.INVALID_PRIORITY: "write 0 to 9, 9 the most urgent",
    Reason.INVALID_TIME_ZONE: "write an IANA name, such as Europe/Bucharest",
    Reason.INVALID_INTERVAL: "write two different times of day, such as 08:00 and 20:00",
    Reason.INVALID_INSTANT: "write an instant between 1970 and 9999",
    Reason.END_BEFORE_START: "write an instant after start_at",
    Reason.INVALID_RETRY: "write a number that docs/configuration.md allows",
    Reason.INVALID_REFERENCE: "write at most 1,024 characters",
}
KAFKA_SAYS: Final = {
    KafkaError.UNKNOWN_TOPIC_OR_PART: "the inbound topic is missing; run `commproc topics apply`",
    KafkaError._UNKNOWN_TOPIC: "the inbound topic is missing; run `commproc topics apply`",  # noqa: SLF001
    KafkaError.MSG_SIZE_TOO_LARGE: "the inbound topic does not take messages this large; run `commproc topics apply`",
}


class Outbox:
    """An idempotent producer; *sent* and *failed* are told of each line once Kafka, or a check, has decided."""

    def __init__(
        self,
        connection: Connection,
        names: Names,
        plan: Plan,
        codec: OutboundCodec,
        clock: Clock,
        *,
        sent: Told,
        failed: Told,
    ) -> None:
        """Count from 0."""
        self.acknowledged = 0
        self.failed_lines = 0
        self._names, self._plan, self._codec, self._clock = names, plan, codec, clock
        self._sent, self._failed = sent, failed
        self._producer = Producer(
            connection.common()
            | {
                "enable.idempotence": True,
                "acks": "all",
                "partitioner": "murmur2_random",  # as Java producers choose
                "linger.ms": 5,
                "message.max.bytes": 16_777_216,
                "delivery.timeout.ms": 30_000,
            }
        )

    def put(self, line: int, row: Row) -> None:
        """Check and produce one message; a wrong one is counted and told."""
        try:
            message = message_of(row, now_ms=self._clock.now_ms())
            topic = self._topic(message)
            value = self._encoded(message)
        except Wrong as wrong:
            self.refuse(line, str(wrong))
            return
        done = partial(self._done, line, message.head.message_id)
        while True:
            try:
                self._producer.produce(topic, value, message.head.message_id, on_delivery=done)
            except BufferError:
                self._producer.poll(0.1)
            else:
                self._producer.poll(0)
                return

    def refuse(self, line: int, why: str) -> None:
        """Count a line that cannot be sent."""
        self.failed_lines += 1
        self._failed(line, why)

    def flush(self) -> None:
        """Wait until Kafka has decided about everything."""
        while self._producer.flush(1.0):
            pass

    def _topic(self, message: Message) -> str:
        head = message.head
        end = refusal(head, self._plan, zones)
        if end is not None:
            raise Wrong(end.field_name or "message", self._what_to_write(end.reason, head.channel))
        lane = lane_of(head.priority, self._plan.channels[head.channel], self._plan.lanes)
        return self._names.express if lane is Lane.EXPRESS else self._names.outbound

    def _what_to_write(self, reason: Reason, channel: str) -> str:
        if reason is Reason.UNKNOWN_CHANNEL:
            return f"write one of {', '.join(self._plan.channels)}"
        if reason in {Reason.UNKNOWN_PROVIDER, Reason.PROVIDER_NOT_ON_CHANNEL}:
            return f"write one of {', '.join(self._plan.channels[channel].providers)}"
        return WRITE.get(reason, str(reason))

    def _encoded(self, message: Message) -> bytes:
        try:
            value = self._codec.encode_message(message)
        except ValueError:
            raise Wrong("", "write UTF-8, and numbers that fit their field") from None
        if len(value) > self._plan.message_bytes_max:
            raise Wrong("message", f"is larger than limits.message_bytes_max, {self._plan.message_bytes_max} bytes")
        return value

    def _done(self, line: int, message_id: str, error: KafkaError | None, _: object) -> None:
        if error is None:
            self.acknowledged += 1
            self._sent(line, message_id)
        else:
            self.refuse(line, KAFKA_SAYS.get(error.code(), f"Kafka did not take it ({error.name()})"))
