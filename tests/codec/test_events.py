"""Events and dead letters, there and back."""

import json
from io import BytesIO
from pathlib import Path

import fastavro
import pytest
from hypothesis import given
from hypothesis import strategies as st

from processor.codec.assembly import open_codecs
from processor.codec.contracts import latest
from processor.codec.errors import Fault, Unreadable
from processor.codec.events import Event
from processor.codec.write import writer
from processor.core.events import DeadLetter, DeliveryEvent, RetryEvent
from processor.core.message import Message
from tests.codec import strategies

CODECS = open_codecs()
SCHEMAS = Path(__file__).parents[2] / "schemas"


def encoded(event: Event) -> bytes:
    match event:
        case DeliveryEvent():
            return CODECS.events.encode_delivery(event)
        case RetryEvent():
            return CODECS.events.encode_retry(event)
        case DeadLetter():
            return CODECS.events.encode_dead_letter(event)


@given(strategies.deliveries | strategies.retries | strategies.dead_letters)
def test_events_come_back_as_they_went(event: Event) -> None:
    assert CODECS.events.decode_event(encoded(event)) == event


@given(strategies.deliveries)
def test_another_library_reads_our_events(event: DeliveryEvent) -> None:
    schema = json.loads((SCHEMAS / "DeliveryEvent" / "v1.avsc").read_text())
    record = fastavro.schemaless_reader(BytesIO(encoded(event)[10:]), schema, None, handle_unicode_errors="strict")
    assert isinstance(record, dict)
    assert record["status"] == event.status.value
    assert record["provider_message_id"] == event.provider_message_id


@given(strategies.messages)
def test_a_message_is_no_event(message: Message) -> None:
    with pytest.raises(Unreadable, match="refused"):
        CODECS.events.decode_event(CODECS.outbound.encode_message(message))


@given(strategies.dead_letters, st.binary(min_size=1, max_size=9))
def test_bytes_after_an_event_make_it_unreadable(letter: DeadLetter, more: bytes) -> None:
    with pytest.raises(Unreadable, match="after the end"):
        CODECS.events.decode_event(encoded(letter) + more)


@given(strategies.retries)
def test_a_word_of_a_newer_release_is_named_as_such(event: RetryEvent) -> None:
    contract = latest("RetryEvent")
    record = fastavro.schemaless_reader(BytesIO(encoded(event)[10:]), contract.parsed, None)
    assert isinstance(record, dict)
    newer = writer(contract, encoded(event)[:10])({**record, "reason": "a_newer_reason"})
    with pytest.raises(Unreadable) as caught:
        CODECS.events.decode_event(newer)
    assert caught.value.fault is Fault.VALUE
