"""Our readers and fastavro: the same values wherever the bytes are valid, also across schemas."""

import json
from io import BytesIO
from pathlib import Path
from typing import Any

import fastavro
import pytest
from hypothesis import given
from hypothesis import strategies as st

from processor.codec.errors import RefusedSchema, Unreadable
from processor.codec.outbound import compiled
from processor.codec.resolve import Resolver
from processor.codec.schema import Record, admit
from processor.core.message import Head, Message
from tests.codec import strategies
from tests.codec.wire import blocks, number, text

OURS = json.loads((Path(__file__).parents[2] / "schemas" / "OutboundMessage" / "v1.avsc").read_text())
JSON = Any


def named(kind: str, names: st.SearchStrategy[str], **parts: JSON) -> st.SearchStrategy[JSON]:
    return st.fixed_dictionaries({"type": st.just(kind), "name": names, **parts})


names = st.uuids().map(lambda uuid: f"N{uuid.hex}")
symbols = st.lists(st.sampled_from("abcdef"), min_size=1, max_size=4, unique=True)
leaves = st.sampled_from(["boolean", "int", "long", "double", "bytes", "string"]) | named(
    "enum", names, symbols=symbols
)


def fields_of(kinds: st.SearchStrategy[JSON]) -> st.SearchStrategy[list[JSON]]:
    listed = st.lists(kinds, min_size=1, max_size=3)
    return listed.map(lambda types: [{"name": f"f{i}", "type": each} for i, each in enumerate(types)])


record_kinds = named("record", names, fields=fields_of(leaves | leaves.map(lambda kind: ["null", kind])))
kinds = st.one_of(
    leaves,
    leaves.map(lambda kind: ["null", kind]),
    record_kinds,
    leaves.map(lambda kind: {"type": "map", "values": kind}),
    record_kinds.map(lambda kind: {"type": "array", "items": kind}),
)
schemas = named("record", names, fields=fields_of(kinds))


def values_of(schema: JSON) -> st.SearchStrategy[JSON]:
    match schema:
        case list():
            return st.one_of([values_of(each) for each in schema])
        case {"type": "record", "fields": parts}:
            return st.fixed_dictionaries({each["name"]: values_of(each["type"]) for each in parts})
        case {"type": "enum", "symbols": listed}:
            return st.sampled_from(listed)
        case {"type": "array", "items": items}:
            return st.lists(values_of(items), max_size=3)
        case {"type": "map", "values": values}:
            return st.dictionaries(strategies.texts, values_of(values), max_size=3)
        case _:
            return PLAIN[schema]


PLAIN: dict[str, st.SearchStrategy[JSON]] = {
    "null": st.none(),
    "boolean": st.booleans(),
    "int": strategies.ints,
    "long": strategies.longs,
    "double": st.floats(allow_nan=False),
    "bytes": st.binary(max_size=50),
    "string": strategies.texts,
}


def as_we_say(value: JSON) -> JSON:
    """Return fastavro's value with records and arrays as tuples; maps and records look alike, so all become pairs."""
    match value:
        case dict():
            return tuple(as_we_say(each) for each in value.values())
        case list() | tuple():
            return tuple(as_we_say(each) for each in value)
        case _:
            return value


def written(schema: JSON, value: JSON) -> bytes:
    out = BytesIO()
    fastavro.schemaless_writer(out, fastavro.parse_schema(json.loads(json.dumps(schema))), value)
    return out.getvalue()


def read_by_fastavro(raw: bytes, writer: JSON, reader: JSON = None) -> JSON:
    source = BytesIO(raw)
    value = fastavro.schemaless_reader(
        source, json.loads(json.dumps(writer)), reader and json.loads(json.dumps(reader))
    )
    assert source.tell() == len(raw)
    return value


@given(st.data())
def test_any_record_is_read_as_fastavro_reads_it(data: st.DataObject) -> None:
    schema = data.draw(schemas)
    raw = written(schema, data.draw(values_of(schema)))
    kind = admit(schema)

    assert isinstance(kind, Record)

    value, end = Resolver({}).record(kind, kind)(raw, 0)

    assert end == len(raw)
    assert as_we_say(value) == as_we_say(read_by_fastavro(raw, schema))


@given(st.data())
def test_whatever_we_read_of_damaged_bytes_fastavro_reads_too(data: st.DataObject) -> None:
    schema = data.draw(schemas)
    raw = bytearray(written(schema, data.draw(values_of(schema))))
    at = data.draw(st.integers(0, len(raw) - 1))
    raw[at] = data.draw(st.integers(0, 255))
    kind = admit(schema)
    assert isinstance(kind, Record)
    try:
        value, end = Resolver({}).record(kind, kind)(bytes(raw), 0)
    except Unreadable:
        return
    theirs = as_we_say(read_by_fastavro(bytes(raw[:end]), schema))
    assert repr(as_we_say(value)) == repr(theirs)  # a damaged double may be NaN, which equals nothing


@pytest.mark.parametrize("sized", [False, True])
@given(st.lists(strategies.texts, max_size=7))
def test_blocks_are_read_as_fastavro_reads_them(sized: bool, items: list[str]) -> None:
    schema = {"type": "record", "name": "R", "fields": [{"name": "f", "type": {"type": "array", "items": "string"}}]}
    raw = blocks(*map(text, items), sized=sized)
    kind = admit(schema)
    assert Resolver({}).reader(kind, kind)(raw, 0) == ((tuple(items),), len(raw))
    assert read_by_fastavro(raw, schema) == {"f": items}


def another_writer(*, order: list[int]) -> JSON:
    """Return our schema as another team may write it: reordered, extended, narrower, without what it never sets."""
    parts = {each["name"]: dict(each) for each in OURS["fields"]}
    for name in ("cc", "external_id", "purpose", "priority"):
        del parts[name]
    parts["start_at"]["type"] = "int"  # promoted to long, of a union
    parts["to"]["type"] = "bytes"  # promoted to string
    parts["html"]["type"] = ["string", "null"]
    parts["trace"] = {
        "name": "trace",
        "type": ["null", {"type": "map", "values": {"type": "array", "items": "double"}}],
    }
    parts["lists"] = {
        "name": "lists",
        "type": {"type": "record", "name": "Lists", "fields": [{"name": "x", "type": "float"}]},
    }
    listed = list(parts.values())
    for each in listed:
        each.pop("default", None)
    return {**OURS, "fields": [listed[i % len(listed)] for i in order]}


def of_another_writer(message: Message) -> JSON:
    head = message.head
    return {
        "message_id": head.message_id,
        "channel": head.channel,
        "provider": head.provider,
        "start_at": 7,
        "end_at": head.end_at_ms,
        "interval_min": head.interval_min_ms,
        "interval_max": head.interval_max_ms,
        "time_zone": head.time_zone,
        "retry_max_attempts": head.retry_max_attempts,
        "retry_interval": head.retry_interval_s,
        "campaign_id": head.campaign_id,
        "message_status": head.message_status,
        "retry_attempt": head.retry_attempt,
        "last_attempt": None,
        "to": message.to.encode(),
        "bcc": list(message.bcc),
        "subject": message.subject,
        "text": message.text,
        "html": message.html,
        "attachments": [],
        "provider_params": message.provider_params,
        "properties": message.properties,
        "trace": {"a": [1.5, 2.5]},
        "lists": {"x": 0.5},
    }


@given(strategies.messages, st.permutations(range(24)))
def test_a_writer_with_other_fields_in_another_order_is_read_as_fastavro_resolves_it(
    message: Message, order: list[int]
) -> None:
    schema = another_writer(order=order)
    raw = written(schema, of_another_writer(message))
    record = admit(schema)
    assert isinstance(record, Record)
    read_head, read_message = compiled(record)

    ours, end = read_message(raw, 0)

    assert end == len(raw)
    assert read_head(raw, 0)[0] == ours.head
    theirs = read_by_fastavro(raw, plain(schema), plain(OURS))
    assert ours.head == Head(
        message_id=theirs["message_id"],
        channel=theirs["channel"],
        provider=theirs["provider"],
        priority=theirs["priority"],
        start_at_ms=theirs["start_at"],
        end_at_ms=theirs["end_at"],
        interval_min_ms=theirs["interval_min"],
        interval_max_ms=theirs["interval_max"],
        time_zone=theirs["time_zone"],
        retry_max_attempts=theirs["retry_max_attempts"],
        retry_interval_s=theirs["retry_interval"],
        campaign_id=theirs["campaign_id"],
        purpose=theirs["purpose"],
        external_id=theirs["external_id"],
        message_status=theirs["message_status"],
        retry_attempt=theirs["retry_attempt"],
        last_attempt_ms=theirs["last_attempt"],
    )
    assert (ours.to, ours.cc, ours.html) == (theirs["to"], tuple(theirs["cc"]), theirs["html"])
    assert (ours.provider_params, ours.properties) == (theirs["provider_params"], theirs["properties"])


def plain(schema: JSON) -> JSON:
    """Return *schema* without logical types."""
    match schema:
        case dict():
            return {key: plain(each) for key, each in schema.items() if key != "logicalType"}
        case list():
            return [plain(each) for each in schema]
        case _:
            return schema


def altered(name: str, **parts: JSON) -> JSON:
    return {**OURS, "fields": [each | parts if each["name"] == name else each for each in OURS["fields"]]}


@pytest.mark.parametrize(
    "schema",
    [
        {**OURS, "name": "OtherMessage"},
        {**OURS, "namespace": "elsewhere"},
        {**OURS, "fields": OURS["fields"][1:]},  # no message_id
        altered("to", type="long"),
        altered("priority", type="long"),
        altered("priority", type=["null", "string"]),
        altered("cc", type="string"),
        altered("purpose", type={"type": "enum", "name": "Other", "symbols": ["otp"]}),
        altered(
            "attachments",
            type={"type": "array", "items": {"type": "record", "name": "Attachment", "fields": OURS["fields"][:1]}},
        ),
    ],
)
def test_a_writer_that_cannot_be_read_as_ours_is_refused(schema: JSON) -> None:
    record = admit(schema)
    assert isinstance(record, Record)
    with pytest.raises(RefusedSchema):
        compiled(record)


def test_what_another_writer_may_say_and_we_cannot_is_unreadable_only_when_said() -> None:
    purpose = {"type": "enum", "name": "Purpose", "symbols": ["newsletter", "otp"]}
    schema = {
        "type": "record",
        "name": "comm.OutboundMessage",
        "fields": [
            {"name": "message_id", "type": ["null", "string"]},
            {"name": "purpose", "type": purpose},
            {"name": "channel", "type": "string"},
            {"name": "to", "type": "string"},
        ],
    }
    record = admit(schema)
    assert isinstance(record, Record)
    read, _ = compiled(record)
    assert read(number(1) + text("m") + number(1) + text("Email"), 0)[0].message_id == "m"
    with pytest.raises(Unreadable, match=r"branch .* in message_id"):
        read(number(0) + number(1) + text("Email"), 0)
    with pytest.raises(Unreadable, match=r"symbol .* in purpose"):
        read(number(1) + text("m") + number(0) + text("Email"), 0)
