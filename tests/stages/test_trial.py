"""A trial finds exactly the records that end a process, and says nothing of any other."""

from __future__ import annotations

from typing import TYPE_CHECKING

from processor.core.message import Head, Message
from processor.stages.trial import Trial
from tests.support.planted import DEADLY, DEFECT, open_none, open_planted

if TYPE_CHECKING:
    import pytest

GOOD = open_planted().outbound.encode_message(Message(Head("good-1", "Email"), to="a@example.com"))


def test_the_records_that_end_a_process_are_found_and_their_neighbours_are_not() -> None:
    values = [GOOD, DEADLY, GOOD, None, b"unreadable", DEADLY, GOOD]

    assert Trial(open_planted).deadly(values) == {1, 5}


def test_records_that_end_no_process_are_told_by_one_child() -> None:
    assert Trial(open_planted).deadly([GOOD] * 500) == frozenset()
    assert Trial(open_planted).deadly([]) == frozenset()


def test_a_child_that_cannot_open_its_codecs_says_nothing_of_any_record() -> None:
    # The registry may be away by now: what nobody could look at is not dead-lettered for it.
    assert Trial(open_none).deadly([GOOD, DEADLY]) == frozenset()


def test_a_defect_in_the_child_is_left_to_the_boundary_and_printed_nowhere(capfd: pytest.CaptureFixture[str]) -> None:
    assert Trial(open_planted).deadly([GOOD, DEFECT, GOOD]) == frozenset()

    told = capfd.readouterr()
    assert "canary" not in told.out + told.err
