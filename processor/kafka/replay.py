"""A topic read by nobody's group: from an instant on, to its end, and then as it grows."""

from collections.abc import Iterable, Iterator, Mapping
from typing import Final

from confluent_kafka import Consumer, KafkaError, KafkaException, Message, TopicPartition

from processor.kafka.connection import Connection

_ANSWER_S: Final = 2.0
_AGAIN_S: Final = 0.5


class Replay:
    """
    The committed records of all partitions of a topic since an instant; one thread uses it.

    *positions* tells for each partition up to which offset everything was taken in: a record is, once the next one is
    asked for. *current*, whether the end of each was seen once, so that what is missing has not happened long ago.
    """

    def __init__(self, connection: Connection, topic: str, partitions: int, since_ms: int) -> None:
        """Read nothing yet."""
        self.positions: dict[int, int] = {}
        self._topic = topic
        self._partitions = partitions
        self._since_ms = since_ms
        self._ended: set[int] = set()
        self._consumer = Consumer(connection.reader(f"{topic}.replay"))

    @property
    def current(self) -> bool:
        """Tell whether the end of every partition was reached since the start."""
        return len(self._ended) == self._partitions

    def poll(self, most: int, timeout_s: float) -> Iterator[Message]:
        """Return up to *most* records, to be taken to the end; none while Kafka is away. Waits for the first one."""
        if not self.positions and not self._started():
            return iter(())
        messages = self._consumer.consume(1, timeout_s)
        if messages and most > 1:
            messages += self._consumer.consume(most - 1, 0)
        return self._handed_over(messages)

    def reaches(self, offsets: Mapping[int, int]) -> bool:
        """Tell whether everything before *offsets* was taken in."""
        return all(self.positions.get(partition, -1) >= offset for partition, offset in offsets.items())

    def close(self) -> None:
        """Let the consumer go."""
        self._consumer.close()

    def _started(self) -> bool:
        """Start each partition at the first record since the instant; False where Kafka does not tell it."""
        asked = [TopicPartition(self._topic, each, self._since_ms) for each in range(self._partitions)]
        try:
            # Before the times: where nothing is that young, what comes behind this end is.
            ends = {part.partition: end_of(self._consumer, part) for part in asked}
            found = self._consumer.offsets_for_times(asked, _ANSWER_S)
        except KafkaException:
            self._consumer.poll(_AGAIN_S)
            return False
        if any(part.error is not None for part in found):
            return False
        starts = {part.partition: part.offset if part.offset >= 0 else ends[part.partition] for part in found}
        self.positions = starts
        self._consumer.assign([TopicPartition(self._topic, each, offset) for each, offset in starts.items()])
        return True

    def _handed_over(self, messages: Iterable[Message]) -> Iterator[Message]:
        for message in messages:
            error, partition, offset = message.error(), message.partition() or 0, message.offset() or 0
            if error is None:
                yield message
                self.positions[partition] = offset + 1
            elif error.code() == KafkaError._PARTITION_EOF:  # noqa: SLF001 - librdkafka's own name
                self.positions[partition] = max(offset, self.positions[partition])
                self._ended.add(partition)
            elif error.fatal():
                raise KafkaException(error)


def end_of(consumer: Consumer, place: TopicPartition) -> int:
    """Return the offset behind the last record of a partition, as *consumer* is let see it; raises `KafkaException`."""
    marks = consumer.get_watermark_offsets(place, _ANSWER_S)
    if marks is None:
        raise KafkaException(KafkaError(KafkaError._TIMED_OUT))  # noqa: SLF001 - librdkafka's own name
    return int(marks[1])
