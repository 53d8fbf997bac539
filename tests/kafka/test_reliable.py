"""What is published reliably is in Kafka before anybody is told so."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import pytest
from confluent_kafka import KafkaError, KafkaException

from processor.kafka.reliable import Reliable
from tests.support.cluster import Cluster, fresh
from tests.support.eventually import eventually_async

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


async def test_who_hands_over_is_told_and_one_that_fails_at_it_keeps_nobody_else_waiting(kafka: Broker) -> None:
    cluster = Cluster.at(kafka.bootstrap)
    topic = cluster.make(fresh("handed"))
    reliable = Reliable(cluster.connection)
    asyncio.get_running_loop().set_exception_handler(lambda *_: None)
    told: list[KafkaError | None] = []

    def fails(*_: object) -> None:
        raise ValueError

    for number in range(20):
        reliable.hand(topic, b"key", b"value", fails if number == 3 else lambda error, _: told.append(error))
    await eventually_async(lambda: len(told) == 19, within_s=10)

    assert told == [None] * 19
    reliable.close()
