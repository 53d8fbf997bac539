"""Messages on an ordinary day: each comes to exactly one end, and its attempts are counted right."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

from processor.codec.facts import encode_facts
from processor.core.events import event_id
from processor.core.message import Facts, Origin
from processor.core.words import Reason, Status
from tests.support.cluster import fresh
from tests.support.eventually import eventually
from tests.support.plant import PASSWORD, PROPERTY, RECIPIENT, STAGES, SUBJECT, TEXT, message

if TYPE_CHECKING:
    from processor.core.message import Message
    from tests.support.plant import Plant

RECIPIENTS = {  # by what becomes of them: status, attempts
    ("Email", "someone@example.com"): (Status.SENT, 1),
    ("Email", "defer-451-2x@example.com"): (Status.SENT, 3),
    ("Email", "defer-451@example.com"): (Status.FAILED, 3),
    ("Email", "bounce-550@example.com"): (Status.FAILED, 1),
    ("Email", "not an address"): (Status.REJECTED, 0),  # never handed to the provider
    ("SMS", "+40700000111"): (Status.SENT, 1),
    ("SMS", "+40700004512"): (Status.SENT, 3),
    ("SMS", "+40700000550"): (Status.FAILED, 1),
    ("SMSOTP", "+40700000111"): (Status.SENT, 1),
    ("SMSOTP", "+40700004511"): (Status.SENT, 2),
    ("SMSOTP", "+40700000999"): (Status.UNKNOWN, 1),
}


def mixed(count: int) -> dict[str, tuple[Message, tuple[Status, int]]]:
    """Return messages of every kind and priority, with what must become of each."""
    kinds = list(RECIPIENTS.items())
    found = {}
    for number in range(count):
        (channel, to), expected = kinds[number % len(kinds)]
        message_id = f"{fresh('m')}-{number}"
        found[message_id] = (message(message_id, channel, to=to, priority=number % 10), expected)
    return found


def test_each_of_three_hundred_messages_comes_to_its_one_end_after_its_number_of_attempts(works: Plant) -> None:
    asked = mixed(300)

    works.ask(each for each, _ in asked.values())
    works.drained(within_s=40)

    ledgers = works.check()
    ends = {each.message_id: (each.status, each.attempt) for each in ledgers.delivery}
    assert {key: ends[key] for key in asked} == {key: expected for key, (_, expected) in asked.items()}
    retried = Counter(each.message_id for each in ledgers.retry)
    calls = Counter(each.message_id for each in ledgers.provider)
    for key, (_, (_, attempts)) in asked.items():
        assert (retried[key], calls[key]) == (max(0, attempts - 1), attempts), key


def test_a_retry_is_told_with_its_reason_its_code_and_when_it_will_be(works: Plant) -> None:
    works.ask([message("told-1", to="defer-451-1x@example.com")])
    works.drained(within_s=20)

    (retry,) = [each for each in works.check().retry if each.message_id == "told-1"]
    assert (retry.attempt, retry.charged, retry.provider) == (1, 1, "Mail")
    assert (retry.reason, retry.provider_code) == (Reason.PROVIDER_DEFERRED, "451 4.3.0")
    assert 900 <= retry.next_attempt_at_ms - retry.occurred_at_ms <= 1_100


def test_throttling_spends_no_retry_budget(works: Plant) -> None:
    # Four throttling answers and two retries in all: charged ones would have ended it.
    works.ask([message("throttled-1", "SMS", to="+40700004294")])
    works.drained(within_s=20)

    ledgers = works.check()
    (end,) = [each for each in ledgers.delivery if each.message_id == "throttled-1"]
    charged = [each.charged for each in ledgers.retry if each.message_id == "throttled-1"]
    assert (end.status, end.attempt, charged) == (Status.SENT, 5, [0, 0, 0, 0])


def test_a_failed_message_is_dead_lettered_whole_with_its_origin_and_its_attempts(works: Plant) -> None:
    failing = message("whole-1", to="defer-451@example.com")
    works.ask([failing])
    works.drained(within_s=20)

    ledgers = works.check()
    (letter,) = [each for each in ledgers.dead if each.message_id == "whole-1"]
    assert letter.value == works.codecs.outbound.encode_message(failing)
    assert works.asked[letter.origin].message_id == "whole-1"
    assert (letter.reason, letter.attempts, letter.truncated) == (Reason.RETRIES_EXHAUSTED, 3, False)


def test_facts_that_a_producer_forged_do_not_count(works: Plant) -> None:
    forged = Facts(Origin("elsewhere", 7, 7), 1, 1, due_at_ms=1 << 50, attempt=40, charged=40)
    works.ask([message("forged-1", to="defer-451-1x@example.com")], headers=[("commproc", encode_facts(forged))])
    works.ask([message("forged-2")], headers=[("commproc", b"\xff"), ("commproc", None)])
    works.drained(within_s=20)

    ends = {each.message_id: each for each in works.check().delivery}
    assert (ends["forged-1"].status, ends["forged-1"].attempt) == (Status.SENT, 2)
    assert (ends["forged-2"].status, ends["forged-2"].attempt) == (Status.SENT, 1)


def test_the_same_fact_has_the_same_id_whoever_publishes_it(works: Plant) -> None:
    works.ask([message("same-1")])
    works.drained(within_s=20)

    (end,) = [each for each in works.check().delivery if each.message_id == "same-1"]
    (origin,) = [origin for origin, asked in works.asked.items() if asked.message_id == "same-1"]
    assert end.event_id == event_id("ended", "same-1", origin.topic, origin.partition, origin.offset)


def test_an_idle_processor_has_no_lag(works: Plant) -> None:
    works.drained(within_s=20)

    eventually(lambda: not works.lag(), within_s=15, what=works.lag)


def test_nothing_secret_is_in_any_output_or_metric(works: Plant) -> None:
    works.drained(within_s=20)
    told = works.output() + "".join(works.metrics(stage) for stage in STAGES)

    assert "process.started" in told
    for canary in (TEXT, SUBJECT, PASSWORD, PROPERTY, RECIPIENT, "+4070", "defer-451"):
        assert canary not in told
