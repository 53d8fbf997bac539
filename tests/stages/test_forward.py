"""The forwarding loop hands over exactly once, and with care where a process has died."""

from __future__ import annotations

from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING

from confluent_kafka import KafkaException

from processor.kafka.committed import Committed
from processor.kafka.departure import Stayed
from processor.kafka.transactions import Commit, Output
from processor.metrics import Health
from processor.stages.clock import SystemClock
from processor.stages.forward import CLEAN, ForwardLoop
from processor.stages.record import Record
from processor.stages.ticks import Fate, Seat
from tests.stages.running import running
from tests.support.cluster import fresh
from tests.support.eventually import eventually

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    import pytest

    from processor.kafka.committed import Place
    from processor.stages.forward import Memory
    from tests.support.cluster import Cluster


class Copier:
    """Decides to copy each record to another topic, and remembers whether it was told to take care."""

    header: str | None = None

    def __init__(self, to: str) -> None:
        self.to = to
        self.decided: list[tuple[int, bool]] = []
        self.ticks = 0

    def next_tick(self) -> None:
        self.ticks += 1

    def beside(self, place: Place) -> Sequence[Output]:
        return ()

    def decide(self, records: Sequence[Record], *, suspect: bool) -> list[list[Output]]:
        self.decided += [(record.offset, suspect) for record in records]
        return [[Output(self.to, record.value)] for record in records]

    def wait_ms(self, topic: str) -> int | None:
        return None


class Slow:
    """Knows of each partition what it has to know once it is told so."""

    def __init__(self) -> None:
        self.told: set[int] = set()
        self.begun: list[int] = []
        self.forgotten: list[int] = []
        self.closed = False

    def begin(self, place: Place) -> None:
        self.begun.append(place[1])

    def known(self, place: Place) -> bool:
        return place[1] in self.told

    def forget(self, place: Place) -> None:
        self.forgotten.append(place[1])

    def observe(self) -> None:
        pass

    def close(self) -> None:
        self.closed = True


@contextmanager
def forwarding(
    cluster: Cluster, group: str, topic: str, copier: Copier, slot: str = "0", memory: Memory | None = None
) -> Iterator[ForwardLoop]:
    """Run a loop that copies."""
    seat = Seat("intake", group, slot, {topic: 1}, (cluster.make(fresh("probed")), 0))
    loop = ForwardLoop(cluster.connection, seat, copier, SystemClock(), Health(), tick_records_max=100, memory=memory)
    with running(loop):
        yield loop


def values(cluster: Cluster, topic: str) -> list[bytes | None]:
    return [message.value() for message in cluster.read([topic])]


def test_what_a_dead_process_may_have_read_is_tried_apart_and_what_came_later_is_not(cluster: Cluster) -> None:
    # Trying takes a process each time: a password that comes after the take-over must not wait for it.
    topic, group, copier = cluster.make(fresh("in")), fresh("group"), Copier(cluster.make(fresh("out")))
    cluster.put(topic, [b"%d" % n for n in range(30)])
    cluster.commit(group, {(topic, 0): (10, "")})

    with forwarding(cluster, group, topic, copier) as loop:
        eventually(lambda: len(copier.decided) == 20, within_s=20, what=lambda: copier.decided)
        eventually(lambda: not loop._suspect, within_s=5)  # it has come to the end: nothing else tells so from outside
        cluster.put(topic, [b"later"] * 5)
        eventually(lambda: len(copier.decided) == 25, within_s=10, what=lambda: copier.decided)

    assert copier.decided == [(offset, offset < 30) for offset in range(10, 35)]
    assert len(values(cluster, copier.to)) == 25


def test_a_take_over_of_nothing_makes_nothing_suspect(cluster: Cluster) -> None:
    topic, group, copier = cluster.make(fresh("in")), fresh("group"), Copier(cluster.make(fresh("out")))
    cluster.put(topic, [b"done"] * 3)
    cluster.commit(group, {(topic, 0): (3, "")})

    with forwarding(cluster, group, topic, copier) as loop:
        eventually(lambda: loop._partitions and not loop._suspect, within_s=20)
        cluster.put(topic, [b"later"])
        eventually(lambda: copier.decided, within_s=10)

    assert copier.decided == [(3, False)]
    assert len(values(cluster, copier.to)) == 1


def test_a_loop_that_left_on_purpose_leaves_no_suspicion_and_hands_over_exactly_once(cluster: Cluster) -> None:
    topic, group, copier = cluster.make(fresh("in")), fresh("group"), Copier(cluster.make(fresh("out")))
    cluster.put(topic, [b"%d" % n for n in range(500)])
    with forwarding(cluster, group, topic, copier):
        eventually(lambda: len(copier.decided) == 500, within_s=20)
    (left,) = cluster.committed(group, [(topic, 0)]).values()
    assert (left.offset, left.metadata) == (500, CLEAN)

    cluster.put(topic, [b"%d" % n for n in range(500, 600)])
    with forwarding(cluster, group, topic, copier):
        eventually(lambda: len(copier.decided) == 600, within_s=20)

    assert copier.decided == [(offset, False) for offset in range(600)]
    assert values(cluster, copier.to) == [b"%d" % n for n in range(600)]


def test_two_loops_share_a_topic_without_forwarding_anything_twice(cluster: Cluster) -> None:
    topic, group = cluster.make(fresh("in"), partitions=4), fresh("group")
    to = cluster.make(fresh("out"))
    first, second = Copier(to), Copier(to)
    with forwarding(cluster, group, topic, first):
        for number in range(4):
            cluster.put(topic, [b"a%d" % n for n in range(200)], number)
        eventually(lambda: first.decided, within_s=20)
        with forwarding(cluster, group, topic, second, slot="1") as other:
            eventually(lambda: len(values(cluster, to)) == 800, within_s=20)
            eventually(lambda: other._partitions, within_s=20)  # else the first may decide what comes now, too
            for number in range(4):
                cluster.put(topic, [b"b%d" % n for n in range(50)], number)
            eventually(lambda: second.decided, within_s=20)
            eventually(lambda: len(values(cluster, to)) == 1_000, within_s=20)

    assert len(values(cluster, to)) == 1_000


def test_a_partition_waits_until_it_is_known_what_it_has_seen_and_the_others_go_on(cluster: Cluster) -> None:
    topic, group, memory = cluster.make(fresh("in"), partitions=2), fresh("group"), Slow()
    copier = Copier(cluster.make(fresh("out")))
    for number in (0, 1):
        cluster.put(topic, [b"%d" % number] * 12_000, number)  # more than is looked ahead: it is paused meanwhile
    memory.told.add(1)

    with forwarding(cluster, group, topic, copier, memory=memory) as loop:
        eventually(lambda: len(copier.decided) == 12_000, within_s=30, what=lambda: len(copier.decided))
        eventually(lambda: loop._partitions[topic, 0].full, within_s=20)
        assert set(values(cluster, copier.to)) == {b"1"}
        assert not loop.joined
        memory.told.add(0)
        eventually(lambda: len(copier.decided) == 24_000, within_s=30, what=lambda: len(copier.decided))
        eventually(lambda: loop.joined, within_s=10)

    assert sorted(memory.begun) == sorted(memory.forgotten) == [0, 1]
    assert memory.closed


class OfOurs(Copier):
    """A copier from a topic of our own: its records have our header."""

    header = "commproc"


def test_a_partition_of_ours_whose_group_has_lost_its_offsets_is_held_and_not_forwarded_again(cluster: Cluster) -> None:
    topic, group, copier = cluster.make(fresh("in")), fresh("group"), OfOurs(cluster.make(fresh("out")))
    cluster.put(topic, [b"%d" % n for n in range(5)])
    with forwarding(cluster, group, topic, copier) as loop:
        eventually(lambda: len(copier.decided) == 5, within_s=20)
        eventually(lambda: not loop._untrimmed, within_s=20)
    eventually(lambda: forgotten(cluster, group), within_s=30, what="its last member stays until its session ends")
    cluster.put(topic, [b"later"])

    again = OfOurs(copier.to)
    with forwarding(cluster, group, topic, again, slot="1") as loop:
        eventually(lambda: loop._member.joined and not loop._member.is_asking, within_s=30)
        loop_held = dict(loop._partitions)

    assert (loop_held, again.decided) == ({}, [])
    assert len(values(cluster, copier.to)) == 5


def forgotten(cluster: Cluster, group: str) -> bool:
    """Have Kafka forget a group, as it does a week after its last member has gone."""
    try:
        cluster.admin.delete_consumer_groups([group])[group].result(20)
    except KafkaException:
        return False
    return True


class Undecided(Copier):
    """A copier that can decide nothing for now, as where the registry is away."""

    away = True

    def decide(self, records: Sequence[Record], *, suspect: bool) -> list[list[Output]]:
        return [] if self.away else super().decide(records, suspect=suspect)


def test_no_more_is_read_than_may_be_held_while_nothing_can_be_decided(
    cluster: Cluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("processor.stages.lookahead.RECORDS_MAX", 200)
    topic, group, copier = cluster.make(fresh("in")), fresh("group"), Undecided(cluster.make(fresh("out")))
    cluster.put(topic, [b"%d" % n for n in range(5_000)])

    with forwarding(cluster, group, topic, copier) as loop:
        eventually(lambda: loop._member.paused((topic, 0)), within_s=20)
        assert len(loop._partitions[topic, 0].records) <= 2 * 200 + 100
        copier.away = False
        eventually(lambda: len(copier.decided) == 5_000, within_s=30, what=lambda: len(copier.decided))

    assert values(cluster, copier.to) == [b"%d" % n for n in range(5_000)]


class Barred:
    """Ticks that are aborted again and again."""

    may_commit = False

    def __init__(self, loop: ForwardLoop, tries: int) -> None:
        self.loop = loop
        self.left = tries
        self.most = 0

    def commit(self, outputs: Iterable[Output], commits: dict[Place, Commit], meanwhile: object) -> Fate:
        list(outputs)
        self.left -= 1
        return Fate.ABORTED if self.left else Fate.COMMITTED

    def wait(self) -> None:
        self.loop.listen(0.05)
        self.most = max(self.most, *(len(part.records) for part in self.loop._partitions.values()))


def test_no_more_is_read_than_may_be_held_while_nothing_can_be_committed(
    cluster: Cluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("processor.stages.lookahead.RECORDS_MAX", 50)
    topic, copier = cluster.make(fresh("in")), Copier("nowhere")
    cluster.put(topic, [b"%d" % n for n in range(5_000)])
    seat = Seat("intake", fresh("group"), "0", {topic: 1}, (cluster.make(fresh("probed")), 0))
    loop = ForwardLoop(cluster.connection, seat, copier, SystemClock(), Health(), tick_records_max=100)

    def claimed() -> bool:
        loop._member.prove(loop._member.unproven() or 0)
        loop.listen(0.05)
        return bool(loop._partitions) and bool(loop._partitions[topic, 0].records)

    eventually(claimed, within_s=20)
    barred = Barred(loop, tries=40)
    loop._ticks = barred  # type: ignore[assignment] # a broker cannot be asked to abort at this moment
    loop._tick(loop._ready())
    with suppress(Stayed):
        loop._member.close()

    assert 0 < barred.most <= 2 * 50 + 100


def record(topic: str, number: int, offset: int) -> Record:
    return Record((topic, number), offset, None, b"%d" % offset, 0, None)


class Refusing:
    """Ticks whose first transaction is aborted; meanwhile a partition goes and comes back."""

    def __init__(self, loop: ForwardLoop, place: Place) -> None:
        self.loop = loop
        self.place = place
        self.commits: list[dict[Place, Commit]] = []
        self.published: list[list[bytes | None]] = []

    def commit(self, outputs: Iterable[Output], commits: dict[Place, Commit], meanwhile: object) -> Fate:
        self.published.append([each.value for each in outputs])
        self.commits.append(commits)
        return Fate.ABORTED if len(self.commits) == 1 else Fate.COMMITTED

    def wait(self) -> None:
        self.loop.lost([self.place])
        self.loop.claimed(self.place, Committed(0, CLEAN))


def test_a_partition_that_went_and_came_back_while_a_tick_was_tried_again_is_left_out_of_it(cluster: Cluster) -> None:
    # It is read again from what is committed: the records of that tick would count twice.
    topic, copier = cluster.make(fresh("in"), partitions=2), Copier("nowhere")
    seat = Seat("intake", fresh("group"), "0", {topic: 1}, ("probed", 0))
    loop = ForwardLoop(cluster.connection, seat, copier, SystemClock(), Health(), tick_records_max=100)
    for number in (0, 1):
        loop.claimed((topic, number), Committed(0, CLEAN))
    ticks = Refusing(loop, (topic, 0))
    loop._ticks = ticks  # type: ignore[assignment] # a broker cannot be asked to abort at this moment

    loop._tick({(topic, number): [record(topic, number, offset) for offset in range(250)] for number in (0, 1)})
    loop._member.close()

    assert ticks.commits == [{(topic, 0): Commit(250), (topic, 1): Commit(250)}, {(topic, 1): Commit(250)}]
    assert ticks.published[0] == [b"%d" % offset for offset in range(250)] * 2
    assert ticks.published[1] == [b"%d" % offset for offset in range(250)]
    assert len(copier.decided) == 500  # once each
    assert copier.ticks == 1
    assert [loop._partitions[topic, number].next_offset for number in (0, 1)] == [0, 250]


def test_a_backlog_in_one_partition_leaves_room_in_every_tick_for_the_others(cluster: Cluster) -> None:
    topic, copier = cluster.make(fresh("in"), partitions=3), Copier("nowhere")
    seat = Seat("intake", fresh("group"), "0", {topic: 3}, ("probed", 0))
    loop = ForwardLoop(cluster.connection, seat, copier, SystemClock(), Health(), tick_records_max=90)
    for number in range(3):
        loop.claimed((topic, number), Committed(0, CLEAN))
    parts = [loop._partitions[topic, number] for number in range(3)]
    for offset in range(1_000):
        for number in (0, 1):
            parts[number].add(record(topic, number, offset))
    firsts = set()
    for offset in range(6):
        parts[2].add(record(topic, 2, offset))

        ready = loop._ready()

        counts = {place[1]: len(records) for place, records in ready.items()}
        assert sum(counts.values()) == 90
        assert counts[2] == 1
        assert min(counts[0], counts[1]) >= 30
        firsts.add(max(counts, key=lambda number: counts[number]))
    loop._member.close()

    assert firsts == {0, 1}  # what is left over goes to each in its turn
    assert [part.records[0].offset for part in parts[:2]] == [1_000 - len(part.records) for part in parts[:2]]
