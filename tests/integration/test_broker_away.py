"""The broker goes, in the middle of a load, and comes back: nothing is lost or doubled, and nobody has to help."""

from __future__ import annotations

import os
import signal
import time
from typing import TYPE_CHECKING

import pytest

from processor.metrics import STAGES
from tests.support.cluster import fresh
from tests.support.eventually import eventually
from tests.support.plant import Plant, message, plant

if TYPE_CHECKING:
    from collections.abc import Iterator

    from processor.sandbox.broker import Broker

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]  # what a test waits for together may take longer than 120 s

CHANGES = {"kafka": {"session_timeout": "30s", "transaction_timeout": "10s"}, "limits": {"drain_timeout": "3s"}}


@pytest.fixture(scope="module")
def works(own_kafka: Broker, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Plant]:
    with plant(own_kafka.bootstrap, tmp_path_factory.mktemp("away"), running=STAGES, changes=CHANGES) as made:
        made.sandbox.script({"default": {"rule": "accept", "delay_ms": 100}})
        yield made


def asked(works: Plant, count: int) -> str:
    """Ask for messages of every channel; return how their ids begin."""
    word = fresh("away")
    for number in range(count):
        works.ask_soon(message(f"{word}-{number}", "SMSOTP" if number % 8 == 0 else "SMS" if number % 2 else "Email"))
    works.flush()
    return word


def cpu_s(works: Plant, stage: str) -> float:
    """Return the processor time that a stage has taken."""
    with open(f"/proc/{works.processes[f'{stage}/0'].pid}/stat", encoding="ascii") as stat:  # noqa: PTH123 - Linux
        user, system = stat.read().rpartition(")")[2].split()[11:13]
    return (int(user) + int(system)) / os.sysconf("SC_CLK_TCK")


def gone(works: Plant, broker: Broker) -> None:
    """
    Crash the broker with calls under way, but between two transactions.

    One broker without replicas forgets the markers of a transaction whose commit it has begun (Apache Kafka
    4.3.1, docs/architecture.md): that is a test of Kafka, and fails now and then.
    """

    def still() -> bool:
        for stage in STAGES:
            works.freeze(stage)
        if works.settled():
            return True
        for stage in STAGES:
            works.thaw(stage)
        return False

    eventually(still, within_s=20)
    broker.kill()
    for stage in STAGES:
        works.thaw(stage)


def test_a_broker_crashes_in_mid_load_and_all_goes_on_when_it_is_back(works: Plant, own_kafka: Broker) -> None:
    word = asked(works, 400)
    eventually(lambda: works.ended(word) > 40, within_s=20)

    gone(works, own_kafka)
    eventually(lambda: not any(works.is_ready(stage) for stage in STAGES), within_s=30)
    assert all(works.alive().values())
    own_kafka.restart()
    works.drained(within_s=40)

    assert works.check().in_doubt == set()  # no process has died, and none was expelled
    eventually(lambda: all(works.is_ready(stage) for stage in STAGES), within_s=20, what=works.output)
    again = asked(works, 40)  # what was idle when the broker went works, too
    eventually(lambda: works.ended(again) == 40, within_s=20)
    assert works.output().count("\n") < 120, "a broker that is away is told in a few lines"


def test_processes_that_wait_for_a_broker_are_calm_and_leave_when_told_to(works: Plant, own_kafka: Broker) -> None:
    word = asked(works, 200)
    eventually(lambda: works.ended(word) > 20, within_s=20)
    gone(works, own_kafka)
    eventually(lambda: not any(works.is_ready(stage) for stage in STAGES), within_s=30)
    busy_s, began_s = [cpu_s(works, stage) for stage in STAGES], time.monotonic()
    eventually(lambda: time.monotonic() - began_s > 4, within_s=10)
    shares = [(cpu_s(works, s) - before) / 4 for s, before in zip(STAGES, busy_s, strict=True)]

    told = [works.processes[f"{stage}/0"] for stage in STAGES]
    for child in told:
        os.kill(child.pid, signal.SIGTERM)

    assert [child.ended(within_s=20) and child.exit_code for child in told] == [0] * len(STAGES), works.output()
    assert max(shares) < 0.2, shares  # of one core, for two loops of a process
    own_kafka.restart()
    works.start(*STAGES)
    works.drained(within_s=40)
    works.check()
