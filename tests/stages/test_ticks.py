"""What a loop may do when: no tick runs before the producer has its id, and none inside another."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

import pytest
from confluent_kafka import KafkaError, KafkaException

from processor.kafka.connection import Connection
from processor.kafka.transactions import Output
from processor.metrics import Health
from processor.sandbox.ports import free_port
from processor.stages.clock import SystemClock
from processor.stages.ticks import Fate, Seat, Ticks
from tests.support.cluster import Cluster, fresh

if TYPE_CHECKING:
    from collections.abc import Sequence

    from processor.kafka.committed import Committed, Place


class Asking:
    """A loop that asks, whenever it is to poll, whether it may commit; told to stop once it was asked thrice."""

    def __init__(self, stopping: threading.Event) -> None:
        self.stopping = stopping
        self.ticks: Ticks | None = None
        self.told: list[bool] = []

    def listen(self, timeout_s: float) -> None:
        assert self.ticks is not None
        self.told.append(self.ticks.may_commit)
        if len(self.told) == 3:
            self.stopping.set()

    def forget(self, places: Sequence[Place]) -> None:
        raise AssertionError("nothing was given")

    def claimed(self, place: Place, committed: Committed) -> int | None:
        raise AssertionError("nothing was given")

    def journal_lost(self, place: Place) -> None:
        raise AssertionError("nothing was given")

    def revoked(self, places: Sequence[Place]) -> None:
        raise AssertionError("nothing was given")

    def lost(self, places: Sequence[Place]) -> None:
        raise AssertionError("nothing was given")

    def reached_end(self, place: Place, offset: int) -> None:
        raise AssertionError("nothing was given")

    def unreadable(self, place: Place, offset: int) -> None:
        raise AssertionError("nothing was given")


def test_what_is_revoked_while_the_producer_claims_its_id_has_no_tick() -> None:
    # Two calls of one producer at a time took each other's end for their own, and the loop never began.
    nobody = Connection(f"127.0.0.1:{free_port()}")
    stopping = threading.Event()
    loop = Asking(stopping)
    seat = Seat("intake", "group", "0", {"topic": 1}, ("probed", 0))
    loop.ticks = Ticks(nobody, seat, loop, SystemClock(), Health(), leave_s=0)

    loop.ticks.run(stopping, lambda: None)

    assert loop.told[:3] == [False, False, False]
    assert loop.ticks.may_commit


class Fenced(Asking):
    """A loop whose consumer ends while it polls within a transaction."""

    def listen(self, timeout_s: float) -> None:
        raise KafkaException(KafkaError(KafkaError._FATAL))

    def forget(self, places: Sequence[Place]) -> None:
        assert not places

    def revoked(self, places: Sequence[Place]) -> None:
        assert not places

    def lost(self, places: Sequence[Place]) -> None:
        pass  # what it was given, and has not begun to read


def test_a_consumer_that_ends_while_a_transaction_is_under_way_is_told_as_what_it_is(
    cluster: Cluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    # It was taken for an error of the producer, whose abort then met the call that was still under way.
    monkeypatch.setattr("processor.kafka.apart._FIRST_S", 0.0)
    stopping = threading.Event()
    loop = Fenced(stopping)
    topic = cluster.make(fresh("out"))
    seat = Seat("intake", fresh("group"), "0", {topic: 1}, (topic, 0))
    loop.ticks = ticks = Ticks(cluster.connection, seat, loop, SystemClock(), Health())
    ticks._transactions.start()
    monkeypatch.setattr(ticks, "_start", lambda: None)
    fates: list[Fate] = []

    with pytest.raises(KafkaException) as ended:
        ticks.run(stopping, lambda: fates.append(ticks.commit([Output(topic, b"value")], {})))
    ticks.member.close()

    assert ended.value.args[0].code() == KafkaError._FATAL
    assert len(fates) == 1
