"""Counts what still waits in Kafka, record by record, from what the stages have committed."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from time import monotonic
from typing import Any, Final

from confluent_kafka import KafkaError, KafkaException, TopicPartition

from processor.cli.demo.watch import ANSWER_S, reader
from processor.core.plan import Plan
from processor.core.tiers import TIERS_S
from processor.core.words import DelayClass, Lane
from processor.kafka.admin import Topics
from processor.kafka.committed import Place, committed_now
from processor.kafka.connection import Connection
from processor.kafka.journal import Entry, decode
from processor.kafka.topics import MARKER_KEY, Names, send_topics

_BATCH: Final = 1_000


@dataclass(frozen=True, slots=True)
class Held:
    """A message that waits in a topic."""

    message_id: str
    topic: str


@dataclass(frozen=True, slots=True)
class _Group:
    """A consumer group and its topics; *journalled*: its commits say what is finished above the mark."""

    name: str
    topics: tuple[str, ...]
    journalled: bool = False


def held(connection: Connection, names: Names, plan: Plan) -> tuple[Held, ...]:
    """
    Return every message that an inbound, delay or send topic holds and its group has not yet finished with.

    While stages run the answer may be of two instants; after they have stopped it is exact. Raises
    `TimeoutError` where a topic cannot be read to its end.
    """
    groups = _groups(names, plan)
    counts = Topics(connection).partitions(topic for group in groups for topic in group.topics)
    entries = {place: entry for group in groups for place, entry in _committed(connection, group, counts)}
    records = _records_from(connection, names, {place: entry.mark for place, entry in entries.items()})
    return tuple(
        Held(message.key().decode("utf-8", "replace"), message.topic())
        for message in records
        if message.key() != MARKER_KEY
        and message.offset() not in entries[message.topic(), message.partition()].finished
    )


def _groups(names: Names, plan: Plan) -> tuple[_Group, ...]:
    send = send_topics(plan, names)
    express = tuple(topic for topic in send if names.send_parts(topic)[1] is Lane.EXPRESS)
    rest = tuple(topic for topic in send if topic not in express)
    tiers = {each: tuple(names.delay(each, seconds) for seconds in TIERS_S) for each in DelayClass}
    return (
        _Group(names.group("intake", "express"), (names.express,)),
        _Group(names.group("intake", "rest"), (names.outbound,)),
        *(_Group(names.group("delay", each), topics) for each, topics in tiers.items()),
        _Group(names.group("dispatch", "express"), express, journalled=True),
        _Group(names.group("dispatch", "rest"), rest, journalled=True),
    )


def _committed(connection: Connection, group: _Group, counts: Mapping[str, int]) -> Iterator[tuple[Place, Entry]]:
    """Yield what the group has committed of each partition."""
    places = [(topic, partition) for topic in group.topics for partition in range(counts[topic])]
    for place, found in committed_now(connection, group.name, places, within_s=ANSWER_S).items():
        if found is None or found.fresh:
            yield place, Entry(0, frozenset(), frozenset())
        elif group.journalled:
            yield place, decode(found.offset, found.metadata)
        else:
            yield place, Entry(found.offset, frozenset(), frozenset())


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
                error = message.error()
                if error is None:
                    yield message
                elif error.code() == KafkaError._PARTITION_EOF:  # noqa: SLF001 - librdkafka's own name
                    unread.discard((message.topic(), message.partition()))
                else:
                    raise KafkaException(error)
    finally:
        consumer.close()
