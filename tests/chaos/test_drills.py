"""
A shortened run of the drills on three nodes: a killed leader, and at random what befalls members and providers.

The whole of it is `make chaos`; docs/reliability.md tells what its last run found.
"""

from __future__ import annotations

import os
from itertools import count, islice
from random import Random
from typing import TYPE_CHECKING

import pytest

from chaos.audit import audited, told
from chaos.drill import Drill
from chaos.faults import joined, leader_stopped
from chaos.schedule import alone, mixed
from chaos.works import Works
from processor.sandbox.service import DidNotStart, NotAvailable
from tests.support.cluster import fresh
from tests.support.eventually import eventually
from tests.support.plant import message

if TYPE_CHECKING:
    from collections.abc import Iterator

pytestmark = [pytest.mark.kafka, pytest.mark.slow, pytest.mark.timed, pytest.mark.timeout(900)]

SEED = int(os.environ["TEST_SEED"])
MIX = ("killed", "terminated", "frozen", "refusing", "hanging", "flapping", "dropping", "slow")
RATE_PER_S = 15.0


@pytest.fixture(scope="module")
def works(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Works]:
    try:
        made = Works(3, tmp_path_factory.mktemp("drills"))
    except DidNotStart:
        raise
    except NotAvailable as reason:
        if os.environ.get("CI"):
            raise
        pytest.skip(str(reason))
    with made:
        yield made


@pytest.mark.parametrize("seed", [SEED])
def test_a_broker_of_three_that_is_stopped_and_started_brings_nothing_into_doubt(works: Works, seed: int) -> None:
    plant, word = works.plant, fresh("upgraded")
    numbers = count()

    def ask(more: int) -> None:
        for number in islice(numbers, more):
            plant.ask_soon(message(f"{word}-{number}", "SMS"))

    ask(100)
    eventually(lambda: plant.ended(word) > 10, within_s=30)
    with leader_stopped(works, Random(seed)):
        ask(100)
    ask(100)
    plant.flush()

    assert plant.drained(within_s=60).in_doubt == set()
    plant.check()


@pytest.mark.parametrize("seed", [SEED])
def test_a_third_member_has_the_clock_of_the_others(works: Works, seed: int) -> None:
    with joined(works, Random(seed)) as name:
        works.step_clock(1)  # ms: enough to be told, and too little to change a judgement
        log = works.plant.processes[name].log
        eventually(lambda: '"clock.stepped"' in log.read_text(errors="replace"), within_s=30)
        works.step_clock(0)


def test_a_member_that_ends_by_itself_is_noted_and_started_again(works: Works) -> None:
    works.plant.kill("delay", "1")

    works.pick_up()
    works.await_ready()

    (told,) = works.fallen
    assert told.startswith("delay/1 ended by itself with -9:")
    works.fallen.clear()


@pytest.mark.parametrize("seed", [SEED])  # in the test's name, so that a failure can be repeated
def test_a_killed_leader_dying_members_and_failing_providers_lose_and_double_nothing(works: Works, seed: int) -> None:
    plan = sorted([*alone("leader_killed", seed), *mixed(MIX, seed, 25)], key=lambda each: each.at_s)
    found = Drill("mix", plan, seed, RATE_PER_S).run(works)

    assert found.breaches == {}
    assert found.messages > 25 * RATE_PER_S / 2
    said = audited(works, skew_s=0.0)
    assert said["holds"], told(said)
