"""How much of a send partition is held in memory."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

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


@given(
    st.lists(st.sampled_from(["stays", "moves"]), max_size=12),
    st.lists(st.tuples(st.integers(0, 5), st.integers(0, 3)), max_size=6),
)
def test_of_what_waits_each_is_asked_once_and_keeps_its_place(fates: list[str], rounds: list[tuple[int, int]]) -> None:
    part = SendPartition("mail", Lane.NORMAL, Journal(0, 0))
    fill(part, len(fates))
    asked: list[int] = []
    left = list(range(len(fates)))

    def move(start: Start) -> int | None:
        asked.append(start.record.offset)
        return start.record.offset if fates[start.record.offset] == "moves" else None

    for most, taken in rounds:
        moved = part.moved_by(move, most)
        assert len(moved) <= most
        left = [offset for offset in left if offset not in moved]
        assert [start.record.offset for start in part.waiting] == left
        for _ in range(min(taken, len(left))):
            assert part.take().record.offset == left.pop(0)

    assert len(asked) == len(set(asked))
    assert part.size_bytes == len(left)
