"""The journal says exactly what has started and what has finished, or nothing at all."""

from __future__ import annotations

import base64
import random
import zlib

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from processor.kafka.journal import (
    METADATA_MAX,
    METADATA_STOP,
    VERSION,
    Entry,
    Journal,
    JournalUnreadable,
    decode,
    encode,
    furthest,
)

marks = st.integers(0, 2**62)
offsets = st.frozensets(st.integers(0, 3_000), max_size=60)


@given(marks, offsets, offsets)
@example(0, frozenset(), frozenset())
@example(2**62, frozenset({0, 7, 8}), frozenset({0}))
def test_what_a_commit_says_is_what_its_reader_hears(
    mark: int, started: frozenset[int], finished: frozenset[int]
) -> None:
    above = Entry(mark, frozenset(mark + n for n in started), frozenset(mark + n for n in finished))

    assert decode(mark, encode(mark, above.started, above.finished)) == above


def test_offsets_below_the_mark_are_left_out() -> None:
    assert decode(100, encode(100, [98, 99, 100, 105], [97, 103])) == Entry(
        100, frozenset({100, 105}), frozenset({103})
    )


@given(st.text(max_size=200) | st.binary(max_size=200).map(lambda raw: base64.b64encode(raw).decode()))
@example("")
@example("clean")
@example(encode(7, [7], [])[:-1])
def test_metadata_that_is_not_ours_is_never_taken_for_nothing_started(metadata: str) -> None:
    with pytest.raises(JournalUnreadable):
        decode(7, metadata)


@given(offsets, offsets, st.data())
def test_metadata_that_was_cut_is_refused(
    started: frozenset[int], finished: frozenset[int], data: st.DataObject
) -> None:
    whole = encode(0, started, finished)
    cut = data.draw(st.integers(0, len(whole) - 1))

    with pytest.raises(JournalUnreadable):
        decode(0, whole[:cut])


def packed(raw: bytes) -> str:
    return base64.b64encode(zlib.compress(raw)).decode()


@pytest.mark.parametrize(
    "metadata",
    [
        None,
        packed(bytes((VERSION + 1,)) + bytes(8)),
        packed(bytes((VERSION,)) + bytes(7)),
        packed(bytes((VERSION,)) + bytes(9)),
        packed(bytes((VERSION,)) + b"\0\0\0\x09" + bytes(8)),
        packed(b""),
        base64.b64encode(zlib.compress(bytes((VERSION,)) + bytes(8)) + b"more").decode(),
        packed(bytes((VERSION,)) + b"\x7f\xff\xff\xff" + bytes(1 << 22)),
    ],
    ids=["none", "newer", "short", "long", "length beyond the end", "empty", "bytes after the stream", "bomb"],
)
def test_other_versions_and_wrong_lengths_are_refused(metadata: str | None) -> None:
    with pytest.raises(JournalUnreadable):
        decode(0, metadata)


@st.composite
def partitions(draw: st.DrawFn) -> tuple[list[int], int, list[int]]:
    """Draw the offsets of a partition that hold a record, its end, and those with a result, in order of results."""
    end = draw(st.integers(0, 40))
    records = sorted(draw(st.frozensets(st.integers(0, max(0, end - 1)), max_size=end))) if end else []
    finished = draw(st.permutations(records))
    return records, end, finished[: draw(st.integers(0, len(finished)))]


def naive_mark(records: list[int], position: int, finished: set[int]) -> int:
    """Return the first offset that has been read and has no result, else the position."""
    return min((offset for offset in records if offset < position and offset not in finished), default=position)


@given(partitions(), st.booleans(), st.randoms(use_true_random=False))
@example(([1], 4, [1]), True, random.Random(0))
def test_the_mark_is_the_first_record_without_a_result_whatever_the_order(
    partition: tuple[list[int], int, list[int]], to_the_end: bool, chance: random.Random
) -> None:
    records, end, results = partition
    journal = Journal(0, 0)
    left = list(results)
    for offset in records:
        journal.read(offset)
        if left and left[0] <= offset and chance.random() < 0.5:
            journal.finished.add(left.pop(0))
        if chance.random() < 0.3:
            journal.advance(journal.next_mark())
        done = set(results[: len(results) - len(left)])
        assert journal.next_mark() == naive_mark(records, offset + 1, done)
    if to_the_end:
        journal.read_to(end)
    journal.finished.update(offset for offset in left if offset >= journal.mark)
    position = end if to_the_end else max((offset + 1 for offset in records), default=0)
    assert journal.next_mark() == naive_mark(records, position, set(results))


@given(partitions(), st.randoms(use_true_random=False))
def test_a_new_owner_knows_exactly_what_is_in_doubt(
    partition: tuple[list[int], int, list[int]], chance: random.Random
) -> None:
    records, _, finished = partition
    journal = Journal(0, 0)
    for offset in records:
        journal.read(offset)
    started = {offset for offset in records if offset in finished or chance.random() < 0.5}
    journal.started.update(started)
    journal.finished.update(finished)
    mark = journal.next_mark()

    restored = Journal.restored(decode(mark, journal.metadata(mark)))

    assert restored.in_doubt() == started - set(finished)
    for offset in records:
        if offset >= mark:
            restored.read(offset)
    assert restored.next_mark() == mark


def test_what_is_forgotten_below_the_mark_does_not_come_back() -> None:
    journal = Journal(0, 0)
    for offset in range(100):
        journal.read(offset)
    journal.started.update(range(100))
    journal.finished.update(range(90))

    journal.advance(journal.next_mark())

    assert (journal.mark, journal.finished, journal.in_doubt()) == (90, set(), frozenset(range(90, 100)))


def test_one_hung_call_leaves_room_for_thousands_of_others_before_starts_stop() -> None:
    in_order = encode(0, [0], range(1, 20_000))
    scattered = encode(0, [n for n in range(8_000) if n % 7 == 0], [n for n in range(8_000) if n % 7])

    assert len(in_order) < METADATA_STOP
    assert len(scattered) < METADATA_STOP


def test_the_worst_pattern_is_longer_than_kafka_takes_and_can_be_told() -> None:
    chance = random.Random(1)
    worst = encode(0, chance.sample(range(30_000), 9_000), chance.sample(range(30_000), 9_000))

    assert len(worst) > METADATA_MAX


@given(st.integers(0, 40), st.integers(0, 40), offsets, offsets, offsets, offsets)
def test_of_two_commits_every_offset_keeps_the_furthest_it_ever_got(
    mark: int,
    other_mark: int,
    started: frozenset[int],
    finished: frozenset[int],
    other_started: frozenset[int],
    other_finished: frozenset[int],
) -> None:
    one, other = Entry(mark, started, finished), Entry(other_mark, other_started, other_finished)

    both = furthest(one, other)

    for offset in range(max(mark, other_mark, 3_001)):
        assert _state(both, offset) == max(_state(one, offset), _state(other, offset))


def _state(entry: Entry, offset: int) -> int:
    """Return 2 for finished, 1 for started, 0 for neither."""
    if offset < entry.mark or offset in entry.finished:
        return 2
    return 1 if offset in entry.started else 0
