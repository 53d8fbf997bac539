"""Avro records, their framing, and the schemas that others wrote them with."""

from __future__ import annotations

from io import BytesIO
from typing import TYPE_CHECKING, Any

import fastavro
import orjson

from bench.codec import DELIVERY, MESSAGE, RETRY
from fuzz.target import Target, must
from processor.codec.assembly import open_codecs
from processor.codec.contracts import TOPICS, latest
from processor.codec.errors import RefusedSchema, TooLarge, Unreadable
from processor.codec.framing import SINGLE_OBJECT_SIZE_BYTES
from processor.codec.outbound import compiled
from processor.codec.schema import Record, admit
from processor.core.message import Head

if TYPE_CHECKING:
    from processor.codec.contracts import Contract

CODECS = open_codecs()
OUTBOUND = latest("OutboundMessage")
PREFIX = CODECS.outbound.encode_message(MESSAGE)[:SINGLE_OBJECT_SIZE_BYTES]
EVENTS = [latest(name) for name in TOPICS if name != "OutboundMessage"]


def read_by_fastavro(contract: Contract, raw: bytes) -> Any:
    """Return what another library reads, to the last byte; only bytes that ours has accepted, for it can be killed."""
    source = BytesIO(raw)
    value = fastavro.schemaless_reader(source, contract.parsed, None)
    must(source.tell() == len(raw), "both readers end at the last byte")
    return value


def written_by_fastavro(contract: Contract, value: Any) -> bytes:
    out = BytesIO()
    fastavro.schemaless_writer(out, contract.parsed, value)
    return out.getvalue()


def outbound(data: bytes) -> None:
    """Read a whole message and its head, written with our own schema."""
    value = PREFIX + data
    try:
        message = CODECS.outbound.decode_message(value)
    except (Unreadable, TooLarge):
        return
    must(CODECS.outbound.decode_head(value) == message.head, "a head is read alike alone and with its message")
    must(CODECS.outbound.decode_message(CODECS.outbound.encode_message(message)) == message, "what is read can be said")
    theirs = written_by_fastavro(OUTBOUND, read_by_fastavro(OUTBOUND, data))
    must(CODECS.outbound.decode_message(PREFIX + theirs) == message, "fastavro reads the same values")


def head(data: bytes) -> None:
    """Read routing fields alone, whatever comes after them."""
    try:
        found = CODECS.outbound.decode_head(PREFIX + data)
    except (Unreadable, TooLarge):
        return
    again = MESSAGE._replace(head=found)
    must(CODECS.outbound.decode_head(CODECS.outbound.encode_message(again)) == found, "what is read can be said")


def event(data: bytes) -> None:
    """Read an event; the first byte says of which contract."""
    if not data:
        return
    contract = EVENTS[data[0] % len(EVENTS)]
    raw = data[1:]
    try:
        found = CODECS.events.decode_event(prefix_of(contract) + raw)
    except Unreadable:
        return
    theirs = written_by_fastavro(contract, read_by_fastavro(contract, raw))
    must(CODECS.events.decode_event(prefix_of(contract) + theirs) == found, "fastavro reads the same values")


def prefix_of(contract: Contract) -> bytes:
    return b"\xc3\x01" + contract.fingerprint


def framed(data: bytes) -> None:
    """Read a record of which not even the framing is right."""
    for read in (CODECS.outbound.decode_message, CODECS.outbound.decode_head, CODECS.events.decode_event):
        try:
            read(data)
        except (Unreadable, TooLarge):
            continue


def schema(data: bytes) -> None:
    """Take a schema from a registry, and read what it is said to have written: JSON, an empty line, a record."""
    text, _, raw = data.partition(b"\n\n")
    try:
        written = orjson.loads(text)
    except orjson.JSONDecodeError:
        return
    try:
        kind = admit(written)
        if not isinstance(kind, Record):
            return
        read_head, read_message = compiled(kind)
    except RefusedSchema:
        return
    try:
        message, end = read_message(raw, 0)
        found, _ = read_head(raw, 0)
    except Unreadable:
        return
    must(end <= len(raw), "nothing is read beyond the end")
    must(isinstance(found, Head) and message.head == found, "a head is read alike alone and with its message")


def outbound_bytes() -> bytes:
    return CODECS.outbound.encode_message(MESSAGE)[SINGLE_OBJECT_SIZE_BYTES:]


def event_bytes(number: int, framed_value: bytes) -> bytes:
    return bytes((number,)) + framed_value[SINGLE_OBJECT_SIZE_BYTES:]


NAMES = [contract.name for contract in EVENTS]
SMALL = MESSAGE._replace(head=Head("m", "c"), to="t", cc=(), bcc=(), subject=None, text=None, html=None, properties={})
SEEDS = (outbound_bytes(), CODECS.outbound.encode_message(SMALL)[SINGLE_OBJECT_SIZE_BYTES:])

TARGETS = {
    "outbound": Target(outbound, SEEDS),
    "head": Target(head, SEEDS),
    "event": Target(
        event,
        (
            event_bytes(NAMES.index("DeliveryEvent"), CODECS.events.encode_delivery(DELIVERY)),
            event_bytes(NAMES.index("RetryEvent"), CODECS.events.encode_retry(RETRY)),
        ),
    ),
    "framed": Target(framed, (PREFIX + SEEDS[1], b"\0\0\0\0\7" + SEEDS[1], CODECS.events.encode_delivery(DELIVERY))),
    "schema": Target(schema, (OUTBOUND.text.encode() + b"\n\n" + SEEDS[1],)),
}
