"""What is published reliably is in Kafka before anybody is told so."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import pytest
from confluent_kafka import KafkaException

from processor.kafka.reliable import Reliable
from tests.support.cluster import Cluster, fresh

if TYPE_CHECKING:
    from processor.sandbox.broker import Broker


async def test_a_record_is_there_when_publish_returns(kafka: Broker) -> None:
    cluster = Cluster.at(kafka.bootstrap)
    topic = cluster.make(fresh("reliable"))
    reliable = Reliable(cluster.connection)

    await asyncio.gather(*(reliable.publish(topic, b"key", f"{number}".encode()) for number in range(20)))

    assert cluster.ends([(topic, 0)]) == {(topic, 0): 20}
    reliable.close()


async def test_a_record_that_kafka_does_not_take_raises(kafka: Broker) -> None:
    cluster = Cluster.at(kafka.bootstrap)
    topic = cluster.make(fresh("narrow"), max_message_bytes="1000")
    reliable = Reliable(cluster.connection)

    with pytest.raises(KafkaException):
        await reliable.publish(topic, b"key", bytes(5_000))

    reliable.close()
