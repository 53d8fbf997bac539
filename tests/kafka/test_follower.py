"""A follower reads everything from the beginning, knows when it has, and goes on through a restart of the broker."""

from __future__ import annotations

import time
from contextlib import closing
from typing import TYPE_CHECKING

import pytest

from processor.kafka.follower import Follower
from tests.support.cluster import Cluster, fresh
from tests.support.eventually import eventually

if TYPE_CHECKING:
    from processor.sandbox.broker import Broker


class Read:
    """What a follower has returned, by partition and in order."""

    def __init__(self, follower: Follower) -> None:
        self.follower = follower
        self.values: dict[int, list[bytes]] = {}

    def __call__(self) -> int:
        """Poll once, and return how many records there are in all."""
        for message in self.follower.poll(100, 0.05):
            self.values.setdefault(message.partition() or 0, []).append(message.value() or b"")
        return sum(map(len, self.values.values()))


def following(cluster: Cluster, topic: str, partitions: int = 1) -> Read:
    return Read(Follower(cluster.connection, {topic: partitions}, time.monotonic))


def numbered(begin: int, end: int) -> list[bytes | None]:
    return [f"{number}".encode() for number in range(begin, end)]


def test_it_reads_every_partition_in_order_and_tells_the_end_only_after_all_of_it(cluster: Cluster) -> None:
    topic = cluster.make(fresh("followed"), 2)
    for partition in (0, 1):
        cluster.put(topic, numbered(0, 1_500), partition)

    read, known = following(cluster, topic, 2), 0
    with closing(read.follower):
        while not read.follower.caught_up:
            assert read.follower.behind_s() > 0
            known = read()
        assert known == 3_000
        assert read.values == {0: numbered(0, 1_500), 1: numbered(0, 1_500)}
        assert eventually(lambda: read() == known and read.follower.behind_s() == 0, within_s=10)

        cluster.put(topic, numbered(1_500, 1_501), 1)
        eventually(lambda: read() == 3_001, within_s=5)


def test_an_empty_topic_is_read_at_once(cluster: Cluster) -> None:
    read = following(cluster, cluster.make(fresh("empty")))

    with closing(read.follower):
        eventually(lambda: read() == 0 and read.follower.caught_up, within_s=5)


@pytest.mark.slow
def test_it_says_that_it_is_behind_while_the_broker_is_away_and_goes_on_when_it_is_back(
    own_kafka: Broker,
) -> None:
    cluster = Cluster.at(own_kafka.bootstrap)
    topic = cluster.make(fresh("restarted"))
    cluster.put(topic, numbered(0, 10))
    read = following(cluster, topic)
    with closing(read.follower):
        eventually(lambda: read() == 10 and read.follower.behind_s() == 0, within_s=10)

        own_kafka.kill()
        eventually(lambda: read() == 10 and read.follower.behind_s() > 0, within_s=20)
        own_kafka.restart()
        cluster.put(topic, numbered(10, 20))

        eventually(lambda: read() == 20 and read.follower.behind_s() == 0, within_s=30)
        assert read.values == {0: numbered(0, 20)}
