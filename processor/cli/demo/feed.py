"""Produces the messages of the demo in a thread of its own, and keeps what Kafka acknowledged."""

import threading
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from time import monotonic, time_ns
from typing import Any, Final, Self

from confluent_kafka import KafkaError, Producer

from processor.cli.demo.mix import Ask
from processor.codec.outbound import OutboundCodec
from processor.core.message import Origin
from processor.kafka.connection import Connection
from processor.kafka.topics import Names

FLUSH_S: Final = 30.0


def now_ms() -> int:
    """Return Unix milliseconds, by the clock that the sandbox's ledger is written with."""
    return time_ns() // 1_000_000


@dataclass(frozen=True, slots=True)
class Acknowledged:
    """A message that Kafka has: from here on it must be accounted for."""

    ask: Ask
    at_ms: int
    origin: Origin
    due_at_ms: int | None  # its start


class Feed:
    """The producer of the demo."""

    def __init__(self, connection: Connection, names: Names, codec: OutboundCodec, asks: Sequence[Ask]) -> None:
        """Produce *asks* to the inbound topics of *names*."""
        self.acknowledged: dict[str, Acknowledged] = {}
        self.refused: list[str] = []  # names of Kafka's errors
        self.asked = len(asks)
        self._names, self._codec, self._asks = names, codec, asks
        self._stopping = threading.Event()
        self._producer = Producer(
            connection.common()
            | {"acks": "all", "enable.idempotence": True, "linger.ms": 0, "partitioner": "murmur2_random"}
        )
        self._thread = threading.Thread(target=self._run, name="feed")

    def __enter__(self) -> Self:
        """Begin."""
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        """Stop, also halfway."""
        self._stopping.set()
        self._thread.join()

    @property
    def done(self) -> bool:
        """Tell whether every message was acknowledged or refused."""
        return not self._thread.is_alive()

    def _run(self) -> None:
        began_s = monotonic()
        for ask in self._asks:
            while (wait_s := began_s + ask.after_ms / 1_000 - monotonic()) > 0 and not self._stopping.is_set():
                self._producer.poll(wait_s)
            if self._stopping.is_set():
                break
            self._produce(ask)
        if self._producer.flush(FLUSH_S):
            self.refused.append("no answer")

    def _produce(self, ask: Ask) -> None:
        produced_ms = now_ms()
        value, due_at_ms = ask.garbage, None
        if not ask.case.garbage:
            message = ask.message(produced_ms)
            value, due_at_ms = self._codec.encode_message(message), message.head.start_at_ms
        topic = self._names.express if ask.express else self._names.outbound
        told = partial(self._told, ask, due_at_ms)
        self._producer.produce(topic, value, ask.message_id, on_delivery=told)
        self._producer.poll(0)

    def _told(self, ask: Ask, due_at_ms: int | None, error: KafkaError | None, record: Any) -> None:
        if error is not None:
            self.refused.append(error.name())
            return
        # Not the instant of this call: the callback waits until somebody polls. Both figures are librdkafka's.
        at_ms = record.timestamp()[1] + round(record.latency() * 1_000)
        origin = Origin(record.topic(), record.partition(), record.offset())
        self.acknowledged[ask.message_id] = Acknowledged(ask, at_ms, origin, due_at_ms)
