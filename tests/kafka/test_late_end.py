"""The end of a transaction that arrives late ends no later one: it would take back half of what that has committed."""

from __future__ import annotations

import gc
import socket
import struct
from contextlib import contextmanager
from io import BytesIO
from itertools import count
from typing import TYPE_CHECKING, NamedTuple

import pytest
from confluent_kafka import Consumer, Producer

from processor.kafka.transactions import Aborted, Commit, Output, Transactions
from tests.kafka.owners import seated
from tests.support.cluster import Cluster, fresh
from tests.support.eventually import eventually

if TYPE_CHECKING:
    from collections.abc import Iterator

    from processor.sandbox.broker import Broker

END_TXN, DESCRIBE_TRANSACTIONS = 26, 65  # kafka.apache.org/protocol
NONE, FENCED = 0, {47, 90}  # INVALID_PRODUCER_EPOCH, PRODUCER_FENCED
TOO_LARGE = bytes(20_000_000)
NUMBERS = count(1)


class Identity(NamedTuple):
    """Who the coordinator takes for the producer of a transactional id."""

    producer_id: int
    epoch: int


class Coordinator:
    """Kafka's own protocol, for what no client would say: each request over a connection of its own."""

    def __init__(self, bootstrap: str, transactional_id: str) -> None:
        host, port = bootstrap.rsplit(":", 1)
        self._address, self._id = (host, int(port)), transactional_id.encode()

    def identity(self) -> Identity:
        """Ask for the producer's id and epoch."""
        asked = b"\0\x02" + bytes([len(self._id) + 1]) + self._id + b"\0"
        answer = self._ask(DESCRIBE_TRANSACTIONS, 0, asked)
        _, _, _, error = struct.unpack(">B i B h", answer.read(8))  # tags, throttled for, one transaction, error
        assert error == NONE
        for _ in range(2):  # the id, and the state
            answer.read(answer.read(1)[0] - 1)
        _, _, producer_id, epoch = struct.unpack(">i q q h", answer.read(22))
        return Identity(producer_id, epoch)

    def abort(self, identity: Identity) -> int:
        """Ask for the end of what *identity* has open, as it would have itself; return the error's code."""
        asked = struct.pack(f">h {len(self._id)}s q h ?", len(self._id), self._id, *identity, False)
        _, error = struct.unpack(">i h", self._ask(END_TXN, 1, asked).read(6))
        return int(error)

    def _ask(self, api: int, version: int, body: bytes) -> BytesIO:
        head = struct.pack(">h h i h", api, version, next(NUMBERS), -1)
        with socket.create_connection(self._address, timeout=10) as connection, connection.makefile("rb") as answers:
            connection.sendall(struct.pack(">i", len(head + body)) + head + body)
            (size,) = struct.unpack(">i", answers.read(4))
            return BytesIO(answers.read(size)[4:])


@pytest.fixture
def topics(cluster: Cluster) -> tuple[str, str]:
    return cluster.make(fresh("first")), cluster.make(fresh("second"))


def test_an_abort_that_arrives_late_takes_nothing_back_of_the_next_transaction(
    cluster: Cluster, topics: tuple[str, str]
) -> None:
    name, group = fresh("tick"), fresh("group")
    transactions = Transactions(cluster.connection, name)
    transactions.start()
    coordinator = Coordinator(cluster.connection.bootstrap, name)
    membership = Consumer(cluster.connection.consumer(group)).consumer_group_metadata()
    with pytest.raises(Aborted):
        transactions.run([Output(topics[0], b"0"), Output(topics[0], TOO_LARGE)], {}, membership, lambda: True)
    earlier, told, first = coordinator.identity(), list[int](), (topics[0], 0)

    def outputs() -> Iterator[Output]:
        before = cluster.written([first])
        yield Output(topics[0], b"1")
        eventually(lambda: cluster.written([first]) != before, within_s=20)
        told.append(coordinator.abort(earlier))
        yield Output(topics[1], b"2")

    transactions.run(outputs(), {first: Commit(1)}, membership, lambda: True)

    assert {message.value() for message in cluster.read(topics)} == {b"1", b"2"}
    (code,) = told
    assert code in FENCED


def test_a_producer_that_was_replaced_is_gone_at_once(cluster: Cluster, topics: tuple[str, str]) -> None:
    group = fresh("group")
    with seated(cluster.connection, group, [topics[0]]) as gone:
        gone.polled_until(lambda: gone.member.joined)
        stale = gone.member.metadata()
    transactions = Transactions(cluster.connection, fresh("tick"))
    transactions.start()
    with without_collection():  # processes collect so seldom that threads of hundreds of producers gathered
        for _ in range(3):
            with pytest.raises(Aborted):
                transactions.run([Output(topics[1], b"")], {(topics[0], 0): Commit(1)}, stale, lambda: True)

        assert len(producers()) == 1


@contextmanager
def without_collection() -> Iterator[None]:
    gc.collect()
    gc.disable()
    try:
        yield
    finally:
        gc.enable()


def producers() -> list[object]:
    return [each for each in gc.get_objects() if type(each) is Producer]


def test_a_producer_whose_connection_was_lost_goes_on_as_another_and_only_then(own_kafka: Broker) -> None:
    cluster = Cluster.at(own_kafka.bootstrap)
    name, output = fresh("tick"), Output(cluster.make(fresh("out")), b"")
    transactions, coordinator = Transactions(cluster.connection, name), Coordinator(own_kafka.bootstrap, name)
    transactions.start()
    membership = Consumer(cluster.connection.consumer(fresh("group"))).consumer_group_metadata()
    first = coordinator.identity()

    for _ in range(3):
        transactions.run([output], {}, membership, lambda: True)
    assert coordinator.identity() == first

    own_kafka.kill()
    own_kafka.restart()
    transactions.run([output], {}, membership, lambda: True)
    assert coordinator.identity() != first
