"""The committed offsets of our groups, as an operator sees and sets them."""

from collections.abc import Iterable
from typing import Final

from confluent_kafka import ConsumerGroupState, ConsumerGroupTopicPartitions, KafkaException, TopicPartition
from confluent_kafka.admin import AdminClient, OffsetSpec

from processor.core.words import Lane
from processor.kafka.committed import Committed, Place, committed_now
from processor.kafka.connection import Connection
from processor.kafka.journal import encode
from processor.kafka.topics import Names

_TIMEOUT_S: Final = 30.0
_IDLE: Final = {ConsumerGroupState.EMPTY, ConsumerGroupState.DEAD, ConsumerGroupState.UNKNOWN}


class NotReleased(Exception):
    """An offset cannot be set like this; the text says why and what to do."""


def group_of(topic: str, names: Names) -> str | None:
    """Return the consumer group that reads *topic*; None for the topics that we only write."""
    if topic in {names.outbound, names.express}:
        return names.group("intake", "express" if topic == names.express else "rest")
    if topic in {names.receipts, names.parts}:
        return names.group("tracking", "receipts")
    kind, _, rest = topic.removeprefix(f"{names.prefix}.").partition(".")
    if kind == "delay":
        return names.group("delay", rest.partition(".")[0])
    if kind == "send":
        return names.group("dispatch", "express" if names.send_parts(topic)[1] is Lane.EXPRESS else "rest")
    return None


class Offsets:
    """The offsets of the groups under one prefix."""

    def __init__(self, connection: Connection, names: Names) -> None:
        """Ask the cluster of *connection*."""
        self._connection = connection
        self._admin = AdminClient(connection.common())
        self._names = names

    def committed(self, places: Iterable[Place], *, within_s: float = _TIMEOUT_S) -> dict[Place, Committed | None]:
        """
        Return the commit of each of *places* by its own group; None where it is gone.

        Raises `TimeoutError` where that of a group does not become known within *within_s*.
        """
        by_group: dict[str, list[Place]] = {}
        for place in places:
            group = group_of(place[0], self._names)
            if group is not None:
                by_group.setdefault(group, []).append(place)
        found: dict[Place, Committed | None] = {}
        for group, wanted in by_group.items():
            found |= committed_now(self._connection, group, wanted, within_s=within_s)
        return found

    def release(self, topic: str, partition: int, offset: int) -> None:
        """
        Let a held partition start again at *offset*, with a journal that says that nothing above it has started.

        Raises `NotReleased` where its group has members or the log does not reach to *offset*.
        """
        group = group_of(topic, self._names)
        if group is None:
            raise NotReleased(f"{topic} is not read by the processor; write an inbound, delay or send topic")
        first, end = self.bounds(topic, partition)
        if not first <= offset <= end:
            raise NotReleased(f"{topic}/{partition} has offsets {first} to {end}; write one of these")
        self._refuse_active(group)
        sent = topic.startswith(f"{self._names.prefix}.send.")
        metadata = encode(offset, (), ()) if sent else ""
        request = ConsumerGroupTopicPartitions(group, [TopicPartition(topic, partition, offset, metadata)])
        try:
            answer = self._admin.alter_consumer_group_offsets([request], request_timeout=_TIMEOUT_S)[group].result()
        except KafkaException as error:
            raise NotReleased(f"Kafka refused ({error.args[0].name()}); stop every process of {group}") from error
        for part in answer.topic_partitions:
            if part.error is not None:
                raise NotReleased(f"Kafka refused ({part.error.name()}); stop every process of {group}")

    def bounds(self, topic: str, partition: int) -> tuple[int, int]:
        """Return the first offset of a partition and the one after its last. Raises `NotReleased` if it is missing."""
        place = TopicPartition(topic, partition)
        try:
            return self._bound(place, OffsetSpec.earliest()), self._bound(place, OffsetSpec.latest())
        except KafkaException as error:
            raise NotReleased(f"{topic}/{partition} cannot be read ({error.args[0].name()})") from error

    def _bound(self, place: TopicPartition, which: OffsetSpec) -> int:
        future = self._admin.list_offsets({place: which}, request_timeout=_TIMEOUT_S)[place]
        return int(future.result().offset)

    def _refuse_active(self, group: str) -> None:
        try:
            described = self._admin.describe_consumer_groups([group], request_timeout=_TIMEOUT_S)[group].result()
        except KafkaException:
            return  # a group that Kafka does not know has no members
        if described.state not in _IDLE:
            raise NotReleased(
                f"{group} has {len(described.members)} members; stop every process that runs its stage, wait for the "
                "session time-out (10 s, unless configured otherwise), and try again"
            )
