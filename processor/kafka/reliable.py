"""A producer for what must be in Kafka before somebody else is told so; records do not belong to a transaction."""

import asyncio
from collections import deque
from typing import Final

from confluent_kafka import KafkaError, KafkaException, Message, Producer

from processor.kafka.connection import Connection

DELIVERY_TIMEOUT_MS: Final = 5_000
_POLL_S: Final = 0.002

Acknowledged = asyncio.Future[None]


class Reliable:
    """
    Publishes records one by one, idempotently; used from one event loop.

    That loop itself asks, every 2 ms while records are under way, what became of them. In a thread of its own
    each acknowledgement would wait for the interpreter (5 ms, where the loop is busy), and then wake the loop, which
    costs more than to publish a record.
    """

    def __init__(self, connection: Connection, *, linger_ms: int = 2) -> None:
        """Connect to the cluster; records are gathered for *linger_ms*."""
        self._producer = Producer(
            connection.common()
            | {
                "enable.idempotence": True,
                "acks": "all",
                "linger.ms": linger_ms,
                "partitioner": "murmur2_random",
                "message.timeout.ms": DELIVERY_TIMEOUT_MS,
            }
        )
        self._heard: deque[tuple[Acknowledged, KafkaError | None]] = deque()
        self._asks = False

    async def publish(self, topic: str, key: bytes, value: bytes) -> None:
        """Return once all in-sync replicas have the record; raises `KafkaException` where they do not get it."""
        await self.soon(topic, key, value)

    def soon(self, topic: str, key: bytes, value: bytes) -> Acknowledged:
        """Return what is done once `publish` would return; who gives up waiting may end it himself."""
        loop = asyncio.get_running_loop()
        acknowledged: Acknowledged = loop.create_future()

        def delivered(error: KafkaError | None, _: Message) -> None:
            self._heard.append((acknowledged, error))

        try:
            self._producer.produce(topic, value, key, on_delivery=delivered)
        except (BufferError, KafkaException) as refused:
            acknowledged.set_exception(_refused(refused))
            return acknowledged
        if not self._asks:
            self._asks = True
            loop.call_later(_POLL_S, self._ask, loop)
        return acknowledged

    def close(self) -> None:
        """Send what is under way, within the delivery time-out."""
        self._producer.flush(DELIVERY_TIMEOUT_MS / 1_000)

    def _ask(self, loop: asyncio.AbstractEventLoop) -> None:
        self._producer.poll(0)
        while self._heard:
            acknowledged, error = self._heard.popleft()
            if acknowledged.done():
                continue  # who waited was cancelled
            if error is None:
                acknowledged.set_result(None)
            else:
                acknowledged.set_exception(KafkaException(error))
        self._asks = len(self._producer) > 0
        if self._asks:
            loop.call_later(_POLL_S, self._ask, loop)


def _refused(refused: BufferError | KafkaException) -> KafkaException:
    if isinstance(refused, KafkaException):
        return refused
    return KafkaException(KafkaError(KafkaError._QUEUE_FULL))  # noqa: SLF001 - librdkafka's own name
