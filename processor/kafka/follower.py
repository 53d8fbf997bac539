"""Follows whole topics from their beginning, without a group: every process reads everything, and goes on reading."""

from collections.abc import Callable, Mapping
from typing import Final

from confluent_kafka import OFFSET_BEGINNING, Consumer, KafkaError, KafkaException, Message, TopicPartition

from processor.kafka.committed import Place
from processor.kafka.connection import IDLE_WAIT_MS, Connection

_ASK_EVERY_S: Final = 2.0
_ANSWER_S: Final = 1.0


class Follower:
    """
    The committed records of some topics, in the order of each partition; one thread uses it.

    It survives brokers that go and come back, and says for how long it has not known that it is at the end. A record
    may come again where a log was cut off (an unclean election): what is made of the records must bear that.
    """

    def __init__(self, connection: Connection, topics: Mapping[str, int], monotonic_s: Callable[[], float]) -> None:
        """Begin with every partition of *topics*, which names the partitions of each."""
        places = [(topic, partition) for topic, count in topics.items() for partition in range(count)]
        self._monotonic_s = monotonic_s
        self._next: dict[Place, int] = dict.fromkeys(places, -1)  # the offset that comes next; -1: not known
        self._unread = set(places)
        self._level_at_s = self._ask_at_s = monotonic_s()
        self._consumer = Consumer(connection.reader("commproc.follower", wait_ms=IDLE_WAIT_MS))
        self._consumer.assign([TopicPartition(*place, OFFSET_BEGINNING) for place in places])

    @property
    def caught_up(self) -> bool:
        """Tell whether every partition was read to where it ended when its reading began, or beyond."""
        return not self._unread

    def poll(self, most: int, timeout_s: float) -> list[Message]:
        """Return up to *most* records; waits up to *timeout_s* for the first. Raises `KafkaException` if fatal."""
        messages = self._consumer.consume(1, timeout_s)
        if messages and most > 1:
            messages += self._consumer.consume(most - 1, 0)
        return [message for message in messages if self._is_record(message)]

    def behind_s(self) -> float:
        """
        Return for how long it has not been known that everything was read; 0 while it is.

        The brokers are asked for the ends every 2 s, for a client says nothing of itself where a leader is away;
        between two answers that all was read, it counts as read.
        """
        now_s = self._monotonic_s()
        if now_s >= self._ask_at_s:
            self._ask_at_s = now_s + _ASK_EVERY_S
            if self.caught_up and all(self._is_level(place) for place in self._next):
                self._level_at_s = self._monotonic_s()
        silent_s = self._monotonic_s() - self._level_at_s
        return silent_s if silent_s > 2 * _ASK_EVERY_S or not self.caught_up else 0.0

    def close(self) -> None:
        """Let the consumer go."""
        self._consumer.close()

    def _is_level(self, place: Place) -> bool:
        try:
            _, end = self._consumer.get_watermark_offsets(TopicPartition(*place), timeout=_ANSWER_S)
        except KafkaException:
            return False
        return self._next[place] >= end

    def _is_record(self, message: Message) -> bool:
        place = (message.topic() or "", message.partition() or 0)
        error = message.error()
        if error is None:
            self._next[place] = (message.offset() or 0) + 1
            return True
        if error.code() == KafkaError._PARTITION_EOF:  # noqa: SLF001 - librdkafka's own name
            self._next[place] = message.offset() or 0
            self._unread.discard(place)
        elif error.fatal() or error.code() == KafkaError._FATAL:  # noqa: SLF001
            raise KafkaException(error)
        return False  # anything else passes by itself, or shows in `behind_s`
