"""The partition of a key is the one that the client library chooses."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from hypothesis import given
from hypothesis import strategies as st

from processor.core.murmur2 import murmur2
from processor.kafka.partitioner import hash_of, partition_of
from tests.support.cluster import Cluster, fresh

if TYPE_CHECKING:
    from processor.sandbox.broker import Broker


def test_known_digests_come_out() -> None:
    """Of Apache Kafka's own UtilsTest.testMurmur2, as unsigned."""
    known = {"21": -973932308, "foobar": -790332482, "a-little-bit-long-string": -985981536}

    assert {text: murmur2(text.encode()) for text in known} == {
        text: value & 0xFFFFFFFF for text, value in known.items()
    }


@given(st.binary(max_size=70))
def test_the_native_hash_is_the_one_that_is_written_out(key: bytes) -> None:
    assert hash_of(key) == murmur2(key) & 0x7FFFFFFF


def test_the_native_hash_is_in_use() -> None:
    assert hash_of.__name__ == "quick"


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
