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
    holdings.never_begun([start(9)])
    holdings.let_go([PLACE])
    entry = Entry(9, frozenset({9}), frozenset())
    holdings.take(PLACE, SendPartition("Mail", Lane.NORMAL, Journal.restored(entry)), entry)

    assert holdings.take_unbegun(PLACE, 9) == start(9)
    assert holdings.take_unbegun(PLACE, 9) is None


def test_a_start_that_another_member_may_have_made_is_in_doubt(holdings: Holdings) -> None:
    holdings.never_begun([start(9)])

    holdings.disown([PLACE])

    assert holdings.take_unbegun(PLACE, 9) is None


def test_a_start_whose_commit_did_not_count_is_forgotten(holdings: Holdings) -> None:
    holdings.never_begun([start(9)])

    holdings.take(PLACE, SendPartition("Mail", Lane.NORMAL, Journal.restored(NOTHING)), NOTHING)

    assert holdings.take_unbegun(PLACE, 9) is None
