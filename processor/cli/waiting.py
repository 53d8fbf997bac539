"""Where a message without a result waits: which topic, until when, and whether its call has begun."""

from collections.abc import Mapping
from dataclasses import dataclass

from confluent_kafka import Message

from processor.cli.scan import BEGINNING, Scan
from processor.codec.errors import RegistryUnavailable, TooLarge, Unreadable
from processor.codec.facts import FACTS_HEADER, decode_facts
from processor.codec.outbound import OutboundCodec
from processor.kafka.committed import Committed, Place
from processor.kafka.connection import Connection
from processor.kafka.journal import JournalUnreadable, decode
from processor.kafka.offsets import Offsets, group_of
from processor.kafka.topics import Names
from processor.stages.record import record_of


@dataclass(frozen=True, slots=True)
class WaitingAt:
    """One place where a message waits."""

    place: Place
    offset: int
    state: str  # not judged yet, delayed, to be sent, started, held
    due_at_ms: int | None
    attempts: int


@dataclass(frozen=True, slots=True)
class Waiting:
    """Where a message waits; *whole*: every topic was looked through. *unknown*: why that cannot be told now."""

    places: tuple[WaitingAt, ...]
    whole: bool
    unknown: str | None = None


def find_waiting(
    connection: Connection,
    counts: Mapping[str, int],
    names: Names,
    codec: OutboundCodec,
    message_id: str,
    *,
    within_s: float,
) -> Waiting:
    """
    Look for *message_id* behind the committed offset of each partition; what lies before it is done.

    *counts*: the partitions of every topic. Raises `TimeoutError` where an offset is not stable, and `KafkaException`.
    """
    places = [(topic, each) for topic, count in counts.items() if group_of(topic, names) for each in range(count)]
    committed = Offsets(connection, names).committed(places, within_s=within_s)
    starts = {place: commit.offset if commit else BEGINNING for place, commit in committed.items()}
    found = []
    with Scan(connection, starts) as scan:
        for message in scan.records(within_s=within_s):
            if _is_of(message, message_id, names, codec):
                at = _at(message, names, committed)
                if at is not None:
                    found.append(at)
        return Waiting(tuple(found), scan.whole)


def _is_of(message: Message, message_id: str, names: Names, codec: OutboundCodec) -> bool:
    """Tell whether a record is of a message; on inbound topics its value says so, whatever its key is."""
    value, wanted = message.value() or b"", message_id.encode()
    if message.topic() not in {names.outbound, names.express}:
        return message.key() == wanted
    if wanted not in value:  # decoding all that waits would take long
        return False
    try:
        return codec.decode_head(value).message_id == message_id
    except (Unreadable, TooLarge, RegistryUnavailable):
        return message.key() == wanted


def _at(message: Message, names: Names, committed: Mapping[Place, Committed | None]) -> WaitingAt | None:
    record = record_of(message, FACTS_HEADER)
    topic, offset = record.place[0], record.offset
    if topic in {names.outbound, names.express}:
        return WaitingAt(record.place, offset, "not judged yet", None, 0)
    try:
        facts = decode_facts(record.header)
    except Unreadable:
        return None  # not one of ours; its stage dead-letters it
    state = _sending(committed[record.place], offset) if topic.startswith(f"{names.prefix}.send.") else "delayed"
    return WaitingAt(record.place, offset, state, facts.due_at_ms, facts.attempt) if state else None


def _sending(commit: Committed | None, offset: int) -> str | None:
    """Return what the journal says of a record; None where it has its result."""
    if commit is None or commit.fresh:
        return "to be sent"
    try:
        entry = decode(commit.offset, commit.metadata)
    except JournalUnreadable:
        return "held"
    if offset in entry.finished:
        return None
    return "started" if offset in entry.started else "to be sent"
