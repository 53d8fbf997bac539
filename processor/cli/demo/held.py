"""Counts what still waits in Kafka, record by record, from what the stages have committed."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from time import monotonic
from typing import Any, Final

from confluent_kafka import ConsumerGroupTopicPartitions, KafkaError, KafkaException, TopicPartition
from confluent_kafka.admin import AdminClient

from processor.cli.demo.watch import ANSWER_S, reader
from processor.core.plan import Plan
from processor.core.tiers import TIERS_S
from processor.core.words import DelayClass, Lane
from processor.kafka.admin import Topics
from processor.kafka.connection import Connection
from processor.kafka.journal import decode
from processor.kafka.topics import MARKER_KEY, Names, send_topics

Place = tuple[str, int]
_BATCH: Final = 1_000


@dataclass(frozen=True, slots=True)
class Held:
    """A message that waits in a topic."""

    message_id: str
    topic: str


def held(connection: Connection, names: Names, plan: Plan) -> tuple[Held, ...]:
    """
    Return every message that an inbound, delay or send topic holds and its group has not yet finished with.

    While stages run the answer may be of two instants; after they have stopped it is exact. Raises
    `TimeoutError` where a topic cannot be read to its end.
    """
    groups = _groups(names, plan)
    counts = Topics(connection).partitions(topic for topics in groups.values() for topic in topics)
    committed = {
        place: entry
        for group, topics in groups.items()
        for place, entry in _committed(connection, group, [(t, p) for t in topics for p in range(counts[t])])
    }
    return tuple(
        Held(message.key().decode("utf-8", "replace"), message.topic())
        for message in _records_from(connection, names, {place: offset for place, (offset, _) in committed.items()})
        if message.key() != MARKER_KEY and message.offset() not in committed[message.topic(), message.partition()][1]
    )


def _groups(names: Names, plan: Plan) -> Mapping[str, Sequence[str]]:
    """Return the topics of each consumer group."""
    send = send_topics(plan, names)
    express = [topic for topic in send if names.send_parts(topic)[1] is Lane.EXPRESS]
    return {
        names.group("intake", "rest"): [names.outbound],
        names.group("intake", "express"): [names.express],
        names.group("dispatch", "express"): express,
        names.group("dispatch", "rest"): [topic for topic in send if topic not in express],
        **{names.group("delay", each): [names.delay(each, seconds) for seconds in TIERS_S] for each in DelayClass},
    }


def _committed(
    connection: Connection, group: str, places: Sequence[Place]
) -> Iterator[tuple[Place, tuple[int, frozenset[int]]]]:
    """Yield the committed offset of each place, and the offsets above it that are finished."""
    asked = ConsumerGroupTopicPartitions(group, [TopicPartition(*place) for place in places])
    (future,) = AdminClient(connection.common()).list_consumer_group_offsets([asked]).values()
    for found in future.result(ANSWER_S).topic_partitions:
        offset = max(0, found.offset)  # -1001: nothing was committed yet
        journal = f".{'dispatch'}." in f".{group}." and found.offset >= 0
        yield (
            (found.topic, found.partition),
            (offset, decode(offset, found.metadata).finished if journal else frozenset()),
        )


def _records_from(connection: Connection, names: Names, offsets: Mapping[Place, int]) -> Iterator[Any]:
    """Yield the committed records from *offsets* to the ends."""
    consumer = reader(connection, f"{names.prefix}.held")
    consumer.assign([TopicPartition(topic, partition, offset) for (topic, partition), offset in offsets.items()])
    unread, deadline_s = set(offsets), monotonic() + ANSWER_S
    try:
        while unread:
            if monotonic() > deadline_s:
                raise TimeoutError("the topics cannot be read to their ends")
            for message in consumer.consume(_BATCH, 0.2):
                if message.error() is None:
                    yield message
                elif message.error().code() == KafkaError._PARTITION_EOF:  # noqa: SLF001 - librdkafka's own name
                    unread.discard((message.topic(), message.partition()))
                else:
                    raise KafkaException(message.error())
    finally:
        consumer.close()
