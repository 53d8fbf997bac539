"""Whoever takes a partition over reads what it has seen: all of it, and as far back as the horizon."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor
from itertools import count
from typing import TYPE_CHECKING

import pytest
from confluent_kafka import KafkaException

from processor.codec.ids import Strange, encode_entry, encode_ids
from processor.core.seen import ID_BYTES, mark_of
from processor.kafka.partitioner import hash_of
from processor.kafka.since import Unwanted
from processor.stages.clock import SystemClock
from processor.stages.rebuilding import Rebuilding
from tests.support.cluster import Cluster, fresh

if TYPE_CHECKING:
    from collections.abc import Iterable

    from confluent_kafka import Producer

    from processor.stages.rebuilding import Known

HORIZON_MS = 3_600_000
NOW_S = SystemClock().now_ms() // 1_000


class Topics:
    """An inbound topic and that of its ids."""

    def __init__(self, cluster: Cluster, partitions: int = 2) -> None:
        self.cluster = cluster
        self.inbound = cluster.make(fresh("in"), partitions)
        self.ids = cluster.make(fresh("ids"), partitions, message_timestamp_type="LogAppendTime")
        self.rebuilding = Rebuilding(cluster.connection, self.inbound, self.ids, SystemClock(), HORIZON_MS)

    def known(self, partition: int = 0) -> Known:
        return self.rebuilding.known(partition, lambda: True)

    def put(self, value: bytes | None, partition: int = 0) -> None:
        self.cluster.put(self.ids, [value], partition)

    def grow(self, partitions: int) -> None:
        self.cluster.grow(self.inbound, partitions)
        self.cluster.grow(self.ids, partitions)


def packed(names: Iterable[str], *, partitions: int = 2, at_s: int = NOW_S) -> bytes:
    entries = [encode_entry(mark_of(name.encode(), b"content"), hash_of(name.encode())) for name in names]
    return encode_ids(partitions, at_s, b"".join(entries))


def names_in(known: Known, names: Iterable[str]) -> set[str]:
    """Return which of *names* were seen."""
    return {name for name in names if known.seen.content_of(mark_of(name.encode(), b""), NOW_S) is not None}


@pytest.fixture
def topics(cluster: Cluster) -> Topics:
    return Topics(cluster)


NAMES = [f"m-{number}" for number in range(40)]


def test_a_new_partition_has_seen_nothing(topics: Topics) -> None:
    known = topics.known()

    assert (known.partitions, known.seen.count) == (2, 0)


def test_it_knows_what_was_written_for_its_partition_with_its_content_and_nothing_else(topics: Topics) -> None:
    topics.put(packed(NAMES[:10]))
    topics.put(packed(NAMES[10:20]))
    topics.put(packed(NAMES[20:30]), partition=1)

    known = topics.known()

    assert names_in(known, NAMES) == set(NAMES[:20])
    mark = mark_of(b"m-3", b"content")
    assert known.seen.content_of(mark, NOW_S) == mark[ID_BYTES:]


def test_what_is_older_than_the_horizon_is_left_out(topics: Topics) -> None:
    over_s = SystemClock().now_ms() // 1_000 - HORIZON_MS // 1_000  # now, and not when the tests began
    topics.put(packed(NAMES[:10], at_s=over_s - 60))
    topics.put(packed(NAMES[10:20], at_s=over_s + 60))

    known = topics.known()

    assert names_in(known, NAMES) == set(NAMES[10:20])
    assert known.seen.count == 10


def transaction(topics: Topics, name: str, names: Iterable[str]) -> Producer:
    """Return a producer with an open transaction in which *names* were written for partition 0."""
    producer = topics.cluster.producer(**{"transactional.id": name})
    producer.init_transactions(30)
    producer.begin_transaction()
    producer.produce(topics.ids, packed(names), partition=0)
    producer.flush(30)
    return producer


def test_it_waits_for_a_transaction_that_is_still_open_and_counts_it_if_it_is_committed(topics: Topics) -> None:
    # A stable commit of the group says that its transaction is over, not that its markers are everywhere.
    topics.put(packed(NAMES[:5]))
    aborted, committed = (transaction(topics, fresh("open"), names) for names in (NAMES[5:10], NAMES[10:15]))
    polls, waits = count(1), threading.Event()

    def wanted() -> bool:
        if next(polls) == 10:  # what is committed takes one poll or two
            waits.set()
        return True

    with ThreadPoolExecutor(1) as apart:
        future = apart.submit(topics.rebuilding.known, 0, wanted)
        assert waits.wait(20)
        assert not future.done()
        aborted.abort_transaction(30)
        committed.commit_transaction(30)
        known = future.result(20)

    assert names_in(known, NAMES) == {*NAMES[:5], *NAMES[10:15]}


def test_nobody_waits_for_an_answer_that_nobody_wants(topics: Topics) -> None:
    open_ = transaction(topics, fresh("open"), NAMES)

    with pytest.raises(Unwanted):
        topics.rebuilding.known(0, lambda: False)
    open_.abort_transaction(30)


def test_when_partitions_were_added_ids_are_found_where_they_were_seen_before(topics: Topics) -> None:
    topics.put(packed([name for name in NAMES if hash_of(name.encode()) % 2 == 0]), partition=0)
    topics.put(packed([name for name in NAMES if hash_of(name.encode()) % 2 == 1]), partition=1)
    topics.grow(5)
    later = [f"later-{number}" for number in range(20)]
    for partition in range(5):
        ours = [name for name in later if hash_of(name.encode()) % 5 == partition]
        topics.put(packed(ours, partitions=5), partition=partition)

    found = [names_in(topics.known(partition), [*NAMES, *later]) for partition in range(5)]

    wanted = [{name for name in [*NAMES, *later] if hash_of(name.encode()) % 5 == each} for each in range(5)]
    assert found[2:] == wanted[2:]  # the partitions that are new
    assert [wanted[each] <= found[each] for each in (0, 1)] == [True, True]


@pytest.mark.parametrize("value", [None, b"text", b"\x02" + packed(NAMES)[1:]])
def test_a_record_that_it_cannot_read_is_not_taken_for_nothing_seen(topics: Topics, value: bytes | None) -> None:
    topics.put(value)

    with pytest.raises(Strange):
        topics.known()


def test_a_missing_partition_of_ids_is_not_taken_for_nothing_seen(cluster: Cluster, topics: Topics) -> None:
    cluster.grow(topics.inbound, 3)

    with pytest.raises(KafkaException):
        topics.known(2)
