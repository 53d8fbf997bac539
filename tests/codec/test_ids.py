"""What a tick writes of the ids that it has seen is read as it was, or refused."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from processor.codec.ids import ENTRY_BYTES, IDS_MAX, Strange, decode_ids, encode_entry, encode_ids
from processor.core.seen import MARK_BYTES

MARKS = st.tuples(st.binary(min_size=MARK_BYTES, max_size=MARK_BYTES), st.integers(0, 2**31 - 1))


@given(st.integers(1, 1_000), st.integers(0, 2**32 - 1), st.lists(MARKS, max_size=20))
def test_what_is_written_is_what_is_read(partitions: int, at_s: int, marks: list[tuple[bytes, int]]) -> None:
    ids = decode_ids(encode_ids(partitions, at_s, b"".join(encode_entry(*each) for each in marks)))

    assert (ids.partitions, ids.at_s) == (partitions, at_s)
    assert list(ids.marks) == marks


def test_a_record_as_large_as_can_be_is_far_below_what_a_topic_takes() -> None:
    assert len(encode_ids(4, 0, bytes(ENTRY_BYTES) * IDS_MAX)) < 250_000


ONE = encode_ids(4, 1_000, encode_entry(bytes(MARK_BYTES), 7))


@pytest.mark.parametrize(
    "value", [None, b"", b"\x01", ONE[:-1], ONE + b"\0", b"\x02" + ONE[1:], b"\x00" + ONE[1:], b"text"]
)
def test_what_another_release_wrote_or_somebody_else_is_refused_and_not_taken_for_nothing(value: bytes | None) -> None:
    with pytest.raises(Strange):
        decode_ids(value)
