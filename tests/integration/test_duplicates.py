"""A message id that comes again is sent no second time, whoever owns its partition, and wherever the record was put."""

from __future__ import annotations

import os
import random
import time
from collections import Counter, defaultdict
from functools import partial
from typing import TYPE_CHECKING, Any

import pytest

from processor.core.status import status_of
from processor.core.words import Reason, Status
from processor.kafka.partitioner import partition_of
from tests.support.cluster import fresh
from tests.support.eventually import eventually
from tests.support.ledgers import Asked
from tests.support.plant import Plant, message, plant

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from processor.core.events import DeliveryEvent
    from processor.core.message import Message
    from processor.sandbox.broker import Broker

SEED = int(os.environ["TEST_SEED"])
SENT = (Status.SENT, Reason.ACCEPTED)
SAME = (Status.DUPLICATE, Reason.SAME_CONTENT)
OTHER = (Status.REJECTED, Reason.OTHER_CONTENT)


@pytest.fixture(scope="module")
def works(kafka: Broker, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Plant]:
    with plant(kafka.bootstrap, tmp_path_factory.mktemp("duplicates")) as made:
        yield made


def events(works: Plant, word: str) -> dict[str, list[DeliveryEvent]]:
    """Return the delivery events of the messages whose ids begin with *word*, by id."""
    found: dict[str, list[DeliveryEvent]] = defaultdict(list)
    for each in works.ledgers().delivery:
        if each.message_id.startswith(word):
            found[each.message_id].append(each)
    return found


def results(works: Plant, word: str) -> Counter[tuple[Status, Reason]]:
    return Counter((each.status, each.reason) for all_of in events(works, word).values() for each in all_of)


def some(word: str, count: int = 12, **more: Any) -> list[Message]:
    """Return messages of every channel."""
    return [message(f"{word}-{n}", ("Email", "SMS", "SMSOTP")[n % 3], **more) for n in range(count)]


def ask_in_one_tick(works: Plant, messages: Sequence[Message]) -> None:
    """Put messages on their topics while nobody reads them, so that they are read together."""
    assert works.terminate("intake") == 0
    works.ask(messages)
    works.start("intake")


def test_the_same_content_ends_as_a_duplicate_and_other_content_is_rejected(works: Plant) -> None:
    word = fresh("again")
    works.ask(some(word))
    works.drained(within_s=30)
    works.ask([*some(word), *some(word, text="something else")])
    works.drained(within_s=30)

    ledgers = works.check()
    assert results(works, word) == {SENT: 12, SAME: 12, OTHER: 12}
    for all_of in events(works, word).values():
        first = next(each for each in all_of if each.status is Status.SENT)
        later = [each for each in all_of if each is not first]
        assert status_of(all_of) is Status.SENT
        assert {(each.attempt, each.provider, each.terminal) for each in later} == {(0, None, True)}
    conflicts = [each for each in ledgers.dead if (each.message_id or "").startswith(word)]
    assert {each.reason for each in conflicts} == {Reason.OTHER_CONTENT}
    assert len(conflicts) == 12
    assert Counter(each.message_id for each in ledgers.provider if (each.message_id or "").startswith(word)) == Counter(
        each.head.message_id for each in some(word)
    )


def test_of_two_in_one_tick_the_second_is_the_duplicate(works: Plant) -> None:
    word = fresh("tick")
    ask_in_one_tick(works, [each for pair in zip(some(word), some(word), strict=True) for each in pair])
    works.drained(within_s=30)

    works.check()
    assert results(works, word) == {SENT: 12, SAME: 12}


def test_what_a_producers_client_writes_twice_is_sent_once_and_each_record_has_its_result(works: Plant) -> None:
    word = fresh("twice")
    (one,) = some(word, 1)
    works.ask([one])
    client = works.cluster.producer()
    client.produce(works.names.outbound, works.codecs.outbound.encode_message(one), key=one.head.message_id.encode())
    assert client.flush(30) == 0

    eventually(lambda: results(works, word) == {SENT: 1, SAME: 1}, within_s=20)

    assert "ended_twice" in works.ledgers().breaches()
    works.asked |= works.repeated()
    works.check()


@pytest.mark.parametrize("end", ["terminate", "kill"])
def test_who_comes_after_a_restart_knows_what_was_seen_before(works: Plant, end: str) -> None:
    word = fresh("restart")
    works.ask(some(word))
    works.drained(within_s=30)
    getattr(works, end)("intake")
    works.ask(some(word, text="something else"))
    works.start("intake")
    works.ask(some(word))
    works.drained(within_s=60)  # what was there when its owner died is first decoded in a process of its own

    works.check()
    assert results(works, word) == {SENT: 12, SAME: 12, OTHER: 12}


def test_another_member_that_takes_partitions_over_knows_what_was_seen_before(works: Plant) -> None:
    word = fresh("moved")
    works.ask(some(word, 24))
    works.drained(within_s=30)
    works.start("intake", slot="1")
    assert works.terminate("intake") == 0
    works.ask(some(word, 24))
    works.drained(within_s=40)
    works.start("intake")
    assert works.terminate("intake", "1") == 0
    works.ask(some(word, 24))
    works.drained(within_s=40)

    works.check()
    assert results(works, word) == {SENT: 24, SAME: 48}


def test_a_record_in_another_partition_goes_unchanged_to_its_own_and_is_sent_once(works: Plant) -> None:
    word, topic = fresh("misplaced"), works.names.outbound
    before = works.metric("intake", "comm_misplaced_total")
    headers = [("trace", b"\x00\xff"), ("commproc", b"not ours"), ("trace", None)]
    wrong: dict[bytes, bytes] = {}
    for number in range(10):
        asked = message(f"{word}-{number}")
        key, value = asked.head.message_id.encode(), works.codecs.outbound.encode_message(asked)
        wrong[key] = value
        works.put(
            value,
            Asked(asked.head.message_id),
            topic,
            key=b"a key of its own",
            partition=1 - partition_of(key, 2),
            headers=list(headers),
            timestamp=1_700_000_000_000 + number,
        )
    works.flush()
    works.drained(within_s=30)
    works.ask([message(f"{word}-{number}") for number in range(10)])
    works.drained(within_s=30)

    works.check()
    assert results(works, word) == {SENT: 10, SAME: 10}
    lies = [each for each in works.cluster.read([topic]) if each.value() in wrong.values() and each.key() not in wrong]
    assert len(lies) == 20  # where they were put, and where they belong
    for number, value in enumerate(wrong.values()):
        both = [each for each in lies if each.value() == value]
        assert sorted(each.partition() or 0 for each in both) == [0, 1]
        assert [each.key() for each in both] == [b"a key of its own"] * 2
        assert [each.headers() for each in both] == [headers] * 2
        assert {each.timestamp()[1] for each in both} == {1_700_000_000_000 + number}
    assert works.metric("intake", "comm_misplaced_total") - before == 10
    told = [each for each in works.lines("intake") if each["event"] == "record.misplaced"]
    assert 1 <= len(told) <= 2


def test_what_waits_and_what_is_tried_again_is_no_duplicate_of_itself(works: Plant) -> None:
    word, soon_ms = fresh("waits"), time.time_ns() // 1_000_000 + 1_500
    works.ask([message(f"{word}-later-{n}", start_at_ms=soon_ms) for n in range(5)])
    works.ask([message(f"{word}-again-{n}", to="defer-451-1x@example.com") for n in range(5)])
    works.ask([message(f"{word}-later-{n}", start_at_ms=soon_ms) for n in range(5)])
    works.drained(within_s=40)

    works.check()
    assert results(works, word) == {SENT: 10, SAME: 5}


def test_what_intake_refuses_outright_may_be_mended_and_asked_for_again(works: Plant) -> None:
    word = fresh("mended")
    works.ask([message(f"{word}-0", "Nowhere")])
    works.drained(within_s=30)
    works.ask([message(f"{word}-0")])
    works.drained(within_s=30)
    works.ask([message(f"{word}-0", "Nowhere")])
    works.drained(within_s=30)

    works.check()
    assert results(works, word) == {(Status.REJECTED, Reason.UNKNOWN_CHANNEL): 1, SENT: 1, OTHER: 1}
    assert status_of(events(works, word)[f"{word}-0"]) is Status.SENT


def test_an_id_that_is_none_is_refused_where_it_lies_as_often_as_it_comes(works: Plant) -> None:
    known = set(works.asked)
    for partition in (0, 1, 0, 1):
        value = works.codecs.outbound.encode_message(message("../x"))
        works.put(value, Asked(None), works.names.outbound, partition=partition)
    works.flush()
    works.drained(within_s=30)

    works.check()
    letters = [each for each in works.ledgers().dead if each.origin in set(works.asked) - known]
    assert {each.reason for each in letters} == {Reason.INVALID_MESSAGE_ID}
    assert len(letters) == 4


@pytest.mark.parametrize("seed", [SEED])  # in the test's name, so that a failure can be repeated
def test_intake_may_die_at_any_moment_and_nothing_is_sent_twice(works: Plant, seed: int) -> None:
    chance, word = random.Random(seed), fresh("deaths")
    works.check()  # what came before is in order
    for number in range(600):
        each = message(f"{word}-{number % 200}", "SMS", text="other" if number % 7 == 0 else "same")
        works.ask_soon(each)
    for _ in range(4):
        goal = min(560, works.ended(word) + chance.randrange(80))
        eventually(partial(lambda goal: works.ended(word) >= goal, goal), within_s=40)
        works.kill("intake")
        works.start("intake", ready=chance.random() < 0.5)
    works.flush()
    works.drained(within_s=60)

    works.check()
    found = results(works, word)
    assert found[SENT] == 200
    assert sum(found.values()) == 600
