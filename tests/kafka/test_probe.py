"""A write to the group's coordinator proves that it tells all that was committed, and leaves nothing behind."""

from __future__ import annotations

import threading
from contextlib import closing, contextmanager, suppress
from itertools import count
from typing import TYPE_CHECKING

import pytest
from confluent_kafka import Consumer

from processor.kafka.committed import Committed, CommittedOffsets, committed_now
from processor.kafka.transactions import Abandoned, Aborted, Commit, Fenced, Output, Transactions
from tests.kafka.owners import seated
from tests.support.cluster import Cluster, fresh
from tests.support.eventually import eventually

if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import Any

    from processor.kafka.committed import Place
    from processor.kafka.connection import Connection
    from processor.sandbox.broker import Broker

KILLS = 3
READS = 3
COMMITS = 20
WRITERS = 3
PARTITIONS_EACH = 8


@pytest.fixture
def group() -> str:
    return fresh("group")


def membership(connection: Connection, group: str) -> Any:
    return Consumer(connection.consumer(group)).consumer_group_metadata()


def test_of_partitions_that_come_nothing_is_asked_before_the_coordinator_has_taken_a_write(
    cluster: Cluster, group: str
) -> None:
    topic, probed = cluster.make(fresh("member")), (cluster.make(fresh("probed")), 0)
    cluster.put(topic, [b"a"])
    transactions = Transactions(cluster.connection, fresh("tick"))
    transactions.start()

    with seated(cluster.connection, group, [topic]) as member:
        member.proving = False
        for _ in range(2):  # as the partition comes, and as it is claimed again
            member.polled_until(lambda: member.member.unproven() is not None)
            for _ in range(20):
                member.poll()
            assert member.witness.claims == {}
            coming = member.member.unproven()
            assert coming is not None
            transactions.probe(probed, member.member.metadata(), lambda: True)
            member.member.prove(coming)
            assert member.member.unproven() is None
            member.polled_until(lambda: member.witness.claims)
            assert member.witness.claims == {(topic, 0): Committed(0, "", fresh=True)}
            member.witness.claims.clear()
            member.member.claim_again([(topic, 0)])


def test_a_write_that_proves_a_partition_proves_none_that_came_since(cluster: Cluster, group: str) -> None:
    topic = cluster.make(fresh("member"))
    cluster.put(topic, [b"a"])

    with seated(cluster.connection, group, [topic]) as member:
        member.polled_until(lambda: member.records((topic, 0)))
        member.proving = False
        member.member.claim_again([(topic, 0)])
        earlier = member.member.unproven()
        assert earlier is not None
        member.polled_until(lambda: member.member.is_asking)
        member.member.prove(earlier)
        member.polled_until(lambda: not member.member.is_asking)
        member.member.claim_again([(topic, 0)])
        member.member.prove(earlier)

        assert member.member.unproven() == earlier + 1


def test_a_probe_leaves_nothing_behind_and_may_be_made_again(cluster: Cluster, group: str) -> None:
    probed = (cluster.make(fresh("probed")), 0)
    cluster.commit(group, {probed: (0, "before")})
    transactions = Transactions(cluster.connection, fresh("tick"))
    transactions.start()

    for _ in range(3):
        transactions.probe(probed, membership(cluster.connection, group), lambda: True)

    assert committed_now(cluster.connection, group, [probed], within_s=10) == {probed: Committed(0, "before")}


def test_a_probe_that_the_coordinator_refuses_is_aborted_and_the_producer_goes_on(cluster: Cluster, group: str) -> None:
    probed = (cluster.make(fresh("probed")), 0)
    with seated(cluster.connection, group, [cluster.make(fresh("member"))]) as gone:
        gone.polled_until(lambda: gone.member.joined)
        stale = gone.member.metadata()
    transactions = Transactions(cluster.connection, fresh("tick"))
    transactions.start()

    with pytest.raises(Aborted):
        transactions.probe(probed, stale, lambda: True)

    transactions.probe(probed, membership(cluster.connection, group), lambda: True)


class Writer:
    """Commits for its partitions again and again, and remembers what Kafka has acknowledged."""

    def __init__(self, connection: Connection, group: str, places: list[Place], output: str) -> None:
        self.acknowledged: dict[Place, int] = {}
        self.commits = 0
        self.stopping = threading.Event()
        self._transactions = Transactions(connection, fresh("writer"))
        self._membership = membership(connection, group)
        self._places, self._output = places, Output(output, b"x")
        self.thread = threading.Thread(target=self._write)

    def _write(self) -> None:
        with suppress(Abandoned):
            self._transactions.start(self._meanwhile)
            for offset in count(1):
                if not self._meanwhile():
                    return
                self._commit(offset)

    def _commit(self, offset: int) -> None:
        commits = dict.fromkeys(self._places, Commit(offset, "so far"))
        try:
            self._transactions.run([self._output], commits, self._membership, self._meanwhile)
        except Aborted:
            pass
        except Fenced:
            self._transactions.renew(self._meanwhile)
        else:
            self.acknowledged.update(dict.fromkeys(self._places, offset))
            self.commits += 1

    def _meanwhile(self) -> bool:
        return not self.stopping.is_set()


@contextmanager
def writing(connection: Connection, group: str, topic: str, output: str) -> Iterator[list[Writer]]:
    """Let writers commit for all partitions of *topic*."""
    writers = []
    for number in range(WRITERS):
        first = number * PARTITIONS_EACH
        places = [(topic, first + each) for each in range(PARTITIONS_EACH)]
        writers.append(Writer(connection, group, places, output))
    for writer in writers:
        writer.thread.start()
    try:
        yield writers
    finally:
        for writer in writers:
            writer.stopping.set()
        for writer in writers:
            writer.thread.join()


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_after_a_probe_a_killed_broker_tells_everything_that_it_acknowledged(own_kafka: Broker, group: str) -> None:
    # Without one it told older commits, or none, in half of the restarts: its coordinator had read half its log.
    cluster = Cluster.at(own_kafka.bootstrap)
    connection, probed = cluster.connection, (cluster.make(fresh("probed")), 0)
    topic = cluster.make(fresh("in"), partitions=WRITERS * PARTITIONS_EACH)
    offsets, output = CommittedOffsets(connection, group), cluster.make(fresh("out"))
    with closing(offsets), writing(connection, group, topic, output) as writers:
        for _ in range(KILLS):
            eventually(lambda: all(writer.commits > COMMITS for writer in writers), within_s=60, what="commits")
            own_kafka.kill()
            own_kafka.restart()
            for writer in writers:
                writer.commits = 0
            proven(connection, group, probed)
            assert sum(read_back(offsets, writers) for _ in range(READS)) > 0


def read_back(offsets: CommittedOffsets, writers: list[Writer]) -> int:
    """Return of how many partitions it is told what is committed; fails where it is less than was acknowledged."""
    known = {place: offset for writer in writers for place, offset in dict(writer.acknowledged).items()}
    found = offsets.ask(known).result()  # not of all: each has a transaction open most of the time
    told = {place: 0 if commit is None else commit.offset for place, commit in found.items()}
    assert {place: (offset, known[place]) for place, offset in told.items() if offset < known[place]} == {}
    return len(told)


def proven(connection: Connection, group: str, probed: Place) -> None:
    transactions = Transactions(connection, "probe")
    transactions.start()
    while True:
        try:
            transactions.probe(probed, membership(connection, group), lambda: True)
        except Aborted:
            continue
        except Fenced:
            transactions.renew(lambda: True)
        else:
            return
