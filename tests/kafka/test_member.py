"""A member starts each partition exactly where the group's stable commit says, and holds what it cannot know."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import replace
from typing import TYPE_CHECKING, Final

import pytest
from confluent_kafka import Consumer, KafkaError, KafkaException, Producer, TopicPartition

from processor.kafka.committed import Committed
from processor.kafka.departure import Stayed
from processor.kafka.transactions import Aborted
from tests.kafka.owners import Seated, seated
from tests.support.cluster import TIMEOUT_S, fresh
from tests.support.eventually import eventually

if TYPE_CHECKING:
    from tests.support.cluster import Cluster


@pytest.fixture
def group() -> str:
    return fresh("group")


def test_a_partition_that_was_never_committed_is_fresh_and_read_from_its_first_record(
    cluster: Cluster, group: str
) -> None:
    topic = cluster.make(fresh("member"))
    cluster.put(topic, [b"a", b"b", b"c"])

    with seated(cluster.connection, group, [topic]) as member:
        member.polled_until(lambda: len(member.records((topic, 0))) == 3)

    assert member.witness.claims == {(topic, 0): Committed(0, "", fresh=True)}
    assert member.records((topic, 0)) == [0, 1, 2]


def test_a_partition_is_read_from_its_committed_offset_with_its_metadata(cluster: Cluster, group: str) -> None:
    topic = cluster.make(fresh("member"))
    cluster.put(topic, [b"a", b"b", b"c"])
    cluster.commit(group, {(topic, 0): (2, "so far")})

    with seated(cluster.connection, group, [topic]) as member:
        member.polled_until(lambda: member.records((topic, 0)))

    assert member.witness.claims == {(topic, 0): Committed(2, "so far")}
    assert member.records((topic, 0)) == [2]


def test_the_end_of_a_partition_is_told_after_the_records_before_it(cluster: Cluster, group: str) -> None:
    # An end that is told first makes holes of records that are about to be read, and the mark would pass them.
    topic = cluster.make(fresh("member"), partitions=4)
    places = [(topic, number) for number in range(4)]
    for _, number in places:
        cluster.put(topic, [b"x"] * 500, number)

    with seated(cluster.connection, group, [topic]) as member:
        member.polled_until(lambda: all(("end", place, 500) in member.witness.told for place in places))

    for place in places:
        told = [(what, offset) for what, where, offset in member.witness.told if where == place]
        assert told.index(("end", 500)) > told.index(("record", 499))


def until_it_has(member: Seated, topic: str, count: int) -> None:
    member.polled_until(lambda: len(member.records((topic, 0))) >= count)


def test_an_owner_that_needs_no_journal_goes_on_with_what_is_left(cluster: Cluster, group: str) -> None:
    # Never committed, or committed before what is left: receipts that Kafka has deleted are joined by nobody.
    topic, known = cluster.make(fresh("member")), fresh("group")
    cluster.put(topic, [b"a", b"b", b"c", b"d"])
    cluster.commit(known, {(topic, 0): (1, "")})
    cluster.admin.delete_records([TopicPartition(topic, 0, 2)])[TopicPartition(topic, 0)].result(10)

    for each in (group, known):
        with seated(cluster.connection, each, [topic]) as member:
            member.witness.goes_on = True
            until_it_has(member, topic, 2)
            cluster.put(topic, [b"e"])
            until_it_has(member, topic, 3)

        assert member.records((topic, 0))[:2] == [2, 3]
        assert member.witness.held == [(topic, 0)]


def test_a_partition_whose_offsets_are_gone_and_whose_log_has_moved_on_is_held(cluster: Cluster, group: str) -> None:
    topic = cluster.make(fresh("member"), partitions=2)
    for number in range(2):
        cluster.put(topic, [b"a", b"b", b"c"], number)
    cluster.admin.delete_records([TopicPartition(topic, 0, 1)])[TopicPartition(topic, 0)].result(10)

    with seated(cluster.connection, group, [topic]) as member:
        member.polled_until(lambda: member.witness.held and len(member.records((topic, 1))) == 3)

    assert member.witness.held == [(topic, 0)]
    assert member.records((topic, 0)) == []


def test_a_partition_whose_committed_offset_lies_below_its_log_is_held(cluster: Cluster, group: str) -> None:
    topic = cluster.make(fresh("member"))
    cluster.put(topic, [b"a", b"b", b"c"])
    cluster.commit(group, {(topic, 0): (0, "")})
    cluster.admin.delete_records([TopicPartition(topic, 0, 2)])[TopicPartition(topic, 0)].result(10)

    with seated(cluster.connection, group, [topic]) as member:
        member.polled_until(lambda: member.witness.held)

    assert member.records((topic, 0)) == []


def until_it_lies_before_its_log(cluster: Cluster, member: Seated, topic: str, elsewhere: int | None) -> None:
    """Let a member stand at 0, another one commit *elsewhere*, and the log begin at 2 before the member reads on."""
    place = (topic, 0)
    member.polled_until(lambda: ("end", place, 0) in member.witness.told)
    member.member.pause(place)
    cluster.put(topic, [b"a", b"b", b"c"])
    if elsewhere is not None:
        producer = Producer(cluster.connection.producer(fresh("other"), lambda *_: None))
        producer.init_transactions(20)
        producer.begin_transaction()
        producer.send_offsets_to_transaction([TopicPartition(*place, elsewhere)], member.member.metadata(), 10)
        producer.commit_transaction(10)
    cluster.admin.delete_records([TopicPartition(*place, 2)])[TopicPartition(*place)].result(10)
    member.member.resume(place)


def test_a_member_whose_partition_was_read_on_by_another_claims_it_again(cluster: Cluster, group: str) -> None:
    # Whose way to Kafka was stalled hears that its offset is gone before it hears that it was expelled.
    topic = cluster.make(fresh("member"))
    with seated(cluster.connection, group, [topic]) as member:
        until_it_lies_before_its_log(cluster, member, topic, elsewhere=2)
        member.polled_until(lambda: member.records((topic, 0)))

    assert member.witness.held == []
    assert member.records((topic, 0)) == [2]
    what = [told[0] for told in member.witness.told if told[0] != "end"]
    assert what[:4] == ["claimed", "lost", "claimed", "record"]


@pytest.mark.parametrize("elsewhere", [None, 1])
def test_a_partition_that_is_trimmed_beyond_what_anybody_committed_is_held(
    cluster: Cluster, group: str, elsewhere: int | None
) -> None:
    topic = cluster.make(fresh("member"))
    with seated(cluster.connection, group, [topic]) as member:
        until_it_lies_before_its_log(cluster, member, topic, elsewhere)
        member.polled_until(lambda: member.witness.held)

    assert member.witness.held == [(topic, 0)]
    assert member.records((topic, 0)) == []


def test_an_owner_that_refuses_a_partition_is_given_no_record_of_it(cluster: Cluster, group: str) -> None:
    topic = cluster.make(fresh("member"), partitions=2)
    for number in range(2):
        cluster.put(topic, [b"a"], number)

    with seated(cluster.connection, group, [topic]) as member:
        member.witness.refuse = True
        member.polled_until(lambda: len(member.witness.claims) == 2)
        for _ in range(20):
            member.poll()

    assert [told for told in member.witness.told if told[0] == "record"] == []


def test_a_partition_stays_pending_while_a_dead_owner_has_a_transaction_open(cluster: Cluster, group: str) -> None:
    topic = cluster.make(fresh("member"))
    cluster.put(topic, [b"a", b"b", b"c"])
    other = cluster.make(fresh("member"))
    cluster.put(other, [b"o"])
    dead = open_transaction(cluster, group, topic)

    with seated(cluster.connection, group, [topic, other]) as member:
        member.polled_until(lambda: member.records((other, 0)))
        assert (topic, 0) not in member.witness.claims
        assert member.member.unstable_s() > 0
        dead.abort_transaction(10)
        member.polled_until(lambda: member.records((topic, 0)))

    assert member.witness.claims[topic, 0] == Committed(0, "", fresh=True)
    assert member.member.unstable_s() == 0


def test_what_is_stable_is_claimed_however_many_beside_it_stay_unstable(cluster: Cluster, group: str) -> None:
    topic = cluster.make(fresh("member"), partitions=16)
    unstable = {(topic, number) for number in (1, 5, 9)}  # one in each quarter but the last
    with seated(cluster.connection, group, [topic]) as dead:
        dead.polled_until(lambda: len(dead.witness.owned) == 16)
        producer = cluster.producer(**{"transactional.id": fresh("dead"), "transaction.timeout.ms": 120_000})
        producer.init_transactions(20)
        producer.begin_transaction()
        offsets = [TopicPartition(*place, 0) for place in unstable]
        producer.send_offsets_to_transaction(offsets, dead.member.metadata(), 10)

    with seated(cluster.connection, group, [topic]) as member:
        member.polled_until(lambda: len(member.witness.owned) == 13, within_s=60)
        assert member.member.is_asking
        assert not member.witness.owned & unstable
        producer.abort_transaction(10)


def open_transaction(cluster: Cluster, group: str, topic: str) -> Producer:
    """Leave a transaction of a member of *group* open that has committed offset 2 of *topic*."""
    with seated(cluster.connection, group, [topic]) as dead:
        dead.polled_until(lambda: len(dead.records((topic, 0))) == 3)
        producer = Producer(cluster.connection.producer(fresh("dead"), lambda *_: None))
        producer.init_transactions(20)
        producer.begin_transaction()
        producer.send_offsets_to_transaction([TopicPartition(topic, 0, 2)], dead.member.metadata(), 10)
    return producer


def test_partitions_move_between_two_members_and_each_has_one_owner(cluster: Cluster, group: str) -> None:
    topic = cluster.make(fresh("member"), partitions=4)
    places = {(topic, number) for number in range(4)}

    with seated(cluster.connection, group, [topic]) as first:
        first.polled_until(lambda: first.witness.owned == places)
        with seated(cluster.connection, group, [topic]) as second:

            def both_polled() -> bool:
                first.poll()
                return len(second.witness.owned) == 2

            second.polled_until(both_polled)
            assert first.witness.owned | second.witness.owned == places
            assert not first.witness.owned & second.witness.owned
        first.polled_until(lambda: first.witness.owned == places)

    assert sum(what == "revoked" for what, _, _ in first.witness.told[:-4]) == 2


def both_own_one(first: Seated, second: Seated) -> bool:
    first.poll()
    return len(first.witness.owned) == len(second.witness.owned) == 1


def test_a_slot_that_died_has_its_partitions_back_without_a_rebalance_and_its_ghost_cannot_leave_for_it(
    cluster: Cluster, group: str
) -> None:
    topic = cluster.make(fresh("member"), partitions=2)
    with seated(cluster.connection, group, [topic], instance="a") as stays:
        dies = Seated(cluster.connection, group, [topic], "b")
        dies.polled_until(lambda: both_own_one(stays, dies))
        had, known = set(dies.witness.owned), len(stays.witness.told)
        with seated(cluster.connection, group, [topic], instance="b") as returns:
            returns.polled_until(lambda: both_own_one(stays, returns), within_s=5)
            assert returns.witness.owned == had
            with pytest.raises(Stayed, match="Fenced"):
                dies.member.close()
            assert len(cluster.members(group)) == 2
        assert [told for told in stays.witness.told[known:] if told[0] in {"revoked", "lost", "claimed"}] == []


def test_the_partitions_of_a_slot_that_leaves_are_with_the_others_long_before_its_session_ends(
    cluster: Cluster, group: str
) -> None:
    connection = replace(cluster.connection, session_timeout_ms=60_000)
    topic = cluster.make(fresh("member"), partitions=2)
    with seated(connection, group, [topic], instance="a") as stays:
        with seated(connection, group, [topic], instance="b") as leaves:
            leaves.polled_until(lambda: both_own_one(stays, leaves), within_s=30)
        stays.polled_until(lambda: len(stays.witness.owned) == 2, within_s=30)
    assert len(cluster.members(group)) == 1  # the last one stays: nobody else would have its partitions


CLOSE_AT_ONCE: Final = """
import sys
from threading import Thread
from processor.kafka.connection import Connection
from tests.kafka.owners import Seated

bootstrap, topic, *groups = sys.argv[1:]
members = [Seated(Connection(bootstrap), group, [topic], "a") for group in groups]
sys.stdin.readline()
threads = [Thread(target=each.member.close) for each in members]
for thread in threads:
    thread.start()
for thread in threads:
    thread.join()
print(*(what for each in members for what, *_ in each.witness.told))
"""


def test_members_close_that_have_not_yet_heard_what_they_were_given(cluster: Cluster) -> None:
    # In a process of its own: a client that never returns keeps the interpreter's lock, and no time-out ends it.
    topic, groups = cluster.make(fresh("member")), [fresh("group") for _ in range(8)]
    arguments = [sys.executable, "-c", CLOSE_AT_ONCE, cluster.connection.bootstrap, topic, *groups]
    with subprocess.Popen(arguments, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as child:
        try:
            eventually(lambda: all(given(cluster, group) == 1 for group in groups), within_s=TIMEOUT_S)
            told, _ = child.communicate("close\n", timeout=TIMEOUT_S)
        finally:
            child.kill()

    assert told.split() == ["lost"] * len(groups)


def given(cluster: Cluster, group: str) -> int:
    """Return how many partitions the group's members were given."""
    return sum(len(each.assignment.topic_partitions) for each in cluster.members(group))


def test_a_partition_claimed_again_starts_where_the_group_stands_now(cluster: Cluster, group: str) -> None:
    topic = cluster.make(fresh("member"))
    cluster.put(topic, [b"a", b"b", b"c"])

    with seated(cluster.connection, group, [topic]) as member:
        member.polled_until(lambda: len(member.records((topic, 0))) == 3)
        producer = Producer(cluster.connection.producer(fresh("tick"), lambda *_: None))
        producer.init_transactions(20)
        producer.begin_transaction()
        producer.send_offsets_to_transaction([TopicPartition(topic, 0, 1, "again")], member.member.metadata(), 10)
        producer.commit_transaction(10)
        member.member.claim_again([(topic, 0)])
        member.polled_until(lambda: len(member.records((topic, 0))) == 5)

    assert member.witness.claims[topic, 0] == Committed(1, "again")
    assert member.records((topic, 0)) == [0, 1, 2, 1, 2]


def test_of_two_in_one_slot_the_older_one_ends(cluster: Cluster, group: str) -> None:
    topic = cluster.make(fresh("member"))
    older, newer = (Seated(cluster.connection, group, [topic], "a") for _ in range(2))
    older.polled_until(lambda: older.witness.owned)
    with pytest.raises(KafkaException) as ended:
        older.polled_until(lambda: newer.poll(0.0), within_s=60)

    assert ended.value.args[0].code() == KafkaError._FATAL
    newer.polled_until(lambda: newer.witness.owned)
    newer.member.close()
    assert [what for what, *_ in older.witness.told].count("lost") == 2  # as often as it has joined again


def test_a_consumer_that_is_fenced_before_it_was_a_member_joins_again_however_often(
    cluster: Cluster, group: str
) -> None:
    topic = cluster.make(fresh("member"))
    with seated(cluster.connection, group, [topic], instance="a") as member:
        for _ in range(5):
            member.member._fenced(KafkaError(KafkaError._FATAL))
        member.polled_until(lambda: member.witness.owned)


def test_a_partition_that_goes_while_it_waits_for_its_offset_is_told_as_lost(cluster: Cluster, group: str) -> None:
    topic = cluster.make(fresh("member"), partitions=2)
    with seated(cluster.connection, group, [topic]) as first:
        first.polled_until(lambda: len(first.witness.owned) == 2)
        first.proving = False
        first.member.claim_again(list(first.witness.owned))
        known = len(first.witness.told)
        with seated(cluster.connection, group, [topic]) as second:

            def has_one() -> bool:
                first.poll()
                return len(second.witness.owned) == 1

            second.polled_until(has_one)
            assert first.member.is_asking
            went = [told for told in first.witness.told[known:] if told[0] in {"lost", "revoked", "claimed"}]
            assert went == [("lost", place, -1) for place in second.witness.owned]


class Renamed(Consumer):
    """A consumer that the group has expelled, and knows under another id by now, without a word to its user."""

    alias: str | None = None

    def memberid(self) -> str:
        return super().memberid() if self.alias is None else self.alias


def test_a_member_that_was_expelled_and_joined_again_unnoticed_commits_nothing_and_begins_anew(
    cluster: Cluster, group: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("processor.kafka.member.Consumer", Renamed)
    topic = cluster.make(fresh("member"))
    cluster.put(topic, [b"a", b"b"])
    cluster.commit(group, {(topic, 0): (1, "")})

    with seated(cluster.connection, group, [topic], instance="a") as member:
        until_it_has(member, topic, 1)
        for alias in ("", "another"):
            member.member._consumer.alias = alias  # type: ignore[attr-defined] # of Renamed
            with pytest.raises(Aborted, match="DISPLACED"):
                member.member.metadata()
        until_it_has(member, topic, 2)
        member.member.metadata()

    what = [told for told in member.witness.told if told[0] != "end"]
    place = (topic, 0)
    assert what[:5] == [
        ("claimed", place, 1),
        ("record", place, 1),
        ("lost", place, -1),
        ("claimed", place, 1),
        ("record", place, 1),
    ]


def test_a_paused_partition_delivers_nothing_and_goes_on_where_it_was(cluster: Cluster, group: str) -> None:
    topic = cluster.make(fresh("member"))
    cluster.put(topic, [b"a"])

    with seated(cluster.connection, group, [topic]) as member:
        member.polled_until(lambda: member.records((topic, 0)))
        member.member.pause((topic, 0))
        cluster.put(topic, [b"b"])
        for _ in range(20):
            member.poll()
        assert member.records((topic, 0)) == [0]
        member.member.resume((topic, 0))
        member.polled_until(lambda: member.records((topic, 0)) == [0, 1])


def test_a_partition_that_is_paused_as_it_is_claimed_again_is_read(cluster: Cluster, group: str) -> None:
    topic = cluster.make(fresh("member"))
    cluster.put(topic, [b"a", b"b"])

    with seated(cluster.connection, group, [topic]) as member:
        member.polled_until(lambda: len(member.records((topic, 0))) == 2)
        member.member.pause((topic, 0))
        member.member.claim_again([(topic, 0)])
        member.polled_until(lambda: len(member.records((topic, 0))) == 4)

        assert not member.member.paused((topic, 0))


def test_a_partition_that_is_paused_as_it_goes_to_another_member_is_read_when_it_comes_back(
    cluster: Cluster, group: str
) -> None:
    topic = cluster.make(fresh("member"), partitions=2)
    places = {(topic, number) for number in range(2)}
    for _, number in places:
        cluster.put(topic, [b"a"], number)

    with seated(cluster.connection, group, [topic]) as stays:
        stays.polled_until(lambda: all(stays.records(place) for place in places))
        for place in places:
            stays.member.pause(place)
        with seated(cluster.connection, group, [topic]) as comes:
            comes.polled_until(lambda: both_own_one(stays, comes))
            (went,) = comes.witness.owned
        stays.polled_until(lambda: stays.witness.owned == places)
        stays.polled_until(lambda: len(stays.records(went)) == 2)  # nothing was committed

        assert not stays.member.paused(went)
        assert stays.member.paused(*(places - {went}))
