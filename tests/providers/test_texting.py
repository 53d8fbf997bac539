"""Text messages over HTTP: numbers in E.164, texts of bounded length, and how what was taken is written."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from processor.core.message import Head, Message
from processor.core.outcome import Accepted, Rejected, Stage
from processor.core.plan import Form
from processor.core.words import Reason
from processor.providers.adapter import Submission
from processor.sandbox.ledger import read_ledger
from tests.providers.twins import http_config, opened, sandbox_at

if TYPE_CHECKING:
    from pathlib import Path

    from processor.core.outcome import Outcome

ROMANIAN = Form(country="RO", segments_max=2)
BODY = {"to": "{{ to }}", "text": "{{ text }}", "message_id": "{{ message_id }}"}


def asked(to: str, text: str | None = "Your code is 4711") -> Submission:
    return Submission(Message(Head("m-1", "SMS"), to=to, text=text), 1, form=ROMANIAN)


async def sent(folder: Path, *batch: Submission, **settings: Any) -> tuple[list[Outcome], list[str]]:
    """Return the outcomes, and the recipients in the sandbox's ledger."""
    async with sandbox_at(folder) as sandbox:
        config = http_config(f"{sandbox.http_url}/sms", recipient_kind="phone", body=BODY, **settings)
        async with opened(config) as adapter:
            outcomes = [outcome for each in batch for outcome in await adapter.send([each])]
        entries = [entry.recipients[0] for entry in read_ledger(sandbox.ledger_path)]
    return outcomes, entries


@pytest.mark.parametrize("written", ["0722000111", "+40722000111", "0040722000111"])
async def test_a_number_arrives_in_e164_whichever_way_it_was_written(tmp_path: Path, written: str) -> None:
    outcomes, numbers = await sent(tmp_path, asked(written))

    assert isinstance(outcomes[0], Accepted)
    assert numbers == ["+40722000111"]


@pytest.mark.parametrize(
    ("text", "segments", "encoding"),
    [("Your code is 4711", 1, "gsm7"), ("a" * 161, 2, "gsm7"), ("Codul dumneavoastr\u0103", 1, "ucs2")],
)
async def test_segments_and_encoding_are_told(tmp_path: Path, text: str, segments: int, encoding: str) -> None:
    (outcome,), _ = await sent(tmp_path, asked("+40722000111", text))

    assert isinstance(outcome, Accepted)
    assert (outcome.segments, outcome.encoding) == (segments, encoding)


@pytest.mark.parametrize(
    ("submission", "reason", "field_name"),
    [
        (asked("+4072200011x"), Reason.INVALID_RECIPIENT, "to"),
        (asked("\u0664\u0660722000111"), Reason.INVALID_RECIPIENT, "to"),
        (asked("+40722000111", "a" * 307), Reason.TOO_MANY_SEGMENTS, "text"),
        (asked("+40722000111", "\ud800"), Reason.INVALID_CONTENT, "text"),
        (asked("+40722000111", None), Reason.INVALID_CONTENT, "text"),
        (asked("+447700900123"), Reason.INVALID_RECIPIENT, "to"),
    ],
)
async def test_what_cannot_be_sent_is_refused_by_its_field_and_nothing_arrives(
    tmp_path: Path, submission: Submission, reason: Reason, field_name: str
) -> None:
    outcomes, numbers = await sent(tmp_path, submission, countries=(40,))

    assert outcomes == [Rejected(reason, stage=Stage.CONNECT, field_name=field_name)]
    assert numbers == []
