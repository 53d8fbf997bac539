"""What tests ask of a real cluster: topics of their own, plain producers and readers, committed offsets."""

from __future__ import annotations

import uuid
from dataclasses import dataclass
from time import monotonic
from typing import TYPE_CHECKING, Any

from confluent_kafka import (
    OFFSET_END,
    Consumer,
    ConsumerGroupTopicPartitions,
    KafkaError,
    Message,
    Producer,
    TopicPartition,
)
from confluent_kafka.admin import AdminClient, MemberDescription, NewPartitions, NewTopic

from processor.kafka.committed import Committed, committed_now
from processor.kafka.connection import Connection
from tests.support.eventually import eventually

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

TIMEOUT_S = 30.0


def fresh(word: str) -> str:
    """Return a name that no other test has."""
    return f"{word}-{uuid.uuid4().hex[:8]}"


@dataclass(frozen=True)
class Cluster:
    """A cluster, seen from beside the processor."""

    connection: Connection
    admin: AdminClient  # kept: what it was asked dies with it

    @classmethod
    def at(cls, bootstrap: str, *, session_timeout_ms: int = 6_000) -> Cluster:
        """Return the cluster at an address; members expire as soon as Kafka allows."""
        connection = Connection(bootstrap, session_timeout_ms=session_timeout_ms)
        return cls(connection, AdminClient(connection.common()))

    def make(self, topic: str, partitions: int = 1, **config: str) -> str:
        """Create a topic and wait until each partition has a leader."""
        named = {key.replace("_", "."): value for key, value in config.items()}
        self.admin.create_topics([NewTopic(topic, partitions, 1, config=named)])[topic].result(TIMEOUT_S)
        eventually(lambda: len(self._led([topic])) == partitions, within_s=TIMEOUT_S, what=f"leaders of {topic}")
        return topic

    def grow(self, topic: str, partitions: int) -> None:
        """Add partitions to a topic, up to *partitions*, and wait until each has a leader."""
        self.admin.create_partitions([NewPartitions(topic, partitions)])[topic].result(TIMEOUT_S)
        eventually(lambda: len(self._led([topic])) == partitions, within_s=TIMEOUT_S, what=f"leaders of {topic}")

    def _led(self, topics: Sequence[str]) -> list[tuple[str, int]]:
        known = self.admin.list_topics(timeout=TIMEOUT_S).topics
        found = [(name, known[name].partitions) for name in topics if name in known]
        return [(name, number) for name, parts in found for number, each in parts.items() if each.leader > 0]

    def producer(self, **more: Any) -> Producer:
        """Return a producer that is acknowledged by all."""
        return Producer(
            self.connection.common() | {"acks": "all", "linger.ms": 5, "partitioner": "murmur2_random"} | more
        )

    def put(self, topic: str, values: Iterable[bytes | None], partition: int = -1) -> None:
        """Write records and wait for their acknowledgement."""
        producer = self.producer()
        for value in values:
            producer.produce(topic, value, partition=partition)
        assert producer.flush(TIMEOUT_S) == 0

    def ends(self, places: Iterable[tuple[str, int]]) -> dict[tuple[str, int], int]:
        """Return the offset behind the last committed record of each partition."""
        return self._ends(places, "read_committed")

    def written(self, places: Iterable[tuple[str, int]]) -> dict[tuple[str, int], int]:
        """Return the offset behind the last record of each partition, committed or not."""
        return self._ends(places, "read_uncommitted")

    def settled(self, topics: Sequence[str]) -> bool:
        """Tell whether no transaction is open on *topics*: what readers of committed records see is all there is."""
        places = self.places(topics)
        return self.ends(places) == self.written(places)

    def _ends(self, places: Iterable[tuple[str, int]], isolation: str) -> dict[tuple[str, int], int]:
        # By a consumer made for it: after a restart of the broker `list_offsets` of an older Admin client fails.
        consumer = Consumer(self.connection.common() | {"group.id": fresh("ends"), "isolation.level": isolation})
        try:
            parts = consumer.offsets_for_times([TopicPartition(*place, OFFSET_END) for place in places], TIMEOUT_S)
        finally:
            consumer.close()
        assert all(part.error is None for part in parts), "a partition has no leader"
        return {(part.topic, part.partition): part.offset for part in parts}

    def places(self, topics: Sequence[str]) -> list[tuple[str, int]]:
        """Return the partitions of *topics*."""
        known = self.admin.list_topics(timeout=TIMEOUT_S).topics
        return [(name, number) for name in topics for number in known[name].partitions]

    def committed(self, group: str, places: Iterable[tuple[str, int]]) -> dict[tuple[str, int], Committed]:
        """Return what *group* has committed, stable offsets only; a partition without one is left out."""
        found = committed_now(self.connection, group, places, within_s=TIMEOUT_S)
        return {place: committed for place, committed in found.items() if committed is not None and not committed.fresh}

    def commit(self, group: str, offsets: Mapping[tuple[str, int], tuple[int, str]]) -> None:
        """Commit for a group that has no members; the first one of a broker waits until it has made its own topic."""
        parts = [TopicPartition(*place, offset, metadata) for place, (offset, metadata) in offsets.items()]

        def faults() -> list[str]:
            asked = [ConsumerGroupTopicPartitions(group, parts)]
            answer = self.admin.alter_consumer_group_offsets(asked)[group].result(TIMEOUT_S)
            return [part.error.name() for part in answer.topic_partitions if part.error is not None]

        eventually(lambda: not faults(), within_s=TIMEOUT_S, what=faults)

    def members(self, group: str) -> list[MemberDescription]:
        """Return the members of a group, and what they were given."""
        return list(self.admin.describe_consumer_groups([group])[group].result(TIMEOUT_S).members)

    def forget(self, group: str) -> None:
        """Erase what a group without members has committed."""
        self.admin.delete_consumer_groups([group])[group].result(TIMEOUT_S)

    def read(self, topics: Sequence[str], *, committed: bool = True) -> list[Message]:
        """Return every record that is in *topics* now."""
        level = "read_committed" if committed else "read_uncommitted"
        reader = Consumer(
            self.connection.common()
            | {"group.id": fresh("reader"), "isolation.level": level, "enable.partition.eof": True}
            | {"auto.offset.reset": "earliest", "enable.auto.commit": False, "fetch.wait.max.ms": 20}
        )
        places = self.places(topics)
        reader.assign([TopicPartition(*place, -2) for place in places])
        left, found = set(places), list[Message]()
        try:
            deadline_s = monotonic() + TIMEOUT_S
            while left:
                assert monotonic() < deadline_s, f"no end of {sorted(left)}"
                messages = reader.consume(5_000, 0.1)
                for message in messages:
                    error = message.error()
                    if error is None:
                        found.append(message)
                    else:
                        assert error.code() == KafkaError._PARTITION_EOF, error
                        left.discard((message.topic() or "", message.partition() or 0))
        finally:
            reader.close()
        return found
