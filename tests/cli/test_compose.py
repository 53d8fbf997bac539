"""What a person or a file says becomes a message, or an error that names the field and not its content."""

from __future__ import annotations

from contextlib import suppress
from inspect import signature
from io import BytesIO
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from processor.cli.compose import CONTENT, HEAD, Wrong, message_of
from processor.cli.rows import Format, Lines, rows
from processor.codec.outbound import HEAD_FIELDS
from processor.core.message import Attachment, Head, Message
from processor.core.words import Purpose

NOW_MS = 1_700_000_000_000
LEAST = {"message_id": "m1", "channel": "Email", "to": "ana@example.com"}
CANARY = "canary-content-1618"


def told(**more: Any) -> str:
    with pytest.raises(Wrong) as caught:
        message_of(LEAST | more, now_ms=NOW_MS)
    return str(caught.value)


def test_every_field_of_a_message_can_be_given() -> None:
    assert len(HEAD) == HEAD_FIELDS
    assert {attribute for attribute, _ in HEAD.values()} == set(signature(Head).parameters)
    assert {"head", *CONTENT} == set(signature(Message).parameters)


def test_text_as_a_csv_has_it_becomes_what_json_says() -> None:
    text = {
        "priority": "7",
        "start_at": "2023-11-14T22:13:20Z",
        "end_at": "1700000100000",
        "interval": "08:00-24:00",
        "time_zone": "Europe/Bucharest",
        "retry_max_attempts": "2",
        "purpose": "otp",
        "cc": "b@example.com; c@example.com",
        "param.template": "welcome",
        "property.colour": "blue",
        "subject": "",
    }
    typed = {
        "priority": 7,
        "start_at": NOW_MS,
        "end_at": NOW_MS + 100_000,
        "interval_min": "08:00",
        "interval_max": 86_400_000,
        "time_zone": "Europe/Bucharest",
        "retry_max_attempts": 2,
        "purpose": "otp",
        "cc": ["b@example.com", "c@example.com"],
        "provider_params": {"template": "welcome"},
        "properties": {"colour": "blue"},
    }
    head = Head(
        "m1",
        "Email",
        priority=7,
        start_at_ms=NOW_MS,
        end_at_ms=NOW_MS + 100_000,
        interval_min_ms=8 * 3_600_000,
        interval_max_ms=86_400_000,
        time_zone="Europe/Bucharest",
        retry_max_attempts=2,
        purpose=Purpose.OTP,
    )
    wanted = Message(
        head,
        "ana@example.com",
        cc=("b@example.com", "c@example.com"),
        provider_params={"template": "welcome"},
        properties={"colour": "blue"},
    )

    assert message_of(LEAST | text, now_ms=NOW_MS) == wanted
    assert message_of(LEAST | typed, now_ms=NOW_MS) == wanted


def test_an_instant_is_cut_to_its_millisecond_as_kafka_cuts_the_time_of_a_record() -> None:
    # Rounded up, `audit --since` left out what was asked in the rest of that millisecond.
    row = LEAST | {"start_at": "2023-11-14T22:13:20.000999+00:00"}

    assert message_of(row, now_ms=0).head.start_at_ms == 1_700_000_000_000


@pytest.mark.parametrize(("text", "ahead_ms"), [("+5m", 300_000), ("+1h", 3_600_000), ("+2d", 172_800_000)])
def test_an_instant_may_be_counted_from_now(text: str, ahead_ms: int) -> None:
    assert message_of(LEAST | {"start_at": text}, now_ms=NOW_MS).head.start_at_ms == NOW_MS + ahead_ms


@pytest.mark.parametrize("text", ["2026", "2026-12-24", "2026-12-24T18:00:00", "tomorrow", "+5", "1700000000"])
def test_an_instant_without_zone_or_unit_is_no_instant(text: str) -> None:
    assert told(start_at=text) == (
        "start_at: write an instant with its zone, such as 2026-12-24T18:00:00Z, or +5m from now"
    )


def test_an_attachment_is_given_in_base64() -> None:
    given_ = [{"file_name": "a.txt", "content_type": "text/plain", "content": "aGVsbG8="}]

    made = message_of(LEAST | {"attachments": given_}, now_ms=NOW_MS)

    assert made.attachments == (Attachment("a.txt", "text/plain", b"hello"),)


@pytest.mark.parametrize(
    "wrong",
    [
        {"priority": CANARY},
        {"priority": 1.5},
        {"priority": True},
        {"start_at": CANARY},
        {"interval": CANARY},
        {"interval_min": "25:00"},
        {"interval_max": "24:01"},
        {"purpose": CANARY},
        {"purpose": ["otp"]},
        {"message_status": CANARY},
        {"cc": [CANARY, 1]},
        {"text": {"canary": CANARY}},
        {"properties": {"canary": 1}},
        {"properties": CANARY},
        {"attachments": CANARY},
        {"attachments": [{"file_name": CANARY}]},
        {"attachments": [{"file_name": "a", "content_type": "b", "content": CANARY}]},
        {"attachments": [{"file_name": "a", "content_type": "b", "path": CANARY}]},
        {CANARY: "x"},
        {"chanel": CANARY},
    ],
)
def test_an_error_tells_the_field_and_never_the_content(wrong: dict[str, Any]) -> None:
    text = told(**wrong)

    assert CANARY not in text
    assert "canary" not in text
    assert ": " in text


@pytest.mark.parametrize("name", LEAST)
def test_what_every_message_needs_is_missed_by_name(name: str) -> None:
    with pytest.raises(Wrong, match=f"^{name}: is missing$"):
        message_of({key: value for key, value in LEAST.items() if key != name}, now_ms=NOW_MS)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=5,
)


@given(st.dictionaries(st.sampled_from([*HEAD, *CONTENT, "interval", "param.x", "property.y"]), JSON))
def test_anything_at_all_is_a_message_or_wrong(row: dict[str, Any]) -> None:
    with suppress(Wrong):
        assert isinstance(message_of(LEAST | row, now_ms=NOW_MS), Message)


def read(raw: bytes, form: Format) -> list[tuple[int, Any]]:
    return [(number, str(row) if isinstance(row, Wrong) else row) for number, row in rows(Lines(BytesIO(raw)), form)]


def test_json_lines_keep_their_numbers() -> None:
    raw = b'\xef\xbb\xbf{"to": "a"}\n\n[1]\n{"to": \n\xff\n{"to": "b"}'
    wrong = "write one JSON object, in UTF-8"

    assert read(raw, Format.JSONL) == [(1, {"to": "a"}), (3, wrong), (4, wrong), (5, wrong), (6, {"to": "b"})]


def test_a_csv_cell_may_have_lines_of_its_own() -> None:
    raw = b'\xef\xbb\xbfto,text\r\na,"one\r\ntwo ""x"""\r\n\r\nb\r\nc,three\r\n'

    assert read(raw, Format.CSV) == [
        (3, {"to": "a", "text": 'one\r\ntwo "x"'}),
        (5, "write 2 cells, as the first line has"),
        (6, {"to": "c", "text": "three"}),
    ]


def test_a_csv_that_breaks_off_is_told() -> None:
    [(number, told_)] = read(b'to,text\na,"one', Format.CSV)

    assert number == 2
    assert told_.startswith("write CSV")


@given(st.binary(max_size=200), st.sampled_from(Format))
def test_any_bytes_are_rows_or_wrong(raw: bytes, form: Format) -> None:
    for number, row in read(raw, form):
        assert number >= 1
        assert isinstance(row, dict | str)
