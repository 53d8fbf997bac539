"""A producer for what must be in Kafka before somebody else is told so; records do not belong to a transaction."""

import asyncio
from collections.abc import Callable
from functools import partial
from typing import Final

from confluent_kafka import KafkaError, KafkaException, Message, Producer

from processor.kafka.connection import Connection

DELIVERY_TIMEOUT_MS: Final = 5_000
_POLL_S: Final = 0.002

Acknowledged = asyncio.Future[None]

Told = Callable[[KafkaError | None, Message | None], None]
"""Is called with None once all in-sync replicas have a record, or with the reason why they do not get it."""


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
        self._asks = False

    async def publish(self, topic: str, key: bytes, value: bytes) -> None:
        """Return once all in-sync replicas have the record; raises `KafkaException` where they do not get it."""
        await self.soon(topic, key, value)

    def soon(self, topic: str, key: bytes, value: bytes) -> Acknowledged:
        """Return what is done once `publish` would return; who gives up waiting may end it himself."""
        acknowledged: Acknowledged = asyncio.get_running_loop().create_future()
        self.hand(topic, key, value, partial(_settle, acknowledged))
        return acknowledged

    def hand(self, topic: str, key: bytes, value: bytes, told: Told) -> None:
        """Publish as `soon` does and call *told*, maybe at once: for those who publish so much that a future counts."""
        try:
            self._producer.produce(topic, value, key, -1, told)
        except BufferError:
            told(KafkaError(KafkaError._QUEUE_FULL), None)  # noqa: SLF001 - librdkafka's own name
        except KafkaException as refused:
            told(refused.args[0], None)
        else:
            if not self._asks:
                self._asks = True
                self._ask_later(asyncio.get_running_loop())

    def close(self) -> None:
        """Send what is under way, within the delivery time-out."""
        self._producer.flush(DELIVERY_TIMEOUT_MS / 1_000)

    def _ask(self, loop: asyncio.AbstractEventLoop) -> None:
        try:
            self._producer.poll(0)
        finally:  # whatever one of those who were told raises, the others must be told, too
            self._asks = len(self._producer) > 0
            if self._asks:
                self._ask_later(loop)

    def _ask_later(self, loop: asyncio.AbstractEventLoop) -> None:
        loop.call_later(_POLL_S, self._ask, loop)


def _settle(acknowledged: Acknowledged, error: KafkaError | None, _: Message | None) -> None:
    if acknowledged.done():
        return  # who waited was cancelled
    if error is None:
        acknowledged.set_result(None)
    else:
        acknowledged.set_exception(KafkaException(error))
