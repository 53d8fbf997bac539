"""A stage that dies in mid-load loses nothing, doubles nothing, and reports what it cannot know."""

from __future__ import annotations

import os
import random
from functools import partial
from typing import TYPE_CHECKING

import pytest

from processor.core.words import Reason, Status
from tests.support.eventually import eventually
from tests.support.plant import Plant, message, plant

if TYPE_CHECKING:
    from collections.abc import Iterator

    from processor.sandbox.broker import Broker

SLOW = {"default": {"rule": "accept", "delay_ms": 200}}
FEW = {"providers": {name: {"concurrency": 10} for name in ("Mail", "Text", "TextOTP")}}
SEED = int(os.environ["TEST_SEED"])


@pytest.fixture(scope="module")
def works(kafka: Broker, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Plant]:
    with plant(kafka.bootstrap, tmp_path_factory.mktemp("deaths"), changes=FEW) as made:
        made.sandbox.script(SLOW)
        yield made


def load(works: Plant, word: str, count: int = 400) -> None:
    """Ask for messages of every channel, one in eight a one-time password, some to be tried again."""
    for number in range(count):
        if number % 8 == 0:
            works.ask_soon(message(f"{word}-{number}", "SMSOTP"))
        elif number % 16 == 1:
            works.ask_soon(message(f"{word}-{number}", to="defer-451-1x@example.com"))
        else:
            works.ask_soon(message(f"{word}-{number}", "SMS" if number % 2 else "Email", priority=number % 9))


@pytest.mark.parametrize("stage", ["intake", "delay", "dispatch"])
def test_nothing_is_lost_or_doubled_when_a_stage_is_killed_in_mid_load(works: Plant, stage: str) -> None:
    load(works, stage)
    eventually(lambda: works.ended(stage) > 20, within_s=20)
    works.kill(stage)
    works.flush()
    works.start(stage)
    works.drained(within_s=40)

    ledgers = works.check()
    assert any(message_id.startswith(stage) for message_id, _ in ledgers.in_doubt) is (stage == "dispatch")


def test_what_was_in_doubt_is_tried_again_or_reported_as_the_channel_says(works: Plant) -> None:
    # It takes over a backlog: the end of a partition comes with the records before it.
    assert works.terminate("dispatch") == 0
    load(works, "doubt", 200)
    works.flush()
    eventually(lambda: not any("outbound" in topic for topic, _ in works.lag()), within_s=20, what=works.lag)
    works.start("dispatch")
    eventually(lambda: works.ended("doubt") > 20, within_s=20)
    works.kill("dispatch")
    works.start("dispatch")
    works.drained(within_s=40)

    ledgers = works.check()
    doubtful = [each for each in ledgers.retry if each.in_doubt and each.message_id.startswith("doubt")]
    unknown = [each for each in ledgers.delivery if each.in_doubt and each.message_id.startswith("doubt")]
    assert doubtful
    assert all(each.reason is Reason.IN_DOUBT and each.channel != "SMSOTP" for each in doubtful)
    assert all(each.status is Status.UNKNOWN and each.channel == "SMSOTP" for each in unknown)
    told = works.metric("dispatch", "comm_in_doubt_total")
    assert told == len(doubtful) + len(unknown)


@pytest.mark.parametrize("seed", [SEED])  # in the test's name, so that a failure can be repeated
def test_any_stage_may_die_at_any_moment(works: Plant, seed: int) -> None:
    chance = random.Random(seed)
    load(works, "any", 600)
    for _ in range(6):
        goal = min(590, works.ended("any") + chance.randrange(60))
        eventually(partial(lambda goal: works.ended("any") >= goal, goal), within_s=30)
        stage = chance.choice(["intake", "delay", "dispatch", "dispatch"])
        works.kill(stage)
        works.start(stage, ready=chance.random() < 0.5)
    works.flush()
    works.drained(within_s=60)

    works.check()


def test_after_all_those_deaths_nothing_is_left_over(works: Plant) -> None:
    eventually(lambda: not works.lag(), within_s=20, what=works.lag)

    works.check()
    assert all(works.alive().values())
