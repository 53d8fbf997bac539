"""A replay tells how far its reader has come, and not how far it was handed to it."""

from __future__ import annotations

from contextlib import closing
from typing import TYPE_CHECKING

from processor.kafka.replay import Replay
from tests.support.cluster import Cluster, fresh
from tests.support.eventually import eventually

if TYPE_CHECKING:
    from confluent_kafka import Message


def test_a_record_counts_as_taken_in_once_the_next_one_is_asked_for(cluster: Cluster) -> None:
    topic = cluster.make(fresh("replay"))
    cluster.put(topic, [b"a", b"b", b"c"])

    with closing(Replay(cluster.connection, topic, 1, 0)) as replay:
        seen: list[tuple[bytes | None, int]] = []

        def take(message: Message) -> None:
            seen.append((message.value(), replay.positions[0]))

        def polled() -> bool:
            for message in replay.poll(10, 0.1):
                take(message)
            return replay.current

        eventually(polled, within_s=20)

        assert seen == [(b"a", 0), (b"b", 1), (b"c", 2)]
        assert replay.positions == {0: 3}
        assert replay.reaches({0: 3})
        assert not replay.reaches({0: 4})
