"""What a broker tells of a topic, and what a client keeps while none answers."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from processor.kafka.counts import Counts
from processor.sandbox.ports import free_port
from tests.support.cluster import fresh

if TYPE_CHECKING:
    from tests.support.cluster import Cluster


def test_the_partitions_of_a_topic_are_counted(cluster: Cluster) -> None:
    counts = Counts(cluster.connection, answer_s=10)
    topic = cluster.make(fresh("counted"), partitions=3)

    assert (counts.of(topic), counts.answered(topic)) == (3, True)


def test_of_a_topic_that_does_not_exist_a_broker_says_so(cluster: Cluster) -> None:
    counts = Counts(cluster.connection, answer_s=10)
    missing = fresh("missing")

    assert (counts.of(missing), counts.answered(missing)) == (None, True)


def test_connections_that_failed_are_not_kept_while_kafka_is_away(cluster: Cluster) -> None:
    away = replace(cluster.connection, bootstrap=f"127.0.0.1:{free_port()}")
    counts = Counts(away)

    for _ in range(6):
        assert not counts.answered("anything")

    assert len(counts._admin) < 10  # type: ignore[arg-type]
