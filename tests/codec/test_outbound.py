"""OutboundMessage in both framings, there and back."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from processor.codec.assembly import open_codecs
from processor.codec.errors import Fault, TooLarge, Unreadable
from processor.core.events import DeliveryEvent
from processor.core.message import Head, Message
from tests.codec import strategies, wire

OUTBOUND = open_codecs().outbound
MESSAGE = Message(Head("m-1", "Email"), "a@example.org", text="Your code is 123456.")


@given(strategies.messages)
def test_messages_come_back_as_they_went(message: Message) -> None:
    value = OUTBOUND.encode_message(message)
    assert OUTBOUND.decode_message(value) == message
    assert OUTBOUND.decode_head(value) == message.head


def test_the_head_is_read_without_a_look_at_the_content() -> None:
    value = OUTBOUND.encode_message(MESSAGE)[:10] + wire.HEAD
    assert OUTBOUND.decode_head(value + b"\xff\xff") == Head("m-1", "Email")
    with pytest.raises(Unreadable):
        OUTBOUND.decode_message(value + b"\xff\xff")


@pytest.mark.parametrize(
    ("value", "fault"),
    [
        (None, Fault.NO_VALUE),
        (b"", Fault.NO_VALUE),
        (b"\x00", Fault.FRAMING),
        (b"\x00\x00\x00\x01", Fault.FRAMING),
        (b"\xc3\x01\x00", Fault.FRAMING),
        (b"\xc3\x02" + bytes(20), Fault.FRAMING),
        (b"Obj\x01" + bytes(20), Fault.FRAMING),
        (b'{"message_id": "m-1"}', Fault.FRAMING),
        (b"\xc3\x01" + bytes(20), Fault.UNKNOWN_SCHEMA),
        (b"\x00\x00\x00\x00\x07" + wire.HEAD, Fault.UNKNOWN_SCHEMA),  # no registry is set
    ],
)
def test_values_of_no_known_schema_are_unreadable(value: bytes | None, fault: Fault) -> None:
    for decode in (OUTBOUND.decode_head, OUTBOUND.decode_message):
        with pytest.raises(Unreadable) as caught:
            decode(value)
        assert caught.value.fault is fault


@given(strategies.deliveries)
def test_an_event_is_no_message(event: DeliveryEvent) -> None:
    with pytest.raises(Unreadable, match="refused"):
        OUTBOUND.decode_head(open_codecs().events.encode_delivery(event))


def test_a_value_above_the_limit_is_not_looked_into() -> None:
    small = open_codecs(message_bytes_max=100).outbound
    with pytest.raises(TooLarge, match="101 bytes, of 100 allowed"):
        small.decode_head(b"\xff" * 101)
    with pytest.raises(Unreadable):
        small.decode_head(b"\xff" * 100)


def test_a_lone_surrogate_is_not_written() -> None:
    with pytest.raises(ValueError, match="surrogates"):
        OUTBOUND.encode_message(Message(Head("m-1", "Email"), "\ud800"))


@given(strategies.messages, st.data())
def test_damaged_bytes_are_unreadable_or_another_message(message: Message, data: st.DataObject) -> None:
    value = bytearray(OUTBOUND.encode_message(message))
    for _ in range(data.draw(st.integers(1, 4))):
        at = data.draw(st.integers(10, len(value) - 1))
        patch = data.draw(st.binary(max_size=3))
        value[at : at + data.draw(st.integers(0, 3))] = patch
        if len(value) < 11:
            break
    try:
        read = OUTBOUND.decode_message(bytes(value))
    except Unreadable:
        return
    assert OUTBOUND.decode_message(OUTBOUND.encode_message(read)) == read
    assert OUTBOUND.decode_head(bytes(value)) == read.head


@given(st.binary(max_size=300))
def test_any_bytes_are_unreadable_or_a_message(raw: bytes) -> None:
    try:
        read = OUTBOUND.decode_message(OUTBOUND.encode_message(MESSAGE)[:10] + raw)
    except Unreadable:
        return
    assert OUTBOUND.decode_message(OUTBOUND.encode_message(read)) == read


def test_no_fault_shows_content() -> None:
    value = bytearray(OUTBOUND.encode_message(MESSAGE))
    faults = set()
    for at in range(10, len(value)):
        damaged = bytes(value[:at]) + b"\xfe" + bytes(value[at + 1 :])
        with pytest.raises(Unreadable) as caught:
            OUTBOUND.decode_message(damaged)
        faults.add(repr(caught.value) + str(caught.value))
    assert len(faults) > 5
    assert not any("123456" in fault or "example" in fault for fault in faults)
