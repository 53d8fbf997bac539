"""
A shortened run of the drills on three nodes: a random mix of what befalls members and providers, and a killed leader.

The whole of it is `make chaos`; docs/reliability.md tells what its last run found.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest

from chaos.drill import Drill
from chaos.schedule import alone, mixed
from chaos.works import Works
from processor.sandbox.service import DidNotStart, NotAvailable

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


@pytest.mark.parametrize("seed", [SEED])  # in the test's name, so that a failure can be repeated
def test_members_that_die_and_freeze_and_providers_that_fail_lose_and_double_nothing(works: Works, seed: int) -> None:
    found = Drill("mix", mixed(MIX, seed, 25), seed, RATE_PER_S).run(works)

    assert found.breaches == {}
    assert found.messages > 25 * RATE_PER_S / 2


@pytest.mark.parametrize("seed", [SEED])
def test_a_leader_that_is_killed_inside_a_transaction_loses_and_doubles_nothing(works: Works, seed: int) -> None:
    found = Drill("leader", alone("leader_killed", seed), seed, RATE_PER_S).run(works)

    assert found.breaches == {}
    assert found.messages > 3 * RATE_PER_S / 2
