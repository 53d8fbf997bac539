"""Reads topics from one place to another, without a group: nothing is committed, nobody is disturbed."""

from collections.abc import Iterator, Mapping
from time import monotonic
from typing import Final, Self

from confluent_kafka import OFFSET_BEGINNING, OFFSET_END, Consumer, KafkaError, KafkaException, Message, TopicPartition

from processor.kafka.committed import Place
from processor.kafka.connection import Connection

_BATCH: Final = 1_000
_WAIT_S: Final = 0.2
BEGINNING: Final = OFFSET_BEGINNING
NOW: Final = OFFSET_END


class Scan:
    """
    The committed records of some partitions, from the given offsets on.

    *follow*: go on beyond the present ends until the deadline; *ends*: stop at these instead, which lie behind a start.
    *whole* tells afterwards whether each partition was read to its end.
    """

    def __init__(
        self,
        connection: Connection,
        starts: Mapping[Place, int],
        *,
        follow: bool = False,
        ends: Mapping[Place, int] | None = None,
    ) -> None:
        """Read from *starts*, or from what is left where those offsets are gone."""
        self._starts = starts
        self._ends = ends
        self._open = set(starts)
        self._follow = follow
        self._consumer = Consumer(connection.reader("commproc.cli", wait_ms=50))

    def __enter__(self) -> Self:
        """Begin."""
        self._consumer.assign([TopicPartition(*place, offset) for place, offset in self._starts.items()])
        return self

    def __exit__(self, *_: object) -> None:
        """Let the consumer go."""
        self._consumer.close()

    @property
    def whole(self) -> bool:
        """Tell whether every partition was read to its end."""
        return not self._open

    def records(self, *, within_s: float | None = None) -> Iterator[Message]:
        """Yield records until the ends, or for *within_s*. Raises `KafkaException` for what will not pass."""
        deadline_s = None if within_s is None else monotonic() + within_s
        while (self._follow or self._open) and (deadline_s is None or monotonic() < deadline_s):
            for message in self._consumer.consume(_BATCH, _WAIT_S):
                if message.error() is not None:
                    self._heard(message)
                elif self._ends is None or self._is_before_its_end(message, self._ends):
                    yield message

    def _is_before_its_end(self, message: Message, ends: Mapping[Place, int]) -> bool:
        place, offset = (message.topic() or "", message.partition() or 0), message.offset() or 0
        if offset + 1 >= ends[place]:
            self._open.discard(place)
        return offset < ends[place]

    def _heard(self, message: Message) -> None:
        error = message.error()
        if error is None:
            return
        if error.code() == KafkaError._PARTITION_EOF:  # noqa: SLF001 - librdkafka's own name
            self._open.discard((message.topic() or "", message.partition() or 0))
        elif error.fatal() or error.code() in {KafkaError.UNKNOWN_TOPIC_OR_PART, KafkaError.TOPIC_AUTHORIZATION_FAILED}:
            raise KafkaException(error)


def starts_at(counts: Mapping[str, int], offset: int) -> dict[Place, int]:
    """Return every partition of the topics in *counts*, each at *offset*."""
    return {(topic, partition): offset for topic, count in counts.items() for partition in range(count)}
