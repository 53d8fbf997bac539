"""A record is begun once, whenever its call ends."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import pytest
from confluent_kafka import Message

from processor.codec.assembly import open_codecs
from processor.codec.facts import FACTS_HEADER, encode_facts
from processor.core.words import Lane
from processor.kafka.journal import Entry, Journal
from processor.stages.clock import SystemClock
from processor.stages.dispatch.calls import Start
from processor.stages.dispatch.holdings import Holdings
from processor.stages.dispatch.partition import SendPartition
from processor.stages.dispatch.reading import Reading
from processor.stages.dispatch.settling import Done
from processor.stages.record import record_of
from tests.core.worlds import facts
from tests.stages.settlings import NAMES, settling

if TYPE_CHECKING:
    from collections.abc import Iterable

    from processor.kafka.committed import Place

PLACE: Final[Place] = (NAMES.send("first", Lane.NORMAL), 0)


@pytest.fixture
def reading() -> Reading:
    return Reading(Holdings(), settling(open_codecs()), SystemClock())


def record(offset: int) -> Message:
    return Message(
        topic=PLACE[0],
        partition=PLACE[1],
        offset=offset,
        key=b"id",
        value=b"value",
        headers=[(FACTS_HEADER, encode_facts(facts()))],
        timestamp=(1, 0),
    )


def claimed(holdings: Holdings, entry: Entry) -> SendPartition:
    part = SendPartition("first", Lane.NORMAL, Journal.restored(entry))
    holdings.take(PLACE, part, entry)
    return part


def begun(holdings: Holdings, offsets: Iterable[int]) -> None:
    """Let the calls of *offsets* be under way."""
    starts = [Start(record_of(record(each), FACTS_HEADER), facts(), "first", Lane.NORMAL) for each in offsets]
    holdings.mark([], starts)
    assert holdings.begun(starts) == starts


def ended(holdings: Holdings, offset: int) -> None:
    """Let a call end, and its result be published."""
    holdings.settle(Done(PLACE, offset, [], "first"))
    done = holdings.take_done()
    assert [each.offset for each in done] == [offset]
    holdings.apply(holdings.commits(holdings.mark(done, [])))


@pytest.mark.parametrize("ends", [(7,), (7, 8), (8, 7), (8,)])
def test_a_call_that_ends_after_its_partition_came_back_and_before_it_is_read_is_not_begun_again(
    reading: Reading, ends: tuple[int, ...]
) -> None:
    holdings = reading._holdings
    claimed(holdings, Entry(7, frozenset(), frozenset()))
    begun(holdings, (7, 8))
    holdings.let_go([PLACE])
    part = claimed(holdings, Entry(7, frozenset({7, 8}), frozenset()))

    for offset in ends:
        ended(holdings, offset)
    reading.take_in([record(7), record(8), record(9)])

    assert [start.record.offset for start in part.waiting] == [9]
    assert holdings.in_flight == {(PLACE, offset) for offset in {7, 8} - set(ends)}
    assert not holdings.done
    for offset in {7, 8} - set(ends):
        ended(holdings, offset)
    assert part.journal.next_mark() == 9
