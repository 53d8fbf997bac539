"""What a dispatcher remembers outlives what Kafka forgets, and nothing that never began is in doubt."""

from __future__ import annotations

import pytest

from processor.core.message import Facts, Origin
from processor.core.words import Lane
from processor.kafka.journal import Entry, Journal, encode
from processor.kafka.transactions import Commit
from processor.stages.dispatch.calls import Start
from processor.stages.dispatch.holdings import Holdings
from processor.stages.dispatch.partition import SendPartition
from processor.stages.dispatch.settling import Done
from processor.stages.record import Record

PLACE = ("comm.send.Mail.normal", 0)
NOTHING = Entry(7, frozenset(), frozenset())


@pytest.fixture
def holdings() -> Holdings:
    made = Holdings()
    made.take(PLACE, SendPartition("Mail", Lane.NORMAL, Journal.restored(NOTHING)), NOTHING)
    return made


def start(offset: int) -> Start:
    facts = Facts(Origin("comm.outbound", 0, offset), 0, 0, 0)
    return Start(Record(PLACE, offset, b"id", b"value", 0, None), facts, "Mail", Lane.NORMAL)


def test_a_commit_that_was_acknowledged_stays_in_force_when_kafka_tells_an_older_one(holdings: Holdings) -> None:
    holdings.apply({PLACE: Commit(9, encode(9, [9, 11], [10]))})

    known = holdings.remembered(PLACE, Entry(8, frozenset({8, 9}), frozenset()))

    assert known == Entry(9, frozenset({9, 11}), frozenset({10}))


def test_what_another_owner_has_committed_since_counts(holdings: Holdings) -> None:
    holdings.apply({PLACE: Commit(9, encode(9, [9], []))})
    later = Entry(12, frozenset({13}), frozenset({14}))

    assert holdings.remembered(PLACE, later) == later


def test_a_start_that_was_never_handed_over_is_known_once(holdings: Holdings) -> None:
    holdings.never_begun([start(9)], {PLACE})
    holdings.let_go([PLACE])
    entry = Entry(9, frozenset({9}), frozenset())
    holdings.take(PLACE, SendPartition("Mail", Lane.NORMAL, Journal.restored(entry)), entry)

    assert holdings.take_unbegun(PLACE, 9) == start(9)
    assert holdings.take_unbegun(PLACE, 9) is None


def test_a_start_that_another_member_may_have_made_is_in_doubt(holdings: Holdings) -> None:
    holdings.never_begun([start(9)], {PLACE})

    holdings.disown([PLACE])

    assert holdings.take_unbegun(PLACE, 9) is None


def test_a_start_whose_commit_did_not_count_is_forgotten(holdings: Holdings) -> None:
    holdings.never_begun([start(9)], {PLACE})

    holdings.take(PLACE, SendPartition("Mail", Lane.NORMAL, Journal.restored(NOTHING)), NOTHING)

    assert holdings.take_unbegun(PLACE, 9) is None


def test_a_start_of_a_tick_in_which_its_partition_went_away_is_in_doubt(holdings: Holdings) -> None:
    holdings.mark([], [start(9)])
    holdings.disown([PLACE])
    holdings.let_go([PLACE])
    holdings.never_begun([start(9)], set())  # the tick ends only now, and nobody knows how
    holdings.undo({PLACE}, [], [start(9)])

    come_back(holdings, started=9)

    assert holdings.take_unbegun(PLACE, 9) is None


def come_back(holdings: Holdings, *, started: int) -> None:
    """Take the partition again, in which somebody has started an offset."""
    entry = Entry(started, frozenset({started}), frozenset())
    holdings.take(PLACE, SendPartition("Mail", Lane.NORMAL, Journal.restored(entry)), entry)


def test_the_result_of_a_call_waits_for_its_partition(holdings: Holdings) -> None:
    answered = Done(PLACE, 9, [], provider="Mail")
    holdings.begun([start(9)])
    holdings.settle(answered)
    holdings.let_go([PLACE])

    come_back(holdings, started=9)

    assert holdings.adopts(PLACE, 9)
    assert holdings.take_done() == [answered]


@pytest.mark.parametrize("undone", [False, True])
def test_what_was_to_move_elsewhere_is_in_doubt_once_another_owner_has_started_it(
    holdings: Holdings, undone: bool
) -> None:
    moved = Done(PLACE, 9, [])
    holdings.done.append(moved)
    if undone:
        holdings.let_go([PLACE])
        holdings.undo({PLACE}, [moved], [])
    else:
        holdings.let_go([PLACE])

    come_back(holdings, started=9)

    assert not holdings.adopts(PLACE, 9)
