"""Events and dead letters, there and back."""

from io import BytesIO
from typing import Any

import fastavro
import pytest
from hypothesis import given
from hypothesis import strategies as st

from processor.codec.assembly import open_codecs
from processor.codec.contracts import latest
from processor.codec.errors import Fault, Unreadable
from processor.codec.events import Event
from processor.codec.write import writer
from processor.core.events import Control, DeadLetter, DeliveryEvent, EngagementEvent, Receipt, RetryEvent
from processor.core.message import Message
from processor.core.words import Lane, Reason
from tests.codec import strategies

CODECS = open_codecs()
RETRY = RetryEvent("e", "m", None, 1, 1, 0, "Email", "p", None, Lane.BULK, Reason.PROVIDER_DEFERRED, 5)


def encoded(event: Event) -> bytes:
    match event:
        case DeliveryEvent():
            return CODECS.events.encode_delivery(event)
        case RetryEvent():
            return CODECS.events.encode_retry(event)
        case DeadLetter():
            return CODECS.events.encode_dead_letter(event)
        case Receipt():
            return CODECS.events.encode_receipt(event)
        case EngagementEvent():
            return CODECS.events.encode_engagement(event)
        case Control():
            return CODECS.events.encode_control(event)


EVENTS = (
    strategies.deliveries
    | strategies.retries
    | strategies.dead_letters
    | strategies.receipts
    | strategies.engagements
    | strategies.controls
)


@given(EVENTS)
def test_events_come_back_as_they_went(event: Event) -> None:
    assert CODECS.events.decode_event(encoded(event)) == event


def as_another_library_says(event: Event) -> dict[str, Any]:
    """Return a record with our names: units end them, and the origin is one field."""
    contract = latest(type(event).__name__)
    source = BytesIO(encoded(event)[10:])
    record = fastavro.schemaless_reader(source, contract.parsed, None, handle_unicode_errors="strict")
    assert source.read() == b""
    assert isinstance(record, dict)
    named = {OURS.get(str(name), str(name)): value for name, value in record.items()}
    for name in named.keys() & {"recipients_refused", "id_keys", "part_ids"}:
        named[name] = tuple(named[name])
    if isinstance(event, DeadLetter):
        named["origin"] = tuple(named.pop(f"origin_{part}") for part in event.origin._fields)
    return named


OURS = {"occurred_at": "occurred_at_ms", "next_attempt_at": "next_attempt_at_ms"} | {
    "origin_timestamp": "origin_timestamp_ms",
    "received_at": "received_at_ms",
    "value_size": "value_size_bytes",
    "until": "until_ms",
    "set_at": "set_at_ms",
}


@given(EVENTS)
def test_another_library_reads_every_field_of_our_events(event: Event) -> None:
    assert as_another_library_says(event) == event._asdict()


@pytest.mark.parametrize("number", [2**31, -(2**31) - 1, 2**63, -(2**63) - 1])
def test_a_number_that_its_field_cannot_hold_is_not_written(number: int) -> None:
    with pytest.raises(OverflowError):
        encoded(RETRY._replace(charged=number))


@pytest.mark.parametrize("number", [2**63, -(2**63) - 1])
def test_an_instant_of_more_than_64_bits_is_not_written(number: int) -> None:
    with pytest.raises(OverflowError):
        encoded(RETRY._replace(occurred_at_ms=number))


def test_text_that_is_not_unicode_is_not_written() -> None:
    with pytest.raises(ValueError, match="surrogates"):
        encoded(RETRY._replace(channel="\ud800"))


@pytest.mark.parametrize("name", ["message_id", "channel", "attempt"])
def test_null_is_not_written_where_the_schema_has_none(name: str) -> None:
    nulls: dict[str, Any] = {name: None}
    with pytest.raises((AttributeError, TypeError)):
        encoded(RETRY._replace(**nulls))


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
