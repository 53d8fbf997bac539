"""The partition of a key is the one that the client library chooses."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from processor.cli.murmur2 import murmur2, partition_of
from tests.support.cluster import Cluster, fresh

if TYPE_CHECKING:
    from processor.sandbox.broker import Broker


def test_known_digests_come_out() -> None:
    """Of Apache Kafka's own UtilsTest.testMurmur2, as unsigned."""
    known = {"21": -973932308, "foobar": -790332482, "a-little-bit-long-string": -985981536}

    assert {text: murmur2(text.encode()) for text in known} == {
        text: value & 0xFFFFFFFF for text, value in known.items()
    }


def test_a_producer_puts_each_key_where_we_look_for_it(kafka: Broker) -> None:
    cluster = Cluster.at(kafka.bootstrap)
    topic = cluster.make(fresh("keys"), partitions=7)
    keys = [("k" * (number % 9) + str(number)).encode() for number in range(200)]
    chosen: dict[bytes, int] = {}

    def delivered(_: Any, record: Any) -> None:
        chosen[record.key()] = record.partition()

    producer = cluster.producer()
    for key in keys:
        producer.produce(topic, b"", key, on_delivery=delivered)
    producer.flush(30)

    assert chosen == {key: partition_of(key, 7) for key in keys}
