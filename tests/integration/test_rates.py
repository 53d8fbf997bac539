"""A provider's rate holds over all instances together, without anything between them but the group."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

import pytest

from tests.support.eventually import eventually
from tests.support.plant import message, plant

if TYPE_CHECKING:
    from collections.abc import Iterator

    from processor.sandbox.broker import Broker
    from tests.support.plant import Plant

pytestmark = pytest.mark.timed
RATE_PER_S = 40
BURST = RATE_PER_S // 10 + 2  # a tenth of a second's worth, and a whole token for each of two buckets
MESSAGES = 160


@pytest.fixture
def paced(kafka: Broker, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Plant]:
    changes = {"providers": {"Mail": {"rate_per_s": RATE_PER_S}}}
    with plant(kafka.bootstrap, tmp_path_factory.mktemp("paced"), changes=changes) as made:
        yield made


def test_two_instances_keep_to_one_rate_and_use_it(paced: Plant) -> None:
    paced.start("dispatch", slot="1")
    owned = "comm_partitions_assigned"
    eventually(
        lambda: all(paced.metric("dispatch", owned, slot=slot, loop="dispatch") > 0 for slot in "01"),
        within_s=20,
        what="both instances to own partitions",
    )

    before_ms = time.time_ns() // 1_000_000
    paced.ask(message(f"paced-{number}", to="someone@example.com") for number in range(MESSAGES))
    paced.drained(within_s=40)

    paced.check()
    at_ms = sorted(entry.first_byte_ms for entry in paced.sandbox.entries())
    # A machine that is busy only makes a call arrive later: none may be sooner than the rate lets it begin.
    soonest_ms = [before_ms + (number + 1 - BURST) * 1_000 / RATE_PER_S for number in range(MESSAGES)]
    assert [number for number in range(MESSAGES) if at_ms[number] < soonest_ms[number]] == []
    assert at_ms[-1] - before_ms <= 3_000 * MESSAGES / RATE_PER_S
