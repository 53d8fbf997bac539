"""Watches a run from outside: the event topics as any reader sees them, the delay tiers, the sandbox's ledger."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from time import monotonic
from typing import Any, Final, Self, assert_never

from confluent_kafka import Consumer, KafkaError, KafkaException, TopicPartition

from processor.cli.demo.feed import now_ms
from processor.codec.events import Event, EventCodec
from processor.core.events import Control, DeadLetter, DeliveryEvent, EngagementEvent, Receipt, RetryEvent
from processor.core.tiers import TIERS_S
from processor.core.words import DelayClass
from processor.kafka.admin import Topics
from processor.kafka.connection import Connection
from processor.kafka.topics import Names
from processor.sandbox.ledger import Entry, read_ledger

ANSWER_S: Final = 10.0
_BATCH: Final = 1_000


def reader(connection: Connection, group: str) -> Consumer:
    """Return a consumer of committed records that joins and commits nothing, and tells where partitions end."""
    return Consumer(
        connection.common()
        | {
            "group.id": group,
            "isolation.level": "read_committed",
            "enable.auto.commit": False,
            "auto.offset.reset": "earliest",
            "enable.partition.eof": True,
            "fetch.wait.max.ms": 200,
        }
    )


@dataclass(frozen=True, slots=True)
class Evidence:
    """What was seen of a run."""

    results: Sequence[DeliveryEvent]
    retries: Sequence[RetryEvent]
    letters: Sequence[DeadLetter]
    entries: Sequence[Entry]  # of the sandbox's ledger
    engagement: Sequence[EngagementEvent] = ()  # each once: the stage may publish an act again, with its event_id


class Watch:
    """The reader of the demo; one thread."""

    def __init__(self, connection: Connection, names: Names, codec: EventCodec, ledger: Path) -> None:
        """Read the topics of *names* from their beginning, and *ledger* as it grows."""
        self.results: list[DeliveryEvent] = []
        self.retries: list[RetryEvent] = []
        self.letters: list[DeadLetter] = []
        self.engagement: dict[str, EngagementEvent] = {}  # by event id
        self.entries: list[Entry] = []
        self.delayed: dict[str, tuple[int, int]] = {}  # message id: its last tier, in seconds, and until when
        self._codec, self._ledger = codec, ledger
        self._tiers = {names.delay(each, seconds): seconds for each in DelayClass for seconds in TIERS_S}
        self._events = (names.delivery, names.retry, names.dead_letter, names.engagement)
        self._consumer = reader(connection, f"{names.prefix}.watch")
        counts = Topics(connection).partitions([*self._events, *self._tiers])
        self._read_to = {(topic, each): 0 for topic, count in counts.items() for each in range(count)}
        self._consumer.assign([TopicPartition(*place, 0) for place in self._read_to])

    def __enter__(self) -> Self:
        """Return the watch."""
        return self

    def __exit__(self, *_: object) -> None:
        """Leave the topics."""
        self._consumer.close()

    def poll(self, timeout_s: float) -> None:
        """Take in what there is, waiting up to *timeout_s* for the first of it."""
        messages = self._consumer.consume(1, timeout_s)
        for message in messages and [*messages, *self._consumer.consume(_BATCH, 0)]:
            self._take(message)
        self.entries = read_ledger(self._ledger)

    def drain(self) -> None:
        """Take in everything that the event topics hold now. Raises `TimeoutError`."""
        deadline_s = monotonic() + ANSWER_S
        ends = {place: self._end(*place) for place in self._read_to if place[0] in self._events}
        while any(self._read_to[place] < end for place, end in ends.items()):
            if monotonic() > deadline_s:
                raise TimeoutError("the event topics cannot be read to their end")
            self.poll(0.1)
        self.poll(0)

    def waiting_by_tier(self) -> Mapping[int, int]:
        """Return how many messages a tier, by its seconds, holds now."""
        present_ms = now_ms()
        return Counter(seconds for seconds, until_ms in self.delayed.values() if until_ms > present_ms)

    def evidence(self) -> Evidence:
        """Return what was seen so far."""
        results, retries, letters = tuple(self.results), tuple(self.retries), tuple(self.letters)
        return Evidence(results, retries, letters, tuple(self.entries), tuple(self.engagement.values()))

    def _take(self, message: Any) -> None:
        place = (message.topic(), message.partition())
        error = message.error()
        if error is not None and error.code() == KafkaError._PARTITION_EOF:  # noqa: SLF001 - librdkafka's own name
            self._read_to[place] = message.offset()
            return
        if error is not None:
            raise KafkaException(error)
        self._read_to[place] = message.offset() + 1
        seconds = self._tiers.get(place[0])
        if seconds is None:
            self._keep(self._codec.decode_event(message.value()))
        else:
            self.delayed[message.key().decode()] = seconds, message.timestamp()[1] + seconds * 1_000

    def _keep(self, event: Event) -> None:
        match event:
            case DeliveryEvent():
                self.results.append(event)
            case RetryEvent():
                self.retries.append(event)
            case DeadLetter():
                self.letters.append(event)
            case EngagementEvent():
                self.engagement.setdefault(event.event_id, event)
            case Receipt() | Control():
                pass  # on topics that are not read here
            case _:
                assert_never(event)

    def _end(self, topic: str, partition: int) -> int:
        marks = self._consumer.get_watermark_offsets(TopicPartition(topic, partition), ANSWER_S, cached=False)
        if marks is None:
            raise TimeoutError("Kafka does not tell where a partition ends")
        end: int = marks[1]
        return end
