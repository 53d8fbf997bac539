"""A tick writes many small messages at once, and every topic takes them, however small messages may be."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Final

import pytest
from confluent_kafka import Producer

from processor.kafka.topics import Names, Sizes, topic_specs
from tests.core.worlds import plan
from tests.support.cluster import fresh

if TYPE_CHECKING:
    from confluent_kafka import KafkaError, Message

    from tests.support.cluster import Cluster

NAMES: Final = Names("batches")
SPECS: Final = {
    each.name: each.config for each in topic_specs(replace(plan(), message_bytes_max=65_536), NAMES, Sizes())
}
KINDS: Final = [
    NAMES.outbound,
    NAMES.dead_letter,
    *(next(name for name in SPECS if kind in name) for kind in (".send.", ".delay.")),
]


@pytest.mark.parametrize("kind", KINDS)
def test_a_topic_takes_the_largest_batch_that_our_producer_makes(cluster: Cluster, kind: str) -> None:
    topic = cluster.make(fresh("batches"), max_message_bytes=SPECS[kind]["max.message.bytes"])
    refused: list[KafkaError] = []

    def delivered(error: KafkaError | None, _: Message) -> None:
        if error is not None:
            refused.append(error)

    producer = Producer(cluster.connection.producer(fresh("batches"), lambda *_: None))
    producer.init_transactions(20)
    producer.begin_transaction()
    for number in range(4_000):
        producer.produce(topic, b"%0400d" % number, partition=0, on_delivery=delivered)
    producer.flush(20)

    assert not refused
    producer.commit_transaction(20)
