"""Partitions read by nobody's group from an instant on, up to where they ended when they were asked for."""

from collections.abc import Callable, Iterator
from time import monotonic
from types import TracebackType
from typing import Final, Self

from confluent_kafka import Consumer, KafkaError, KafkaException, Message, TopicPartition

from processor.kafka.connection import Connection
from processor.kafka.replay import end_of

_ANSWER_S: Final = 2.0
_POLL_S: Final = 0.1
_MOST: Final = 100
_SILENCE_S: Final = 30.0  # longer than a dead owner's transaction stays open


class Unwanted(Exception):
    """Nobody waits for the answer any more."""


class Since:
    """
    The committed records of a topic since *since_ms*; one thread uses it, and may be kept waiting.

    The end is where the log ends, open transactions included: when a group's commit is stable, the transaction that
    made it may still be open in another partition for a moment. A reader of committed records waits there, and a
    dead owner's transaction that nobody ends keeps it waiting until its time-out.

    Raises `KafkaException` or `TimeoutError` where Kafka does not tell, and `Unwanted` once *wanted* returns False.
    """

    def __init__(self, connection: Connection, topic: str, since_ms: int, wanted: Callable[[], bool]) -> None:
        """Read nothing yet."""
        self._topic = topic
        self._since_ms = since_ms
        self._wanted = wanted
        settings = connection.reader(f"{topic}.since")
        self._reader = Consumer(settings)
        self._ends = Consumer(settings | {"isolation.level": "read_uncommitted"})  # tells where a log really ends

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._reader.close()
        self._ends.close()

    def partitions_of(self, topic: str) -> int:
        """Return how many partitions *topic* has now."""
        found = self._reader.list_topics(topic, _ANSWER_S).topics[topic]
        if found.error is not None:
            raise KafkaException(found.error)
        return len(found.partitions)

    def values(self, partition: int) -> Iterator[bytes | None]:
        """Yield the values of a partition in their order."""
        start, end = self._bounds(partition)
        if start >= end:
            return
        self._reader.assign([TopicPartition(self._topic, partition, start)])
        position, read_at_s = start, monotonic()
        while position < end:
            if not self._wanted():
                raise Unwanted
            messages = self._reader.consume(_MOST, _POLL_S)
            for message in messages:
                if message.error() is None:
                    yield message.value()
                position = max(position, _after(message))
            if messages:
                read_at_s = monotonic()
            elif monotonic() - read_at_s > _SILENCE_S:
                raise TimeoutError

    def _bounds(self, partition: int) -> tuple[int, int]:
        """Return the first offset since the instant and the one behind the last; equal where there is none."""
        place = TopicPartition(self._topic, partition)
        # Before the times: where nothing committed is that young, what comes behind this end may be.
        stable = end_of(self._reader, place)
        (found,) = self._reader.offsets_for_times([TopicPartition(self._topic, partition, self._since_ms)], _ANSWER_S)
        if found.error is not None:
            raise KafkaException(found.error)
        return found.offset if found.offset >= 0 else stable, end_of(self._ends, place)


def _after(message: Message) -> int:
    """Return the offset that comes next; that of an end lies behind the markers, which are no records."""
    error, offset = message.error(), message.offset() or 0
    if error is None:
        return offset + 1
    if error.code() == KafkaError._PARTITION_EOF:  # noqa: SLF001
        return offset
    if error.fatal() or error.code() == KafkaError.UNKNOWN_TOPIC_OR_PART:
        raise KafkaException(error)
    return 0
