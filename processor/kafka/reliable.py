"""A producer for what must be in Kafka before somebody else is told so; records do not belong to a transaction."""

import asyncio
import threading
from contextlib import suppress
from typing import Final

from confluent_kafka import KafkaError, KafkaException, Message, Producer

from processor.kafka.connection import Connection

DELIVERY_TIMEOUT_MS: Final = 5_000
_POLL_S: Final = 0.1

Acknowledged = asyncio.Future[None]


class Reliable:
    """
    Publishes records one by one, idempotently; a thread of its own hears what became of them.

    An event loop is woken once for all records that were acknowledged since it last looked: waking it costs more
    than publishing a record.
    """

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
        self._lock = threading.Lock()
        self._heard: dict[asyncio.AbstractEventLoop, list[tuple[Acknowledged, KafkaError | None]]] = {}
        self._closing = threading.Event()
        self._thread = threading.Thread(target=self._hear, name="reliable", daemon=True)
        self._thread.start()

    async def publish(self, topic: str, key: bytes, value: bytes) -> None:
        """Return once all in-sync replicas have the record; raises `KafkaException` where they do not get it."""
        loop = asyncio.get_running_loop()
        acknowledged: Acknowledged = loop.create_future()

        def delivered(error: KafkaError | None, _: Message) -> None:
            self._wake(loop, acknowledged, error)

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

    def _wake(self, loop: asyncio.AbstractEventLoop, acknowledged: Acknowledged, error: KafkaError | None) -> None:
        with self._lock:
            heard = self._heard.get(loop)
            if heard is not None:  # it is awake, or soon will be
                heard.append((acknowledged, error))
                return
            self._heard[loop] = [(acknowledged, error)]
        with suppress(RuntimeError):  # it is closed: nobody waits any more
            loop.call_soon_threadsafe(self._end, loop)

    def _end(self, loop: asyncio.AbstractEventLoop) -> None:
        with self._lock:
            heard = self._heard.pop(loop)
        for acknowledged, error in heard:
            if acknowledged.done():
                continue  # who waited was cancelled
            if error is None:
                acknowledged.set_result(None)
            else:
                acknowledged.set_exception(KafkaException(error))
