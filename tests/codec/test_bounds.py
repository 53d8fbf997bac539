"""Hostile bytes and hostile schemas: refused at once, each with its reason."""

import time
import tracemalloc
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from processor.codec.assembly import open_codecs
from processor.codec.errors import Fault, RefusedSchema, Unreadable
from processor.codec.read import Read, record
from processor.codec.resolve import Resolver
from processor.codec.schema import admit
from processor.core.message import Attachment, Head, Message
from tests.codec.wire import HEAD, blocks, number, text

OUTBOUND = open_codecs().outbound
PREFIX = OUTBOUND.encode_message(Message(Head("m-1", "Email"), "a@example.org"))[:10]
NO = b"\x00"


def content(
    *, cc: bytes = NO, bcc: bytes = NO, bodies: bytes = NO * 3, attachments: bytes = NO, params: bytes = NO * 2
) -> bytes:
    return PREFIX + HEAD + text("a@example.org") + cc + bcc + bodies + attachments + params


def bounded(call: Callable[[], object], *, within_s: float = 0.05, within_bytes: int = 10_000_000) -> None:
    """Run *call* twice: for its time, and for its memory."""
    begin = time.perf_counter()
    call()
    took_s = time.perf_counter() - begin
    tracemalloc.start()
    try:
        call()
        peak_bytes = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert took_s < within_s
    assert peak_bytes < within_bytes


def reader_of(schema: object) -> Read:
    kind = admit({"type": "record", "name": "R", "fields": [{"name": "f", "type": schema}]})
    return Resolver({}).reader(kind, kind)


def test_an_untouched_record_is_read() -> None:
    assert OUTBOUND.decode_message(content()) == Message(Head("m-1", "Email"), "a@example.org")


@pytest.mark.parametrize(
    ("value", "why"),
    [
        pytest.param(content(cc=number(200_000_000)), f"{Fault.COUNT} in cc", id="B2: items without bytes"),
        pytest.param(content(cc=number(-200_000_000) + number(0)), f"{Fault.COUNT} in cc", id="B2: in a sized block"),
        pytest.param(content(cc=number(2**63 - 1)), f"{Fault.COUNT} in cc", id="B2: as many as a long can say"),
        pytest.param(content(cc=number(-(2**63)) + number(0)), f"{Fault.COUNT} in cc", id="B2: a count without abs()"),
        pytest.param(content(cc=number(-1) + number(-5)), f"{Fault.LENGTH} in cc", id="block size below 0"),
        pytest.param(content(cc=number(-1) + number(2**40)), f"{Fault.LENGTH} in cc", id="block size beyond the end"),
        pytest.param(
            content(cc=number(-1) + number(1) + text("abc") + NO), f"{Fault.BLOCK_SIZE} in cc", id="block size wrong"
        ),
        pytest.param(content(cc=number(10_001) + NO * 10_001 + NO), f"{Fault.COUNT} in cc", id="cap of cc"),
        pytest.param(content(cc=blocks(*[NO] * 1_001)), f"{Fault.COUNT} in cc", id="cap over many blocks"),
        pytest.param(
            content(attachments=number(101) + (text("f") + text("t") + NO * 3) * 101 + NO),
            f"{Fault.COUNT} in attachments",
            id="cap of attachments",
        ),
        pytest.param(
            content(params=number(1_001) + b"".join(text(str(i)) + NO for i in range(1_001)) + NO * 2),
            f"{Fault.COUNT} in provider_params",
            id="cap of map entries",
        ),
        pytest.param(
            content(params=blocks(text("k") + text("1"), text("k") + text("2")) + NO),
            f"{Fault.DUPLICATE_KEY} in provider_params",
            id="the same key twice",
        ),
        pytest.param(PREFIX + number(2**40), f"{Fault.LENGTH} in message_id", id="B3: length of 2^40"),
        pytest.param(PREFIX + number(-5) + b"abcdefgh", f"{Fault.LENGTH} in message_id", id="B3: length of -5"),
        pytest.param(content() + NO, str(Fault.TRAILING), id="B3: trailing byte"),
        pytest.param(content()[:-1], f"{Fault.TRUNCATED} in properties", id="a byte short"),
        pytest.param(PREFIX, f"{Fault.TRUNCATED} in message_id", id="nothing after the framing"),
        pytest.param(PREFIX + HEAD[:-3], f"{Fault.TRUNCATED} in message_status", id="a head that is cut"),
        pytest.param(PREFIX + text(b"\xff"), f"{Fault.TEXT} in message_id", id="B4: invalid UTF-8"),
        pytest.param(PREFIX + text(b"\xed\xa0\x80"), f"{Fault.TEXT} in message_id", id="B4: lone surrogate"),
        pytest.param(PREFIX + text(b"\xc0\x80"), f"{Fault.TEXT} in message_id", id="B4: overlong NUL"),
        pytest.param(
            content(attachments=blocks(text("f") + text("t") + number(1) + number(9))),
            f"{Fault.LENGTH} in attachments.content",
            id="length within an attachment",
        ),
        pytest.param(content(bodies=number(2) + NO * 2), f"{Fault.BRANCH} in subject", id="union branch 2 of 2"),
        pytest.param(content(bodies=number(-1) + NO * 2), f"{Fault.BRANCH} in subject", id="union branch -1"),
    ],
)
def test_hostile_bytes_are_refused_quickly_and_by_name(value: bytes, why: str) -> None:
    def decode() -> None:
        with pytest.raises(Unreadable) as caught:
            OUTBOUND.decode_message(value)
        assert caught.value.why == why

    bounded(decode)


@pytest.mark.parametrize("at", range(len(HEAD)))
def test_a_head_cut_anywhere_is_unreadable(at: int) -> None:
    with pytest.raises(Unreadable):
        OUTBOUND.decode_head(PREFIX + HEAD[:at])


@pytest.mark.parametrize(
    ("schema", "raw", "fault"),
    [
        ("int", number(2**31), Fault.VARINT),
        ("int", number(-(2**31) - 1), Fault.VARINT),
        ("int", number(2**39), Fault.VARINT),
        ("long", number(2**63), Fault.VARINT),
        ("long", number(-(2**63) - 1), Fault.VARINT),
        ("long", b"\x80" * 10 + b"\x00", Fault.VARINT),
        ("long", b"\xff" * 1_000_000, Fault.VARINT),
        ("long", b"\x80\x80", Fault.TRUNCATED),
        ("boolean", b"\x07", Fault.BOOLEAN),
        ("boolean", b"", Fault.TRUNCATED),
        ("float", bytes(3), Fault.TRUNCATED),
        ("double", bytes(7), Fault.TRUNCATED),
        ({"type": "fixed", "name": "F", "size": 4}, bytes(3), Fault.TRUNCATED),
        ({"type": "enum", "name": "E", "symbols": ["a", "b"]}, number(-1), Fault.SYMBOL),
        ({"type": "enum", "name": "E", "symbols": ["a", "b"]}, number(2), Fault.SYMBOL),
        (["null", "string", "long"], number(-1), Fault.BRANCH),
        (["null", "string", "long"], number(3), Fault.BRANCH),
        ({"type": "map", "values": "long"}, number(2) + text("k"), Fault.COUNT),
        ({"type": "map", "values": "long"}, number(-1) + number(4) + text("k") + number(7) * 2, Fault.BLOCK_SIZE),
    ],
)
def test_values_out_of_their_range_are_unreadable(schema: object, raw: bytes, fault: Fault) -> None:
    read = reader_of(schema)

    def decode() -> None:
        with pytest.raises(Unreadable) as caught:
            read(raw, 0)
        assert caught.value.fault is fault

    bounded(decode)


@pytest.mark.parametrize("value", [0, -1, 1, 63, 64, -64, -65, 2**31 - 1, -(2**31), 2**63 - 1, -(2**63)])
def test_numbers_up_to_their_limits_are_read(value: int) -> None:
    assert reader_of("long")(number(value), 0) == ((value,), len(number(value)))


def nested(levels: int) -> dict[str, Any]:
    inside: Any = "int"
    for level in range(levels):
        inside = {"type": "record", "name": f"R{level}", "fields": [{"name": "f", "type": inside}]}
    return {"type": "record", "name": "Top", "fields": [{"name": "f", "type": inside}]}


def doubling(levels: int) -> dict[str, Any]:
    """Return a small schema whose value has 2 to the power of *levels* fields."""
    types: list[dict[str, Any]] = [{"name": "f0", "type": {"type": "record", "name": "R0", "fields": []}}]
    for level in range(1, levels):
        both = [{"name": "a", "type": f"R{level - 1}"}, {"name": "b", "type": f"R{level - 1}"}]
        types.append({"name": f"f{level}", "type": {"type": "record", "name": f"R{level}", "fields": both}})
    return {"type": "record", "name": "Top", "fields": types}


EMPTY = {"type": "record", "name": "Empty", "fields": []}


@pytest.mark.parametrize(
    ("schema", "why"),
    [
        pytest.param(
            {"type": "record", "name": "R", "fields": [{"name": "next", "type": ["null", "R"]}]},
            "recursive",
            id="B1: a list of itself",
        ),
        pytest.param(
            {
                "type": "record",
                "name": "n.A",
                "fields": [
                    {
                        "name": "b",
                        "type": {
                            "type": "record",
                            "name": "B",
                            "fields": [{"name": "a", "type": {"type": "array", "items": "n.A"}}],
                        },
                    }
                ],
            },
            "recursive",
            id="B1: by way of another record",
        ),
        pytest.param({"type": "array", "items": "null"}, "no bytes", id="array of null"),
        pytest.param({"type": "array", "items": EMPTY}, "no bytes", id="array of empty records"),
        pytest.param({"type": "array", "items": {"type": "fixed", "name": "F", "size": 0}}, "no bytes", id="fixed(0)"),
        pytest.param({"type": "map", "values": "null"}, "no bytes", id="map of null"),
        pytest.param(
            {
                "type": "array",
                "items": {
                    "type": "record",
                    "name": "R",
                    "fields": [{"name": "a", "type": "null"}, {"name": "b", "type": EMPTY}],
                },
            },
            "no bytes",
            id="array of records of nothing",
        ),
        pytest.param(nested(5_000), "too deep", id="nested 5,000 deep"),
        pytest.param(doubling(15), "too many parts", id="doubling 15 times"),
        pytest.param(
            {"type": "record", "name": "R", "fields": [{"name": f"f{i}", "type": "int"} for i in range(1_001)]},
            "too many parts",
            id="1,001 fields",
        ),
        pytest.param(
            {"type": "array", "items": {"type": "array", "items": {"type": "map", "values": "int"}}},
            "nested too deep",
            id="collections three deep",
        ),
        pytest.param([["null", "int"]], "union", id="union in a union"),
        pytest.param([], "union", id="union of nothing"),
        pytest.param(["int", "null", "int"], "branch twice", id="union with the same branch twice"),
        pytest.param(
            ["null", *({"type": "array", "items": kind} for kind in ("int", "string"))],
            "branch twice",
            id="union of two arrays",
        ),
        pytest.param({"type": "fixed", "name": "F", "size": True}, "size", id="fixed without a number"),
        pytest.param({"type": "fixed", "name": "F", "size": -1}, "size", id="fixed(-1)"),
        pytest.param({"type": "enum", "name": "E", "symbols": ["a", "a"]}, "twice", id="a symbol twice"),
        pytest.param({"type": "enum", "name": "E", "symbols": []}, "symbols", id="no symbol"),
        pytest.param(
            {"type": "record", "name": "R", "fields": [{"name": "f", "type": "int"}] * 2}, "twice", id="a field twice"
        ),
        pytest.param({"type": "record", "name": "int", "fields": []}, "twice", id="a record named int"),
        pytest.param({"type": "record", "name": "R\n", "fields": []}, "identifier", id="a name with a line feed"),
        pytest.param({"type": "record", "name": 7, "fields": []}, "no text", id="a name that is a number"),
        pytest.param({"type": "record", "name": "R", "fields": 7}, "list of fields", id="fields that are a number"),
        pytest.param("Nowhere", "definition", id="an unknown name"),
        pytest.param({"type": "object"}, "definition", id="a JSON Schema"),
        pytest.param(7, "neither", id="a number"),
        pytest.param(None, "neither", id="nothing"),
    ],
)
def test_schemas_that_cannot_be_read_within_bounds_are_refused(schema: object, why: str) -> None:
    def ask() -> None:
        with pytest.raises(RefusedSchema, match=why):
            admit(schema)

    bounded(ask)


JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.sampled_from(["null", "int", "string", "record", "enum", "R", "n.R"]),
    lambda inner: st.one_of(
        st.lists(inner, max_size=3),
        st.fixed_dictionaries(
            {},
            optional={
                "type": st.sampled_from(["record", "enum", "fixed", "array", "map"]) | inner,
                "name": st.sampled_from(["R", "n.R", "", "a b", 7]),
                "namespace": st.sampled_from(["n", "", None, "n..m"]),
                "fields": st.lists(inner, max_size=3) | inner,
                "symbols": st.lists(st.sampled_from("abc"), max_size=3) | inner,
                "size": inner,
                "items": inner,
                "values": inner,
            },
        ),
    ),
    max_leaves=15,
)


@given(JSON)
def test_any_json_is_a_schema_or_refused(schema: object) -> None:
    try:
        kind = admit(schema)
    except RefusedSchema:
        return
    Resolver({}).reader(kind, kind)


def test_a_type_may_be_used_in_two_places() -> None:
    use = {"type": "record", "name": "n.P", "fields": [{"name": "x", "type": "int"}]}
    schema = {"type": "record", "name": "n.R", "fields": [{"name": "a", "type": use}, {"name": "b", "type": "P"}]}
    kind = admit(schema)
    assert Resolver({}).reader(kind, kind)(number(1) + number(2), 0) == (((1,), (2,)), 2)


def test_skipped_fields_are_held_to_the_same_bounds() -> None:
    ours = admit({"type": "record", "name": "R", "fields": [{"name": "b", "type": "int"}]})
    theirs = admit(
        {
            "type": "record",
            "name": "R",
            "fields": [{"name": "a", "type": {"type": "array", "items": "string"}}, {"name": "b", "type": "int"}],
        }
    )
    read = Resolver({}).reader(theirs, ours)
    assert read(blocks(text("x")) + number(7), 0)[0] == (7,)
    with pytest.raises(Unreadable, match="in a"):
        read(number(200_000_000) + number(7), 0)


def test_a_full_record_at_every_cap_is_read_within_memory() -> None:
    attachment = Attachment("f", "text/plain", content=b"x" * 5_000)
    whole = Message(Head("m-1", "Email"), "a", cc=("b",) * 1_000, attachments=(attachment,) * 100)
    value = OUTBOUND.encode_message(whole)
    bounded(lambda: OUTBOUND.decode_message(value))


def test_a_defect_of_ours_is_not_taken_for_a_bad_record() -> None:
    def broken(*values: Any) -> object:
        raise ZeroDivisionError

    read = record([], [None], broken)
    with pytest.raises(ZeroDivisionError):
        read(b"", 0)
