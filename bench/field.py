"""What every measurement stands on: topics under a prefix of their own, filled with the same messages."""

import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import partial

from confluent_kafka import Consumer, Producer

from processor.codec.assembly import open_codecs
from processor.codec.facts import FACTS_HEADER, encode_facts
from processor.core.message import Facts, Head, Message, Origin
from processor.core.plan import Channel, Plan, Provider, RetryPolicy
from processor.core.words import Action, Lane
from processor.kafka.admin import Topics
from processor.kafka.connection import Connection
from processor.kafka.topics import Names, Sizes, topic_specs
from processor.metrics import Health
from processor.stages.assembly import Parts

VALUE_BYTES = 1_660
PROVIDER = "Bench"
SIZES = Sizes(inbound=4, express=2, send=2, delay=2, events=3)


def plan(concurrency: int, bulk_size: int = 1) -> Plan:
    """Return a plan with one provider and one channel that reaches it on every lane."""
    provider = Provider(PROVIDER, "bench", "Bench", "EMAIL", bulk_size=bulk_size, concurrency=concurrency)
    channel = Channel(
        "Email", "E-mail", Action.EMAIL, "EMAIL", "Bench", PROVIDER, RetryPolicy(3, 60_000), providers=(PROVIDER,)
    )
    return Plan({"Email": channel}, {PROVIDER: provider})


@dataclass(frozen=True)
class Field:
    """A prefix on a broker, with its topics made."""

    bootstrap: str
    prefix: str
    concurrency: int = 400
    bulk_size: int = 1
    text_bytes: int = 1_590

    @property
    def connection(self) -> Connection:
        """Return how to reach the broker."""
        return Connection(self.bootstrap)

    @property
    def names(self) -> Names:
        """Return the names of the topics."""
        return Names(self.prefix)

    def parts(self) -> Parts:
        """Make the topics, and return the parts of a process."""
        specs = topic_specs(plan(self.concurrency, self.bulk_size), self.names, SIZES)
        topics = Topics(self.connection)
        topics.apply(specs, 1)
        counts = topics.partitions(spec.name for spec in specs)
        return Parts(
            self.connection,
            self.names,
            plan(self.concurrency, self.bulk_size),
            counts,
            partial(open_codecs),
            slot="0",
            health=Health(),
            ids_horizon_ms=SIZES.ids_horizon_ms,
        )


def message(number: int, *, priority: int = 4, text_bytes: int = 1_590) -> Message:
    """Return a message whose record has `VALUE_BYTES` bytes, or another length of text, in lines of 70 characters."""
    lines = ("x" * 69 + "\n") * (text_bytes // 70) + "x" * (text_bytes % 70)
    return Message(Head(f"bench-{number:09d}", "Email", priority=priority), to="someone@example.com", text=lines)


def values(count: int, text_bytes: int) -> Iterator[tuple[str, bytes]]:
    """Yield ids and records."""
    codec = open_codecs().outbound
    for number in range(count):
        yield f"bench-{number:09d}", codec.encode_message(message(number, text_bytes=text_bytes))


def fill(field: Field, topics: Sequence[str], count: int, *, facts: bool) -> None:
    """
    Put *count* messages into *topics* in turn; with our header where they are send topics.

    Of send topics they fill two partitions in turn; of inbound ones all, as Java producers with the id as key do.
    """
    own = {"linger.ms": 5, "queue.buffering.max.messages": 200_000, "partitioner": "murmur2_random"}
    producer = Producer(field.connection.common() | own)
    now_ms = time.time_ns() // 1_000_000
    header = encode_facts(Facts(Origin(field.names.outbound, 0, 0), now_ms, now_ms, now_ms))
    for number, (key, value) in enumerate(values(count, field.text_bytes)):
        partition = (number // len(topics)) % 2 if facts else -1
        while True:
            try:
                producer.produce(
                    topics[number % len(topics)],
                    value,
                    key,
                    partition=partition,
                    headers=[(FACTS_HEADER, header)] if facts else None,
                )
            except BufferError:
                producer.poll(0.1)
            else:
                break
        producer.poll(0)
    producer.flush()


def send_topics(field: Field) -> list[str]:
    """Return the send topics of the lanes that are not express."""
    return [field.names.send(PROVIDER, lane) for lane in (Lane.HIGH, Lane.NORMAL, Lane.BULK)]


def event_instants(field: Field, count: int, within_s: float) -> list[int]:
    """Return the timestamps (Unix ms) of *count* delivery events, as a committed reader sees them."""
    consumer = Consumer(
        field.connection.common()
        | {"group.id": f"{field.prefix}.bench", "auto.offset.reset": "earliest", "isolation.level": "read_committed"}
    )
    consumer.subscribe([field.names.delivery])
    found: list[int] = []
    deadline = time.monotonic() + within_s
    while len(found) < count and time.monotonic() < deadline:
        found += [each.timestamp()[1] for each in consumer.consume(2_000, 0.2) if each.error() is None]
    consumer.close()
    return sorted(found)
