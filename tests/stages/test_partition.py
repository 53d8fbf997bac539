"""How much of a send partition is held in memory."""

from __future__ import annotations

import pytest

from processor.core.message import Facts, Origin
from processor.core.words import Lane
from processor.kafka.journal import Entry, Journal
from processor.stages.dispatch.calls import Start
from processor.stages.dispatch.partition import HELD_BYTES_MAX, HELD_MAX, HELD_MIN, SendPartition
from processor.stages.record import Record

PLACE = ("comm.send.Mail.normal", 0)
NOW_MS = 1_000_000


@pytest.fixture
def part() -> SendPartition:
    return SendPartition("Mail", Lane.NORMAL, Journal.restored(Entry(0, frozenset(), frozenset())))


def fill(part: SendPartition, count: int, *, size: int = 1, due_ms: int = 0) -> None:
    for offset in range(count):
        facts = Facts(Origin("comm.outbound", 0, offset), 0, 0, due_ms)
        part.add(Start(Record(PLACE, offset, b"id", bytes(size), 0, None), facts, "Mail", Lane.NORMAL), NOW_MS)


@pytest.mark.parametrize("due_ms", [0, NOW_MS + 500], ids=["may go", "not due yet"])
def test_it_brims_with_as_many_messages_as_are_ever_held_whatever_the_rate(part: SendPartition, due_ms: int) -> None:
    fill(part, HELD_MAX - 1, due_ms=due_ms)
    assert part.holds_enough()
    assert not part.brims()

    fill(part, 1, due_ms=due_ms)
    assert part.brims()


def test_it_brims_with_as_many_bytes(part: SendPartition) -> None:
    fill(part, 8, size=HELD_BYTES_MAX // 8)
    assert part.brims()

    part.take()
    assert not part.brims()


def test_at_a_high_rate_more_is_enough(part: SendPartition) -> None:
    fill(part, HELD_MIN)
    assert part.holds_enough()

    part.rate_per_s = HELD_MIN
    assert not part.holds_enough()
    assert not part.wants_more()
