"""The status of a message follows from its events, in whatever order they come."""

from __future__ import annotations

import json
import re
import sqlite3
from itertools import permutations
from pathlib import Path
from typing import Final

import pytest
from hypothesis import given
from hypothesis import strategies as st

from processor.core.events import DeliveryEvent
from processor.core.status import status_of
from processor.core.words import REPORTED, TERMINAL, Reason, Status

ROOT: Final = Path(__file__).parents[2]


def event(status: Status, at_ms: int = 0, reason: Reason = Reason.ACCEPTED, name: str = "e") -> DeliveryEvent:
    return DeliveryEvent(
        name, "m", None, 1, at_ms, "Email", "Mail", None, None, status, terminal=status in TERMINAL, reason=reason
    )


EVENTS: Final = st.lists(
    st.builds(
        event,
        st.sampled_from(Status),
        st.integers(0, 3),  # instants often agree
        st.sampled_from([Reason.ACCEPTED, Reason.SAME_CONTENT, Reason.OTHER_CONTENT]),
        st.text("ab", min_size=1, max_size=3),
    ),
    max_size=8,
)


def test_nothing_has_happened_to_a_message_without_events() -> None:
    assert status_of([]) is None


@pytest.mark.parametrize(
    ("told", "status"),
    [
        ([event(Status.SENT, 1), event(Status.DELIVERED, 2)], Status.DELIVERED),
        ([event(Status.SENT, 5), event(Status.DELIVERED, 2)], Status.DELIVERED),  # their clock is behind ours
        ([event(Status.UNKNOWN, 1), event(Status.DELIVERED, 2)], Status.DELIVERED),
        ([event(Status.SENT, 1), event(Status.DELAYED, 9), event(Status.DELIVERED, 2)], Status.DELIVERED),
        ([event(Status.SENT, 1), event(Status.DELAYED, 2)], Status.DELAYED),
        ([event(Status.DELIVERED, 2), event(Status.BOUNCED, 3)], Status.BOUNCED),
        ([event(Status.BOUNCED, 2), event(Status.DELIVERED, 3)], Status.DELIVERED),
        ([event(Status.BOUNCED, 2), event(Status.DELIVERED, 2)], Status.BOUNCED),
        ([event(Status.COMPLAINED, 2), event(Status.BOUNCED, 3)], Status.COMPLAINED),
        ([event(Status.SENT, 1), event(Status.DUPLICATE, 0)], Status.SENT),
        ([event(Status.SENT, 1), event(Status.REJECTED, 0, Reason.OTHER_CONTENT)], Status.SENT),
        ([event(Status.DUPLICATE, 0)], Status.DUPLICATE),
        ([event(Status.REJECTED, 0), event(Status.SENT, 1)], Status.SENT),  # mended, and asked for again
        ([event(Status.REJECTED, 1, Reason.OTHER_CONTENT), event(Status.REJECTED, 2)], Status.REJECTED),
        ([event(Status.SENT, 1), event(Status.FAILED, 2)], Status.SENT),  # of a second record
        ([event(Status.FAILED, 2), event(Status.DELAYED, 1)], Status.DELAYED),
    ],
)
def test_the_highest_rank_decides_in_every_order(told: list[DeliveryEvent], status: Status) -> None:
    assert {status_of(order) for order in permutations(told)} == {status}


@given(EVENTS, st.randoms(use_true_random=False))
def test_no_order_of_arrival_changes_the_status(told: list[DeliveryEvent], chance: object) -> None:
    mixed = list(told)
    chance.shuffle(mixed)  # type: ignore[attr-defined] # Hypothesis's own Random

    assert status_of(mixed) is status_of(told)


@given(EVENTS)
def test_an_event_that_comes_twice_changes_nothing(told: list[DeliveryEvent]) -> None:
    assert status_of([*told, *told]) is status_of(told)


@given(EVENTS)
def test_the_query_on_the_page_gives_the_same_status(told: list[DeliveryEvent]) -> None:
    page = (ROOT / "docs" / "events.md").read_text(encoding="utf-8").partition("## Status of a message")[2]
    query = re.search(r"```sql\n(.*?)```", page, re.DOTALL)
    assert query is not None
    columns = [field["name"] for field in json.loads((ROOT / "schemas/DeliveryEvent/v1.avsc").read_text())["fields"]]
    tables = sqlite3.connect(":memory:")
    tables.execute(f"create table delivery ({', '.join(columns)})")
    marks = ", ".join("?" * len(columns))
    values = [each[: len(columns)] for each in told]
    tables.executemany(f"insert into delivery values ({marks})", values)  # noqa: S608 - question marks alone

    rows = tables.execute(query[1]).fetchall()
    tables.close()

    assert rows == ([("m", status_of(told))] if told else [])


def test_a_status_is_either_terminal_or_reported() -> None:
    assert set(Status) == TERMINAL | REPORTED
    assert not TERMINAL & REPORTED
    assert len(TERMINAL) == 8
