"""Reads what every instance publishes, so that each knows which acts were seen before, and how messages fare."""

import threading
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Final

from confluent_kafka import OFFSET_END, Consumer, KafkaException, Message, TopicPartition

from processor.codec.errors import RegistryUnavailable, Unreadable
from processor.codec.events import EventCodec
from processor.core.events import DeliveryEvent, EngagementEvent
from processor.kafka.connection import Connection
from processor.logs import logger

log = logger()

BACK_S: Final = 24 * 3_600
"""How far back a process that starts reads."""

RECORDS_BACK_MAX: Final = 200_000
"""Of each partition, at most."""

_ID_WITHIN: Final = 20  # the framing, a length, and the beginning of the event's id
_BATCH: Final = 200  # then the event loop has a turn
_WAIT_S: Final = 0.5
_ANSWER_S: Final = 5.0
_AGAIN_S: Final = 2.0

Followed = EngagementEvent | DeliveryEvent


class Follower:
    """A thread with a consumer that joins no group and commits nothing; *take* gets events in batches."""

    def __init__(
        self,
        connection: Connection,
        partitions: Mapping[str, int],
        codec: EventCodec,
        take: Callable[[Sequence[Followed]], None],
        mark: str,
    ) -> None:
        """Follow each topic of *partitions*; what begins with *mark* is our own, and known."""
        self._own = mark.encode()
        self._connection = connection
        self._places = [(topic, number) for topic, count in partitions.items() for number in range(count)]
        self._codec = codec
        self._take = take
        self._closing = threading.Event()
        self._thread = threading.Thread(target=self._run, name="tracking.follower", daemon=True)
        self._thread.start()

    def close(self) -> None:
        """End the thread."""
        self._closing.set()
        self._thread.join()

    def _run(self) -> None:
        consumer = Consumer(
            self._connection.common()
            | {
                "group.id": "commproc.tracking",  # needed by the client; never joined, nothing is committed
                "isolation.level": "read_committed",
                "enable.auto.commit": False,
                "auto.offset.reset": "latest",
                "queued.max.messages.kbytes": 4_096,
                # Nobody waits for what is learned here: few, large answers.
                "fetch.wait.max.ms": 500,
                "fetch.min.bytes": 65_536,
            }
        )
        try:
            self._begin(consumer)
            while not self._closing.is_set():
                self._told(consumer.consume(_BATCH, _WAIT_S))
        finally:
            consumer.close()

    def _begin(self, consumer: Consumer) -> None:
        since_ms = int((time.time() - BACK_S) * 1_000)
        while not self._closing.is_set():
            try:
                consumer.assign([self._start(consumer, place, since_ms) for place in self._places])
            except KafkaException as error:
                log.warning("follower.waits", stage="tracking", error=error)
                self._closing.wait(_AGAIN_S)
            else:
                return

    @staticmethod
    def _start(consumer: Consumer, place: tuple[str, int], since_ms: int) -> TopicPartition:
        low, high = consumer.get_watermark_offsets(TopicPartition(*place), timeout=_ANSWER_S)
        (found,) = consumer.offsets_for_times([TopicPartition(*place, since_ms)], timeout=_ANSWER_S)
        offset = high if found.offset in {OFFSET_END, -1} else found.offset
        return TopicPartition(*place, max(low, offset, high - RECORDS_BACK_MAX))

    def _told(self, messages: Sequence[Message]) -> None:
        events = [event for event in map(self._event, messages) if event is not None]
        if events:
            self._take(events)

    def _event(self, message: Message) -> Followed | None:
        if message.error() is not None:
            return None  # the client goes on by itself
        value = message.value() or b""
        if self._own in value[:_ID_WITHIN]:  # to decode a record takes a tenth of what a click may take
            return None
        try:
            event = self._codec.decode_event(value)
        except (Unreadable, RegistryUnavailable):
            return None
        return event if isinstance(event, EngagementEvent | DeliveryEvent) else None
