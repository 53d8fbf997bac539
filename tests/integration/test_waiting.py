"""What is not due yet waits in Kafka: never early, late by little, whatever else comes due with it."""

from __future__ import annotations

import time
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

import pytest

from processor.core.plan import DAY_MS
from processor.core.tiers import TIERS_S
from processor.core.words import DelayClass, Status
from tests.support.cluster import fresh
from tests.support.eventually import eventually
from tests.support.plant import message

if TYPE_CHECKING:
    from tests.support.plant import Plant

pytestmark = pytest.mark.timed
LATE_MAX_MS = 1_000
"""A generous bound for two shared cores; the median is told by `make bench`."""


def now_ms() -> int:
    return time.time_ns() // 1_000_000


def lateness_ms(works: Plant, word: str) -> list[int]:
    """Return how late each call of the messages called *word*… was, in order."""
    due = {each.message_id: each.due_at_ms for each in works.asked.values()}
    calls = [entry for entry in works.sandbox.entries() if (entry.message_id or "").startswith(word)]
    return sorted(entry.first_byte_ms - due[entry.message_id] for entry in calls)


def test_messages_due_in_two_and_six_seconds_go_out_then_and_never_before(works: Plant) -> None:
    begin_ms = now_ms()
    word = fresh("due")
    works.ask(
        message(f"{word}-{number}", ("Email", "SMS", "SMSOTP")[number % 3], start_at_ms=begin_ms + wait_ms)
        for number, wait_ms in enumerate([2_000, 6_000] * 60)
    )
    works.drained(within_s=20)

    ledgers = works.check()
    late = lateness_ms(works, word)
    assert len(late) == 120
    assert late[0] >= 0
    assert late[-1] < LATE_MAX_MS, f"late by {late[-10:]} ms"
    assert {each.status for each in ledgers.delivery if each.message_id.startswith(word)} == {Status.SENT}


def test_a_message_waits_for_its_window_to_open(works: Plant) -> None:
    opens = datetime.fromtimestamp(now_ms() / 1_000, UTC) + timedelta(seconds=3)
    low_ms = ((opens.hour * 60 + opens.minute) * 60 + opens.second) * 1_000
    asked = message("window-1", interval_min_ms=low_ms, interval_max_ms=(low_ms + 3_600_000) % DAY_MS)

    works.ask([asked])
    works.drained(within_s=20)

    (call,) = [entry for entry in works.sandbox.entries() if entry.message_id == "window-1"]
    assert 0 <= call.first_byte_ms - int(opens.replace(microsecond=0).timestamp() * 1_000) < LATE_MAX_MS


def test_a_window_that_does_not_open_before_the_end_is_expired_at_once(works: Plant) -> None:
    tomorrow = datetime.fromtimestamp(now_ms() / 1_000, UTC) - timedelta(hours=2)
    low_ms = tomorrow.hour * 3_600_000
    works.ask(
        [message("never-1", interval_min_ms=low_ms, interval_max_ms=low_ms + 60_000, end_at_ms=now_ms() + 60_000)]
    )
    works.drained(within_s=10)

    (end,) = [each for each in works.check().delivery if each.message_id == "never-1"]
    assert (end.status, end.attempt) == (Status.EXPIRED, 0)


def test_a_message_that_cannot_be_tried_again_before_its_end_is_expired(works: Plant) -> None:
    works.ask([message("end-1", to="defer-451@example.com", end_at_ms=now_ms() + 1_500)])
    works.drained(within_s=10)

    ledgers = works.check()
    (end,) = [each for each in ledgers.delivery if each.message_id == "end-1"]
    assert end.status is Status.EXPIRED
    assert end.attempt == len([entry for entry in ledgers.provider if entry.message_id == "end-1"])


def test_a_message_due_in_ninety_days_waits_in_the_longest_tier(works: Plant) -> None:
    longest = works.names.delay(DelayClass.REST, TIERS_S[-1])
    works.ask([message("far-1", start_at_ms=now_ms() + 90 * DAY_MS)])

    waiting = eventually(
        lambda: [each for each in works.cluster.read([longest]) if each.key() == b"far-1"], within_s=10
    )

    works.check(waiting=["far-1"])
    (origin,) = [origin for origin, asked in works.asked.items() if asked.message_id == "far-1"]
    del works.asked[origin]  # it outlives this test
    assert works.codecs.outbound.decode_head(waiting[0].value()).message_id == "far-1"


def test_an_urgent_message_is_not_held_up_by_twenty_thousand_others_that_come_due_with_it(works: Plant) -> None:
    # A recipient that is refused at once: what is measured is the wait, and not the provider.
    due_ms = now_ms() + 6_000
    works.ask(message(f"crowd-{n}", to="nobody", start_at_ms=due_ms, priority=0) for n in range(20_000))
    works.ask(message(f"urgent-{n}", "SMSOTP", start_at_ms=due_ms) for n in range(20))

    eventually(lambda: len(lateness_ms(works, "urgent-")) == 20, within_s=25)
    crowd_left = 20_000 - sum(each.message_id.startswith("crowd") for each in works.ledgers().delivery)
    late = lateness_ms(works, "urgent-")
    assert late[0] >= 0
    assert late[-1] < LATE_MAX_MS, f"late by {late} ms, with {crowd_left} of the crowd left"
    works.drained(within_s=60)
    works.check()


def test_waiting_survives_the_death_of_everything(works: Plant) -> None:
    word = fresh("asleep")
    works.ask(message(f"{word}-{number}", start_at_ms=now_ms() + 5_000) for number in range(30))
    for stage in ("intake", "delay", "dispatch"):
        works.kill(stage)
    works.start("intake", "delay", "dispatch")
    works.drained(within_s=20)

    works.check()
    late = lateness_ms(works, word)
    assert (len(late), late[0] >= 0) == (30, True)
