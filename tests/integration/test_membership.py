"""Members come, go, freeze and stop; no call is made twice for it, and none by who has lost its partitions."""

from __future__ import annotations

import json
import os
import signal
import time
from itertools import pairwise
from typing import TYPE_CHECKING

import pytest

from processor.core.words import Reason, Status
from processor.kafka.topics import send_topics
from processor.stages.ticks import Seat
from tests.cli.command import commproc
from tests.support.cluster import fresh
from tests.support.eventually import eventually
from tests.support.plant import STAGES, Plant, message, plant

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from processor.sandbox.broker import Broker

FEW = {
    "providers": {"Mail": {"concurrency": 10, "answer_timeout": "60s"}, "Text": {"concurrency": 10}},
    "limits": {"drain_timeout": "3s"},
}
SLOW = {"default": {"rule": "accept", "delay_ms": 300}}


@pytest.fixture(scope="module")
def works(kafka: Broker, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Plant]:
    with plant(kafka.bootstrap, tmp_path_factory.mktemp("members"), changes=FEW) as made:
        made.sandbox.script(SLOW)
        yield made


def asked(works: Plant, count: int = 200) -> str:
    """Ask for messages, half of them mails and a few one-time passwords; return how their ids begin."""
    word = fresh("m")
    for n in range(count):
        works.ask_soon(message(f"{word}-{n}", "SMSOTP" if n % 10 == 0 else "Email" if n % 2 else "SMS"))
    works.flush()
    return word


def assigned(works: Plant, slot: str) -> float:
    return works.metric("dispatch", "comm_partitions_assigned", slot, loop="dispatch")


def test_a_second_dispatcher_comes_and_goes_without_an_extra_call_or_a_doubt(works: Plant) -> None:
    word = asked(works, 300)
    eventually(lambda: works.ended(word) > 20, within_s=20)
    all_of_them = assigned(works, "0")

    works.start("dispatch", slot="1")
    eventually(lambda: assigned(works, "1") >= all_of_them // 2, within_s=20, what=lambda: assigned(works, "1"))
    eventually(lambda: assigned(works, "0") + assigned(works, "1") == all_of_them, within_s=10)
    later = asked(works, 100)
    eventually(lambda: works.ended(later) > 10, within_s=20)
    assert works.terminate("dispatch", "1") == 0
    works.drained(within_s=40)

    ledgers = works.check()
    assert ledgers.in_doubt == set()
    eventually(lambda: assigned(works, "0") == all_of_them, within_s=20)


def test_a_clean_stop_finishes_what_is_under_way_and_a_restart_calls_nothing_again(works: Plant) -> None:
    word = asked(works)
    eventually(lambda: works.ended(word) > 10, within_s=20)

    assert works.terminate("dispatch") == 0
    called = len(works.sandbox.entries())
    settled = len(works.check(waiting=[each.message_id or "" for each in works.asked.values()]).delivery)
    assert called == settled  # every call that was begun has its result
    works.start("dispatch")
    works.drained(within_s=30)

    assert works.check().in_doubt == set()


def test_a_stop_finds_out_first_what_the_last_tick_came_to(works: Plant) -> None:
    works.terminate("dispatch")
    works.start("dispatch", config=with_patience(works))
    works.sandbox.script({"default": "slow-3s"})
    word = fresh("fenced")
    works.ask(message(f"{word}-{n}", "SMSOTP" if n % 2 else "SMS") for n in range(6))
    eventually(lambda: called(works, word) == 6, within_s=10)

    os.kill(works.processes["dispatch/0"].pid, signal.SIGTERM)
    eventually(lambda: any(line["event"] == "process.stopping" for line in works.lines("dispatch")), within_s=5)
    for part, names in (("express", express_topics(works)), ("rest", rest_topics(works))):
        fence(works, part, names)
    assert works.processes["dispatch/0"].ended(within_s=20)
    # Once or more: the id is taken anew by either of the two until the other's transaction has ended.
    fenced = {line["loop"] for line in works.lines("dispatch") if line["event"] == "producer.fenced"}
    assert fenced == {"dispatch", "dispatch.express"}
    works.sandbox.script(SLOW)
    works.start("dispatch")
    works.drained(within_s=30)

    assert doubts(works, word) == []


def doubts(works: Plant, *words: str) -> list[str]:
    """Return the messages in doubt whose ids begin with one of *words*, and fail with every broken promise."""
    return sorted(name for name, _ in works.check().in_doubt if name.startswith(words))


def with_patience(works: Plant) -> Path:
    tree = json.loads(works.config.read_text())
    tree["limits"]["drain_timeout"] = "15s"
    config = works.folder / "patient.yaml"
    config.write_text(json.dumps(tree))
    return config


def express_topics(works: Plant) -> list[str]:
    return [each for each in send_topics(works.settings.plan(), works.names) if each.endswith(".express")]


def rest_topics(works: Plant) -> list[str]:
    return [each for each in send_topics(works.settings.plan(), works.names) if not each.endswith(".express")]


def fence(works: Plant, part: str, topics: Sequence[str]) -> None:
    """Take the id of a dispatch loop's producer, as a coordinator that has lost its place makes it do itself."""
    read = {topic: len(works.cluster.places([topic])) for topic in topics}
    seat = Seat("dispatch", works.names.group("dispatch", part), "0", read, ("", 0))
    works.cluster.producer(**{"transactional.id": seat.identity}).init_transactions(10)


def test_a_hung_call_is_given_up_within_the_grace_and_never_made_again_for_a_password(works: Plant) -> None:
    works.sandbox.script({"default": "accept", "hung": "slow-30s", "+4079": "slow-30s"})
    works.ask([message("hung-mail", to="hung@example.com", retry_max_attempts=0)])
    works.ask([message("hung-otp", "SMSOTP", to="+40790000001")])
    word = asked(works, 20)
    eventually(lambda: works.ended(word) == 20, within_s=20)
    eventually(
        lambda: len([e for e in works.sandbox.entries() if (e.message_id or "").startswith("hung")]) == 2, within_s=10
    )

    begun_s = time.monotonic()
    assert works.terminate("dispatch", within_s=12) == 0
    assert time.monotonic() - begun_s < 10
    works.sandbox.script(SLOW)
    works.start("dispatch")
    works.drained(within_s=20)

    ends = {each.message_id: each for each in works.check().delivery}
    assert (ends["hung-otp"].status, ends["hung-otp"].reason) == (Status.UNKNOWN, Reason.ANSWER_MISSING)
    assert ends["hung-mail"].status is Status.UNKNOWN
    assert [entry.message_id for entry in works.sandbox.entries()].count("hung-otp") == 1


def test_who_wakes_up_without_its_partitions_begins_no_call_for_them(works: Plant) -> None:
    works.start("dispatch", slot="1")
    eventually(lambda: assigned(works, "0") and assigned(works, "1"), within_s=20)
    word = asked(works, 400)
    eventually(lambda: works.ended(word) > 20, within_s=20)

    works.freeze("dispatch")
    try:
        eventually(lambda: assigned(works, "1") >= 16, within_s=25, what=lambda: assigned(works, "1"))
        eventually(lambda: works.ended(word) > 300, within_s=40, what=lambda: works.ended(word))
    finally:
        works.thaw("dispatch")
    works.drained(within_s=40)
    eventually(lambda: assigned(works, "0"), within_s=20)  # it is a member again

    works.check()  # no attempt was called twice
    assert works.terminate("dispatch", "1") == 0
    eventually(lambda: not works.lag(), within_s=30, what=works.lag)
    works.check()


def test_what_waits_in_partitions_that_stay_goes_on_while_slow_calls_of_others_are_awaited(works: Plant) -> None:
    works.sandbox.script(
        {"default": {"rule": "accept", "delay_ms": 300}, "slow": "slow-7s"}
    )  # less than is waited for them
    slow, word = fresh("slow"), fresh("stays")
    works.ask(message(f"{word}-{n}", "SMS") for n in range(600))  # for some twenty seconds
    works.ask(message(f"{slow}-{n}", to="slow@example.com") for n in range(6))
    eventually(lambda: called(works, slow) == 6, within_s=10)

    works.start("dispatch", slot="1")
    eventually(lambda: assigned(works, "1"), within_s=20)
    works.drained(within_s=60)

    at_ms = sorted(e.first_byte_ms for e in works.sandbox.entries() if (e.message_id or "").startswith(word))
    assert max(later - sooner for sooner, later in pairwise(at_ms)) < 3_000
    assert doubts(works, word, slow) == []
    assert works.terminate("dispatch", "1") == 0
    works.sandbox.script(SLOW)


def called(works: Plant, word: str) -> int:
    return sum((entry.message_id or "").startswith(word) for entry in works.sandbox.entries())


def test_a_provider_and_partitions_that_are_added_are_served_once_their_processes_have_restarted(
    kafka: Broker, tmp_path: Path
) -> None:
    # Kafka gives a static member that comes back what it had, whatever it asks for now.
    with plant(kafka.bootstrap, tmp_path) as works:
        works.ask([message("to-the-old-one", "SMS")])
        works.drained(within_s=20)
        config = with_more(works)
        assert commproc("topics", "apply", config=config, environ=works.environ).code == 0
        for stage in STAGES:
            assert works.terminate(stage) == 0
            works.start(stage, config=config)

        works.ask([message("to-the-new-one", "Added")])
        works.ask(message(f"by-more-partitions-{n}", "SMS") for n in range(20))

        works.drained(within_s=30)
        works.check()


def with_more(works: Plant) -> Path:
    """Return a configuration like that of *works* with one more provider, its channel, and more partitions."""
    tree = json.loads(works.config.read_text())
    tree["providers"]["Added"] = tree["providers"]["Text"] | {"bus_provider": "Added"}
    tree["topics"]["partitions"] |= {"inbound": 5, "send": 5}
    tree["channels"]["Added"] = tree["channels"]["SMS"] | {"bus_provider": "Added", "provider": "Added"}
    path = works.folder / "added.yaml"
    path.write_text(json.dumps(tree))
    return path
