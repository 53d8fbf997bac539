"""Generated readers and plain ones: the same values, the same positions, the same faults in the same fields."""

from collections.abc import Callable
from itertools import product
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from processor.codec import quick, read
from processor.codec.assembly import open_codecs
from processor.codec.errors import Unreadable
from processor.codec.outbound import CAPS
from processor.codec.read import Read
from processor.codec.resolve import Resolver
from processor.codec.schema import Record, admit
from tests.codec import strategies
from tests.codec.test_agreement import OURS, schemas, values_of, written
from tests.codec.wire import number, text


def readers(schema: object) -> tuple[Read, Read]:
    kind = admit(schema)
    assert isinstance(kind, Record)
    return Resolver({}, CAPS).record(kind, kind), Resolver({}, CAPS).reader(kind, kind)


def told(reader: Read, raw: bytes, at: int = 0) -> str:
    """Return what a reader makes of bytes; as text, for a damaged double may be NaN, which equals nothing."""
    try:
        return repr(reader(raw, at))
    except Unreadable as fault:
        return fault.why


damages = st.lists(st.tuples(st.floats(0, 1, exclude_max=True), st.integers(0, 255)), max_size=3)


def damaged(raw: bytes, changes: list[tuple[float, int]], keep: float) -> bytes:
    out = bytearray(raw)
    for where, byte in changes:
        out[int(where * len(raw))] = byte
    return bytes(out[: len(raw) - int(keep * len(raw))])


@given(st.data(), damages, st.just(0.0) | st.floats(0, 1))
def test_any_bytes_are_read_alike_by_both(data: st.DataObject, changes: list[tuple[float, int]], cut: float) -> None:
    schema = data.draw(schemas)
    raw = damaged(written(schema, data.draw(values_of(schema))), changes, cut)
    generated, plain = readers(schema)
    assert told(generated, raw) == told(plain, raw)


CODEC = open_codecs().outbound
OUTBOUND = readers(OURS)


@given(strategies.messages, damages, st.just(0.0) | st.floats(0, 1))
def test_any_message_is_read_alike_by_both(message: Any, changes: list[tuple[float, int]], cut: float) -> None:
    value = damaged(CODEC.encode_message(message), changes, cut)
    generated, plain = OUTBOUND
    assert told(generated, value, 10) == told(plain, value, 10)


EDGES = (0, 1, 2, 3, 0x7D, 0x7E, 0x7F, 0x80, 0x81, 0xFF)
TAILS = (b"", b"\x00", b"a" * 63, b"a" * 62 + b"\x00" * 200)


@pytest.mark.parametrize("kind", ["string", "int", "long", "bytes", ["null", "string"], ["null", "long"]], ids=str)
def test_every_first_byte_of_a_field_is_read_alike_by_both(kind: object) -> None:
    fields = [{"name": "a", "type": kind}, {"name": "b", "type": "string"}]
    for order in (fields, fields[::-1]):  # a length that leads beyond the end is another thing in the last field
        generated, plain = readers({"type": "record", "name": "R", "fields": order})
        for first, second, tail in product(range(256), EDGES, TAILS):
            raw = bytes((first, second)) + tail
            assert told(generated, raw) == told(plain, raw)


def counted(reads: list[int]) -> Callable[[bytes, int], tuple[int, int]]:
    def read_field(raw: bytes, at: int) -> tuple[int, int]:
        reads.append(at)
        return read.long(raw, at)

    return read_field


@pytest.mark.parametrize(("raw", "times"), [(number(1) + text("x"), 1), (number(1) + text(b"\xff"), 2)])
def test_only_what_is_wrong_is_read_a_second_time(raw: bytes, times: int) -> None:
    reads: list[int] = []
    reader = quick.record([("a", 0, counted(reads)), ("b", 1, read.text)], [None] * 3, lambda *values: values)

    told(reader, raw)

    assert len(reads) == times


def test_faults_in_records_within_records_are_not_looked_for_again_at_each_depth() -> None:
    schema: Any = {"type": "record", "name": "R", "fields": [{"name": "x", "type": "boolean"}]}
    for depth in range(12):
        schema = {"type": "record", "name": f"R{depth}", "fields": [{"name": "x", "type": schema}]}
    reads: list[int] = []
    generated, _ = readers(schema)

    class Counting(bytes):
        def __getitem__(self, at: Any) -> Any:
            reads.append(at)
            return super().__getitem__(at)

    with pytest.raises(Unreadable, match="boolean"):
        generated(Counting(b"\x07"), 0)
    assert len(reads) == 2


def test_a_record_of_many_fields_is_read_without_generating() -> None:
    names = [f"f{index}" for index in range(quick.FIELDS_MAX + 1)]
    generated, plain = readers(
        {"type": "record", "name": "R", "fields": [{"name": name, "type": "int"} for name in names]}
    )
    raw = number(3) * len(names)
    assert told(generated, raw) == told(plain, raw)
    assert generated.__code__.co_name == "read"


def test_the_source_holds_nothing_of_a_schema() -> None:
    fields = [("canary", 0, read.text), ("canary", 1, read.enumeration(["canary"]))]
    assert "canary" not in quick.source(fields, 2)
