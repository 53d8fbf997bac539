"""A mail to several recipients: those who may have it get it once, and the others are told apart by index."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Any

import pytest
import pytest_asyncio

from processor.core.outcome import Accepted, Deferred, Partly, Rejected, Throttled, Unknown
from processor.core.words import Reason
from tests.providers.rogue import says
from tests.providers.twins import Twin, listening, opened, sandbox_at, smtp_config, submission

if TYPE_CHECKING:
    import asyncio
    from collections.abc import AsyncIterator
    from pathlib import Path

    from processor.core.outcome import Outcome

TEMPORARY = "rcpt-450-1x@example.org"
PERMANENT = "rcpt-550@example.org"


@pytest_asyncio.fixture
async def twin(tmp_path: Path) -> AsyncIterator[Twin]:
    async with sandbox_at(tmp_path) as sandbox, opened(smtp_config(sandbox.smtp_port)) as adapter:
        yield Twin(adapter, sandbox)


async def test_refused_recipients_do_not_keep_the_mail_from_the_others(twin: Twin) -> None:
    asked = submission("ann@example.org", cc=(PERMANENT, TEMPORARY), bcc=("bob@example.org",))

    outcome = await twin.send(asked)

    # 450 4.7.1 asks to slow down, 550 is final: what is open decides what is told.
    assert outcome == Partly((2,), (1,), Reason.PROVIDER_THROTTLED, "450 4.7.1")
    (taken,) = twin.accepted
    assert taken.recipients == ("ann@example.org", "bob@example.org")


async def test_a_retry_goes_to_the_open_ones_and_nobody_is_mailed_twice(twin: Twin) -> None:
    asked = submission("ann@example.org", cc=(PERMANENT, TEMPORARY), bcc=("bob@example.org",))
    first = await twin.send(asked)
    assert isinstance(first, Partly)

    second = await twin.send(asked._replace(attempt=2, recipients=first.still_open))

    assert isinstance(second, Accepted)
    mailed = Counter(recipient for entry in twin.accepted for recipient in entry.recipients)
    assert mailed == Counter(["ann@example.org", "bob@example.org", TEMPORARY])


async def test_if_all_others_are_refused_for_good_nobody_stays_open(twin: Twin) -> None:
    outcome = await twin.send(submission("ann@example.org", cc=(PERMANENT,)))

    assert outcome == Partly((), (1,), Reason.PROVIDER_REJECTED, "550 5.1.1")


async def test_a_recipient_who_is_named_twice_has_both_indexes(twin: Twin) -> None:
    outcome = await twin.send(submission(PERMANENT, cc=("ann@example.org",), bcc=(PERMANENT, "ann@example.org")))

    assert isinstance(outcome, Partly)
    assert (outcome.still_open, outcome.refused) == ((), (0, 2))
    assert [entry.recipients for entry in twin.accepted] == [("ann@example.org",)]


async def test_a_recipient_whose_domain_is_written_in_two_ways_gets_one_mail(twin: Twin) -> None:
    asked = submission("Ann@Example.org", cc=("Ann@example.org",), bcc=("ann@EXAMPLE.ORG", "eva@BÜCHER.example"))

    assert isinstance(await twin.send(asked), Accepted)

    (taken,) = twin.accepted
    assert taken.recipients == ("Ann@example.org", "ann@example.org", "eva@xn--bcher-kva.example")


@pytest.mark.parametrize(
    ("recipients", "expected"),
    [
        ((PERMANENT, "rcpt-551@example.org"), Rejected),
        ((PERMANENT, "rcpt-451@example.org"), Deferred),
        ((PERMANENT, "rcpt-451@example.org", "rcpt-450@example.org"), Throttled),
    ],
)
async def test_refused_by_all_it_is_final_only_if_each_one_is(
    twin: Twin, recipients: tuple[str, ...], expected: type[Outcome]
) -> None:
    outcome = await twin.send(submission(recipients[0], cc=recipients[1:]))

    assert isinstance(outcome, expected)
    assert not twin.accepted


@pytest.mark.parametrize(
    ("rule", "expected"), [("defer-451", Deferred), ("bounce-550", Rejected), ("drop-after-dot", Unknown)]
)
async def test_a_mail_that_nobody_has_for_certain_is_not_partly_sent(
    twin: Twin, rule: str, expected: type[Outcome]
) -> None:
    outcome = await twin.send(submission(PERMANENT, cc=(f"{rule}@example.org",)))

    assert isinstance(outcome, expected)


async def test_a_server_that_closes_among_recipients_has_taken_nothing_and_costs_no_attempt(twin: Twin) -> None:
    outcome = await twin.send(submission("ann@example.org", cc=("rcpt-421@example.org", "bob@example.org")))

    assert outcome == Throttled(code="421 4.7.0")
    assert not twin.accepted


async def test_the_session_is_clean_for_the_next_mail(twin: Twin) -> None:
    for number in range(3):
        await twin.send(submission(PERMANENT, message_id=f"refused-{number}"))
        await twin.send(submission("ann@example.org", message_id=f"m-{number}", cc=(PERMANENT,)))

    assert [entry.message_id for entry in twin.accepted] == ["m-0", "m-1", "m-2"]


async def test_without_pipelining_no_data_is_asked_for_when_all_are_refused() -> None:
    seen: list[bytes] = []

    async with listening(says(seen, RCPT=b"550 no\r\n")) as port, opened(smtp_config(port)) as adapter:
        (outcome,) = await adapter.send([submission("ann@example.org", cc=("bob@example.org",))])

    assert outcome == Rejected(Reason.PROVIDER_REJECTED, "550")
    assert [line[:4] for line in seen if not line.startswith(b"QUIT")] == [b"EHLO", b"MAIL", b"RCPT", b"RCPT"]


async def test_a_server_that_agrees_to_data_for_nobody_gets_no_mail() -> None:
    seen: list[bytes] = []
    server = says(seen, EHLO=b"250-rogue\r\n250 PIPELINING\r\n", RCPT=b"550 no\r\n")

    async with listening(server) as port, opened(smtp_config(port)) as adapter:
        (outcome,) = await adapter.send([submission("ann@example.org")])

    assert outcome == Rejected(Reason.PROVIDER_REJECTED, "550")
    assert not any(line.startswith(b"From:") for line in seen)


@pytest.mark.parametrize("pipelining", [True, False])
async def test_too_many_recipients_for_one_mail_are_tried_again(pipelining: bool) -> None:
    hello = b"250-rogue\r\n250 " + (b"PIPELINING" if pipelining else b"HELP") + b"\r\n"

    async with (
        listening(says([], EHLO=hello, RCPT=b"552 too many recipients\r\n")) as port,
        opened(smtp_config(port)) as adapter,
    ):
        (outcome,) = await adapter.send([submission("ann@example.org", cc=("bob@example.org",))])

    assert outcome == Deferred(Reason.PROVIDER_DEFERRED, "552")


def answering(seen: list[bytes], keyword: bytes, *replies: bytes) -> Any:
    """A server that answers each RCPT with the next of *replies*."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        left = list(replies)
        answers = {b"EHLO": b"250-rogue\r\n250 " + keyword + b"\r\n", b"DATA": b"354 go\r\n"}
        writer.write(b"220 rogue\r\n")
        while line := await reader.readline():
            seen.append(line)
            verb = line[:4].strip()
            writer.write(left.pop(0) if verb == b"RCPT" else answers.get(verb, b"250 ok\r\n"))
            if verb == b"DATA":
                await reader.readuntil(b"\r\n.\r\n")
                seen.append(b"mail")
                writer.write(b"250 ok\r\n")

    return serve


@pytest.mark.parametrize("keyword", [b"PIPELINING", b"HELP"])
async def test_a_recipient_whom_the_server_agrees_to_in_a_code_of_its_own_is_not_mailed_again(keyword: bytes) -> None:
    seen: list[bytes] = []

    async with (
        listening(answering(seen, keyword, b"250 ok\r\n", b"252 will try\r\n")) as port,
        opened(smtp_config(port)) as adapter,
    ):
        (outcome,) = await adapter.send([submission("ann@example.org", cc=("bob@example.org",))])

    assert outcome == Accepted(code="250")
    assert seen.count(b"mail") == 1


@pytest.mark.parametrize("keyword", [b"PIPELINING", b"HELP"])
@pytest.mark.parametrize("reply", [b"600 what\r\n", b"354 go\r\n"])
async def test_a_mail_goes_to_nobody_where_it_cannot_be_told_whether_a_recipient_was_taken(
    keyword: bytes, reply: bytes
) -> None:
    seen: list[bytes] = []

    async with (
        listening(answering(seen, keyword, reply, b"250 ok\r\n")) as port,
        opened(smtp_config(port)) as adapter,
    ):
        (outcome,) = await adapter.send([submission("ann@example.org", cc=("bob@example.org",))])

    assert outcome == Deferred(Reason.ANSWER_UNLISTED, reply[:3].decode())
    assert b"mail" not in seen
