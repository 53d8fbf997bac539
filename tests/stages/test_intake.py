"""Intake asks of each record whether its id was seen, and moves it where it belongs first."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

import pytest

from processor.codec.assembly import open_codecs
from processor.core.events import DeadLetter, DeliveryEvent
from processor.core.message import Head, Message
from processor.core.plan import Channel, Plan, Provider, RetryPolicy
from processor.core.words import Action, Reason, Status
from processor.kafka.partitioner import partition_of
from processor.kafka.topics import OVERHEAD_BYTES, Names, Sizes, topic_specs
from processor.metrics import Health
from processor.stages.assembly import Parts
from processor.stages.clock import SystemClock
from processor.stages.duplicates import Duplicates
from processor.stages.intake import Intake
from processor.stages.record import Record
from processor.stages.trial import Trial
from tests.support.cluster import Cluster, fresh
from tests.support.eventually import eventually

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from processor.kafka.transactions import Output

HORIZON_MS = 60_000
CODECS = open_codecs()
PLAN = Plan(
    {
        "Email": Channel(
            "Email", "E-mail", Action.EMAIL, "EMAIL", "B", "Mail", RetryPolicy(3, 60_000), providers=("Mail",)
        )
    },
    {"Mail": Provider("Mail", "smtp", "B", "EMAIL")},
)


class Clock:
    """A clock that a test turns."""

    def __init__(self) -> None:
        self.ms = SystemClock().now_ms()  # near the broker's

    def now_ms(self) -> int:
        return self.ms

    def monotonic_s(self) -> float:
        return self.ms / 1_000


class Told:
    """A record's headers as the client tells them; or what it raises."""

    def __init__(self, headers: object) -> None:
        self._headers = headers

    def headers(self) -> object:
        if isinstance(self._headers, BaseException):
            raise self._headers
        return self._headers


class Stage:
    """Intake of one topic on a real broker, a record at a time."""

    def __init__(self, cluster: Cluster, *, horizon_ms: int = HORIZON_MS) -> None:
        self.cluster, self.clock, self.names = cluster, Clock(), Names(fresh("intake"))
        self.topic = cluster.make(self.names.outbound, partitions=2)
        self.ids = cluster.make(self.names.ids(self.topic), partitions=2)
        specs = topic_specs(PLAN, self.names, Sizes())
        parts = Parts(
            cluster.connection,
            self.names,
            PLAN,
            {spec.name: spec.partitions for spec in specs},
            partial(open_codecs),
            slot="0",
            health=Health(),
            clock=self.clock,
        )
        self.duplicates = Duplicates(
            "intake", cluster.connection, self.topic, self.ids, self.clock, horizon_ms=horizon_ms
        )
        self.intake = Intake("intake", parts.judging("intake"), Trial(parts.open_codecs), self.duplicates)
        self.offset = 0
        for partition in (0, 1):
            self.claim(partition)

    def claim(self, partition: int) -> None:
        self.duplicates.begin((self.topic, partition))
        eventually(lambda: self.duplicates.known((self.topic, partition)), within_s=20)

    def record(self, message_id: str, text: str = "text", partition: int | None = None, **more: Any) -> Record:
        self.offset += 1
        value = CODECS.outbound.encode_message(Message(Head(message_id, "Email"), to="a@example.com", text=text))
        home = partition_of(message_id.encode(), 2) if partition is None else partition
        return Record((self.topic, home), self.offset, b"key", value, 1_234, None, **more)

    def decide(self, *records: Record) -> list[list[Output]]:
        """Decide them as one tick."""
        self.intake.next_tick()
        decided = self.intake.decide(records, suspect=False)
        beside = [each for number in (0, 1) for each in self.intake.beside((self.topic, number))]
        return [*decided[:-1], decided[-1] + beside] if decided else []

    def ends(self, *records: Record) -> list[tuple[Status, Reason] | None]:
        """Return how each record ended; None: it went on."""
        return [self.end_of(outputs) for outputs in self.decide(*records)]

    def end_of(self, outputs: Sequence[Output]) -> tuple[Status, Reason] | None:
        events = [
            CODECS.events.decode_event(each.value or b"") for each in outputs if each.topic == self.names.delivery
        ]
        return (events[0].status, events[0].reason) if events else None  # type: ignore[union-attr] # of that topic


@pytest.fixture
def stage(cluster: Cluster) -> Iterator[Stage]:
    made = Stage(cluster)
    yield made
    made.duplicates.close()


SAME = (Status.DUPLICATE, Reason.SAME_CONTENT)
OTHER = (Status.REJECTED, Reason.OTHER_CONTENT)


def test_an_id_is_known_for_the_horizon_after_it_was_first_seen_and_no_longer(stage: Stage) -> None:
    found = stage.ends(stage.record("m-1"))
    for passed_ms in (1_000, HORIZON_MS - 2_000, 1_000, 1_000):
        stage.clock.ms += passed_ms
        found += stage.ends(stage.record("m-1"))

    assert found == [None, SAME, SAME, None, SAME]


def test_each_result_has_an_event_of_its_own(stage: Stage) -> None:
    outputs = [each for _ in range(3) for each in stage.decide(stage.record("m-1"))[0]]
    outputs += stage.decide(stage.record("m-1", "other"))[0]

    events = [
        CODECS.events.decode_event(each.value or b"")
        for each in outputs
        if each.topic in {stage.names.delivery, stage.names.dead_letter}
    ]
    ids = {each.event_id for each in events if isinstance(each, DeliveryEvent | DeadLetter)}
    assert len(ids) == len(events) == 4  # two duplicates, a conflict and its dead letter


def test_a_tick_writes_what_it_has_admitted_once_and_where_its_partition_is(stage: Stage) -> None:
    records = [each for n in range(50) if (each := stage.record(f"m-{n}")).place[1] == 1]
    first = [each for outputs in stage.decide(*records, *records) for each in outputs]
    later = [each for outputs in stage.decide(*records) for each in outputs]

    (written,) = [each for each in first if each.topic == stage.ids]
    assert written.partition == 1
    assert len(written.value or b"") == 9 + 24 * len(records)
    assert [each for each in later if each.topic == stage.ids] == []


def test_what_is_refused_outright_is_not_remembered(stage: Stage) -> None:
    value = CODECS.outbound.encode_message(Message(Head("m-1", "Nowhere"), to="a@example.com"))
    refused = stage.record("m-1")._replace(value=value)

    assert stage.ends(refused, refused, stage.record("m-1"), refused) == [
        (Status.REJECTED, Reason.UNKNOWN_CHANNEL),
        (Status.REJECTED, Reason.UNKNOWN_CHANNEL),
        None,
        OTHER,
    ]


def test_a_partition_that_was_forgotten_knows_nothing_that_was_not_written(stage: Stage) -> None:
    first = stage.record("m-1")
    stage.decide(first)  # and its transaction is never committed
    stage.claim(first.place[1])

    assert stage.ends(first) == [None]


def test_without_a_horizon_each_record_is_a_message_of_its_own_wherever_it_lies(stage: Stage) -> None:
    stage.intake._duplicates = None
    records = [stage.record("m-1", partition=partition) for partition in (0, 0, 1)]

    outputs = [each for record in records for each in stage.decide(record)[0]]

    assert [each.topic for each in outputs] == [stage.names.send("Mail", "normal")] * 3  # type: ignore[arg-type] # a word
    assert [spec.name for spec in topic_specs(PLAN, stage.names, Sizes(ids_horizon_ms=0)) if ".ids" in spec.name] == []


def misplaced(stage: Stage, headers: object, **more: Any) -> Record:
    wrong = 1 - partition_of(b"m-1", 2)
    return stage.record("m-1", partition=wrong, message=Told(headers))._replace(**more)


def test_a_misplaced_record_is_moved_as_it_is_and_not_remembered_where_it_lay(stage: Stage) -> None:
    headers = [("a", b"1"), ("a", None), ("commproc", b"x")]
    record = misplaced(stage, headers)

    ((moved,),) = stage.decide(record)

    assert (moved.topic, moved.partition) == (stage.topic, partition_of(b"m-1", 2))
    assert (moved.value, moved.key, moved.headers, moved.timestamp_ms) == (record.value, b"key", headers, 1_234)
    assert stage.ends(stage.record("m-1")) == [None]


@pytest.mark.parametrize("headers", [SystemError(), UnicodeDecodeError("utf-8", b"\xff", 0, 1, "")])
def test_headers_that_are_no_text_are_dead_lettered_and_end_no_process(stage: Stage, headers: Exception) -> None:
    ((letter,),) = stage.decide(misplaced(stage, headers))

    assert letter.topic == stage.names.dead_letter
    assert CODECS.events.decode_event(letter.value or b"").reason is Reason.UNREADABLE  # type: ignore[union-attr]


def test_what_would_be_too_large_where_it_belongs_is_dead_lettered(stage: Stage) -> None:
    # It came compressed: the limit of its topic counts that, and another batch may come out larger.
    ((letter,),) = stage.decide(misplaced(stage, [("h", bytes(OVERHEAD_BYTES))]))

    assert CODECS.events.decode_event(letter.value or b"").reason is Reason.TOO_LARGE  # type: ignore[union-attr]


def test_when_the_topic_has_grown_nothing_is_moved_before_everything_was_counted_and_read_again(stage: Stage) -> None:
    there = partition_of(b"m-1", 2)
    first = [stage.record("m-1"), stage.record("m-1", "other")]
    (written,) = [each for outputs in stage.decide(*first) for each in outputs if each.topic == stage.ids]
    stage.cluster.put(stage.ids, [written.value], there)
    stage.cluster.grow(stage.ids, 7)
    stage.cluster.grow(stage.topic, 7)
    now = partition_of(b"m-1", 7)
    assert now not in {0, 1}

    assert stage.decide(misplaced(stage, None)) == []  # it is put back
    assert not stage.duplicates.known((stage.topic, 1 - there))
    eventually(lambda: stage.duplicates.known((stage.topic, 1 - there)), within_s=20)
    ((moved,),) = stage.decide(misplaced(stage, None))
    stage.claim(now)
    found = stage.ends(stage.record("m-1", partition=now), stage.record("m-1", "other", partition=now))

    assert moved.partition == now
    assert found == [SAME, OTHER]
