"""A producer for what must be in Kafka before somebody else is told so; records do not belong to a transaction."""

import asyncio
import threading
from typing import Any, Final

from confluent_kafka import KafkaError, KafkaException, Message, Producer

from processor.kafka.connection import Connection

DELIVERY_TIMEOUT_MS: Final = 5_000
_POLL_S: Final = 0.1


class Reliable:
    """Publishes records one by one, idempotently; a thread of its own hears what became of them."""

    def __init__(self, connection: Connection) -> None:
        """Connect to the cluster."""
        self._producer = Producer(
            connection.common()
            | {
                "enable.idempotence": True,
                "acks": "all",
                "linger.ms": 2,
                "partitioner": "murmur2_random",
                "message.timeout.ms": DELIVERY_TIMEOUT_MS,
            }
        )
        self._closing = threading.Event()
        self._thread = threading.Thread(target=self._hear, name="reliable", daemon=True)
        self._thread.start()

    async def publish(self, topic: str, key: bytes, value: bytes) -> None:
        """Return once all in-sync replicas have the record; raises `KafkaException` where they do not get it."""
        loop = asyncio.get_running_loop()
        acknowledged: asyncio.Future[None] = loop.create_future()

        def delivered(error: KafkaError | None, _: Message) -> None:
            loop.call_soon_threadsafe(_end, acknowledged, error)

        try:
            self._producer.produce(topic, value, key, on_delivery=delivered)
        except BufferError:
            raise KafkaException(KafkaError(KafkaError._QUEUE_FULL)) from None  # noqa: SLF001
        await acknowledged

    def close(self) -> None:
        """Send what is under way, within the delivery time-out, and end the thread."""
        self._producer.flush(DELIVERY_TIMEOUT_MS / 1_000)
        self._closing.set()
        self._thread.join()

    def _hear(self) -> None:
        while not self._closing.is_set():
            self._producer.poll(_POLL_S)


def _end(acknowledged: "asyncio.Future[Any]", error: KafkaError | None) -> None:
    if acknowledged.done():
        return  # who waited was cancelled
    if error is None:
        acknowledged.set_result(None)
    else:
        acknowledged.set_exception(KafkaException(error))
