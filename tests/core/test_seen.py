"""What was seen, against a plain dictionary of it."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from processor.core.seen import ID_BYTES, MARK_BYTES, Seen, mark_of

if TYPE_CHECKING:
    from collections.abc import Sequence

HORIZON_S = 100
# Few ids, so that they come again, and some that lie in each other: a search may meet one across two marks.
OVERLAPPING = [bytes([1, 2, 3, 4] * 3), bytes([2, 3, 4, 1] * 3), bytes(12), bytes([0] * 11 + [1])]
IDS = st.sampled_from(OVERLAPPING) | st.integers(0, 30).map(lambda number: mark_of(b"%d" % number, b"")[:ID_BYTES])
CONTENTS = st.sampled_from([bytes(8), bytes([1, 2, 3, 4] * 2), bytes([0] * 7 + [1])])
STEPS = st.lists(st.tuples(IDS, CONTENTS, st.integers(0, 40)), max_size=150)


def held(seen: Seen) -> int:
    """Return how many bytes a set takes."""
    return sys.getsizeof(seen._buckets) + sum(map(sys.getsizeof, seen._buckets))


def filled(count: int, *, per_s: int = 1_000) -> Seen:
    seen = Seen(count)
    for number in range(count):
        seen.add(mark_of(b"%d" % number, b"x"), number // per_s)
    return seen


@given(STEPS)
@example([(OVERLAPPING[0], bytes([1, 2, 3, 4] * 2), 0), (OVERLAPPING[1], bytes(8), 0)])
def test_the_first_content_of_an_id_is_known_for_the_horizon_and_no_longer(
    steps: Sequence[tuple[bytes, bytes, int]],
) -> None:
    seen, known, now_s = Seen(HORIZON_S), dict[bytes, tuple[bytes, int]](), 1_000
    for mark_id, content, passed_s in steps:
        now_s += passed_s
        first = known.get(mark_id)
        expected = None if first is None or first[1] + HORIZON_S <= now_s else first[0]

        assert seen.content_of(mark_id + content, now_s) == expected

        if expected is None:
            seen.add(mark_id + content, now_s)
            known[mark_id] = content, now_s


@given(st.lists(st.tuples(st.integers(0, 20), st.integers(-5, 20)), max_size=60))
def test_a_clock_that_is_set_back_hides_nothing_that_was_never_over(steps: Sequence[tuple[int, int]]) -> None:
    seen, known, now_s, latest_s = Seen(HORIZON_S), dict[int, int](), 1_000, 1_000
    for number, passed_s in steps:
        now_s += passed_s
        latest_s = max(latest_s, now_s)
        mark = mark_of(b"%d" % number, b"")
        if seen.content_of(mark, now_s) is None:
            seen.add(mark, now_s)
            known[number] = now_s

        never_over = [each for each, at_s in known.items() if at_s + HORIZON_S > latest_s]
        assert [each for each in never_over if seen.content_of(mark_of(b"%d" % each, b""), now_s) is None] == []


@given(STEPS)
def test_many_at_once_are_known_as_one_after_the_other_would_be(steps: Sequence[tuple[bytes, bytes, int]]) -> None:
    first = {mark_id: mark_id + content for mark_id, content, _ in reversed(steps)}
    one, many = Seen(HORIZON_S), Seen(HORIZON_S)
    for mark in first.values():
        one.add(mark, 1_000)

    many.extend(first.values(), 1_000)

    assert many.count == one.count == len(first)
    assert all(many.content_of(mark, 1_050) == mark[ID_BYTES:] for mark in first.values())
    assert not any(many.content_of(mark, 1_000 + HORIZON_S) for mark in first.values())


def test_it_grows_without_forgetting_anything_or_knowing_what_never_came() -> None:
    seen = filled(50_000)

    assert seen.count == 50_000
    assert all(seen.content_of(mark_of(b"%d" % number, b""), 50) is not None for number in range(50_000))
    assert not any(seen.content_of(mark_of(b"%d" % number, b""), 50) for number in range(50_000, 60_000))


@pytest.mark.parametrize("count", [100_000, pytest.param(1_100_000, marks=pytest.mark.slow)])
def test_an_id_takes_less_than_forty_bytes(count: int) -> None:
    assert held(filled(count)) / count < 40


def test_what_is_over_makes_room_for_what_comes() -> None:
    seen = Seen(HORIZON_S)
    for number in range(100_000):
        seen.add(mark_of(b"%d" % number, b"x"), number // 50)  # five thousand in each horizon

    assert seen.count < 10_000
    assert held(seen) < 40 * 10_000


def test_a_mark_tells_ids_and_contents_apart() -> None:
    marks = {mark_of(message_id, value) for message_id in (b"a", b"b", b"") for value in (b"a", b"b", b"")}

    assert len(marks) == 9
    assert {len(mark) for mark in marks} == {MARK_BYTES}
    assert {len({mark[:ID_BYTES] for mark in marks}), len({mark[ID_BYTES:] for mark in marks})} == {3}
