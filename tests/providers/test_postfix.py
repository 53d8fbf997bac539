"""The adapter against a real Postfix, which relays what it takes to a server that keeps it."""

from __future__ import annotations

import asyncio
import email
import email.policy
from typing import TYPE_CHECKING, Any

import pytest
import uvloop
from aiosmtpd.controller import Controller

from processor.core.message import Attachment
from processor.core.outcome import Accepted, Deferred, Partly, Rejected, Stage, Throttled
from processor.core.words import Reason
from processor.providers.smtp.config import DkimKey
from processor.sandbox.ports import free_port
from tests.providers.test_dkim import verified
from tests.providers.twins import opened, smtp_config, submission
from tests.support.certificates import certificate, signing_key
from tests.support.eventually import eventually_async
from tests.support.postfix import postfix

if TYPE_CHECKING:
    from collections.abc import Iterator
    from email.message import EmailMessage
    from pathlib import Path

    from processor.core.outcome import Outcome

SIZE_BYTES_MAX = 400_000

REFUSES = {
    "gone@example.org": "550 5.1.1 no such mailbox",
    "full@example.org": "452 4.2.2 mailbox full",
    "grey@example.org": "450 4.7.1 greylisted",
    "closing@example.org": "421 4.3.2 going down",
}


class Relay:
    """A Postfix, its certificate, and what came out behind it."""

    def __init__(self, port: int, pem: Path) -> None:
        self.port = port
        self.pem = pem
        self.envelopes: list[Any] = []

    async def handle_DATA(self, server: object, session: object, envelope: Any) -> str:  # noqa: N802 - aiosmtpd's name
        self.envelopes.append(envelope)
        return "250 2.0.0 OK"

    def config(self, **settings: Any) -> Any:
        defaults = {"tls": "starttls", "ca_file": str(self.pem), "answer_timeout_ms": 20_000}
        return smtp_config(self.port, **defaults | settings)

    async def send(self, *batch: Any, **settings: Any) -> list[Outcome]:
        async with opened(self.config(**settings)) as adapter:
            return [*await adapter.send(batch)]

    async def relayed(self, message_id: str, *, count: int = 1) -> list[Any]:
        """What left Postfix of one message; once it has all."""

        def found() -> list[Any]:
            mark = f"Message-ID: <{message_id}@".encode()
            return [envelope for envelope in self.envelopes if mark in envelope.content]

        await eventually_async(lambda: sum(len(each.rcpt_tos) for each in found()) >= count, within_s=20)
        return found()

    async def content(self, message_id: str) -> EmailMessage:
        (envelope,) = await self.relayed(message_id)
        return email.message_from_bytes(envelope.content, policy=email.policy.default)


@pytest.fixture(scope="module")
def relay(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Relay]:
    pem = certificate(tmp_path_factory.mktemp("postfix"))
    rules = ", ".join(f"{{ {address} = {reply} }}" for address, reply in REFUSES.items())
    behind = free_port()
    settings = {
        "smtpd_tls_cert_file": str(pem),
        "smtpd_tls_key_file": str(pem),
        "smtpd_tls_security_level": "encrypt",
        "smtpd_recipient_restrictions": f"check_recipient_access inline:{{ {rules} }}",
        "message_size_limit": str(SIZE_BYTES_MAX),
        "smtputf8_enable": "yes",
    }
    with postfix(behind, settings) as port:
        found = Relay(port, pem)
        controller = Controller(found, hostname="127.0.0.1", port=behind, enable_SMTPUTF8=True)
        controller.start()
        yield found
        controller.stop()


def reads(part: Any) -> str:
    return str(part.get_content()).replace("\r\n", "\n")


async def test_text_html_and_attachments_arrive_whole_and_as_they_were(relay: Relay) -> None:
    scan = bytes(range(256)) * 300
    text = ".\n..\n.leading dot\n  two  blanks \ttab\n" + "long " * 400 + "\nLast line, Grüße 例え 🎉\n"
    asked = submission(
        "ann@example.org",
        message_id="whole",
        subject="Ihr Auszug: Grüße 🎉",
        text=text,
        html="<p>.</p>\n.\n<b>Grüße</b>\n",
        attachments=(Attachment("Überweisung.pdf", "application/pdf", scan),),
    )

    assert await relay.send(asked) == [Accepted(code="250 2.0.0")]

    found = await relay.content("whole")
    assert found["Subject"] == "Ihr Auszug: Grüße 🎉"
    alternative, file = found.iter_parts()
    plain, html = alternative.iter_parts()
    assert reads(plain) == text
    assert reads(html) == "<p>.</p>\n.\n<b>Grüße</b>\n"
    assert file.get_filename() == "Überweisung.pdf"
    assert file.get_content() == scan


async def test_the_second_mail_of_a_session_goes_as_eight_bits_and_arrives_the_same(relay: Relay) -> None:
    batch = [
        submission("ann@example.org", message_id=f"eight-{number}", text="Grüße\n.\nAnn\n", html="<b>ü</b>\n")
        for number in range(3)
    ]

    assert await relay.send(*batch) == [Accepted(code="250 2.0.0")] * 3

    for asked in batch:
        plain, html = (await relay.content(asked.message.head.message_id)).iter_parts()
        assert (reads(plain), reads(html)) == ("Grüße\n.\nAnn\n", "<b>ü</b>\n")


async def test_blind_copies_arrive_and_are_in_no_header(relay: Relay) -> None:
    await relay.send(
        submission("ann@example.org", message_id="copies", cc=("bob@example.org",), bcc=("eve@example.org",))
    )

    envelopes = await relay.relayed("copies", count=3)
    assert sorted(to for each in envelopes for to in each.rcpt_tos) == [
        "ann@example.org",
        "bob@example.org",
        "eve@example.org",
    ]
    assert not any(b"eve@" in each.content for each in envelopes)


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("gone", Rejected(Reason.PROVIDER_REJECTED, "550 5.1.1")),
        ("full", Deferred(Reason.PROVIDER_DEFERRED, "452 4.2.2")),
        ("grey", Throttled(code="450 4.7.1")),
        ("closing", Throttled(code="421 4.3.2")),
    ],
)
async def test_a_recipient_whom_postfix_refuses_has_the_outcome_of_its_code(
    relay: Relay, name: str, expected: Outcome
) -> None:
    refused, after = await relay.send(submission(f"{name}@example.org"), submission("ann@example.org"))

    assert refused == expected
    assert isinstance(after, Accepted)


async def test_open_and_refused_recipients_are_told_apart_and_the_others_have_the_mail(relay: Relay) -> None:
    asked = submission(
        "ann@example.org",
        message_id="partly",
        cc=("gone@example.org", "full@example.org"),
        bcc=("bob@example.org",),
    )

    assert await relay.send(asked) == [Partly((2,), (1,), Reason.PROVIDER_DEFERRED, "452 4.2.2")]

    envelopes = await relay.relayed("partly", count=2)
    assert sorted(to for each in envelopes for to in each.rcpt_tos) == ["ann@example.org", "bob@example.org"]
    assert b"\r\nCc: gone@example.org,\r\n full@example.org\r\n" in envelopes[0].content


async def test_a_mail_above_postfix_s_limit_is_rejected_before_it_is_carried(relay: Relay) -> None:
    large = submission("ann@example.org", text="x\n" * SIZE_BYTES_MAX)

    assert await relay.send(large, submission("ann@example.org")) == [
        Rejected(Reason.TOO_LARGE, stage=Stage.PREPARE),
        Accepted(code="250 2.0.0"),
    ]


async def test_addresses_beyond_ascii_pass_through_postfix(relay: Relay) -> None:
    asked = submission("jürgen@bücher.example", message_id="utf8", subject="Grüße", text="ü")

    assert await relay.send(asked) == [Accepted(code="250 2.0.0")]

    (envelope,) = await relay.relayed("utf8")
    assert envelope.rcpt_tos == ["jürgen@xn--bcher-kva.example"]


@pytest.mark.parametrize("kind", ["rsa", "ed25519"])
async def test_a_signature_still_holds_behind_postfix(relay: Relay, kind: str) -> None:
    asked = submission("ann@example.org", message_id=f"signed-{kind}", text=".\n..\nGrüße  \n\n", html="<b>.</b>")

    await relay.send(asked, dkim=(DkimKey("example.com", "s1", signing_key(kind)[0]),))

    (envelope,) = await relay.relayed(f"signed-{kind}")
    assert verified(kind, envelope.content)


async def test_starttls_that_postfix_requires_is_used_with_its_certificate_checked(
    relay: Relay, tmp_path: Path
) -> None:
    asked = submission("ann@example.org", message_id="tls")
    other = certificate(tmp_path)

    (plain,) = await relay.send(asked, tls="off")
    (distrusted,) = await relay.send(asked, ca_file=str(other))
    (trusted,) = await relay.send(asked)

    assert plain == Deferred(Reason.AUTHENTICATION_FAILED, "530 5.7.0")
    assert distrusted == Deferred(Reason.PROVIDER_UNAVAILABLE, stage=Stage.GREETING)
    assert isinstance(trusted, Accepted)
    (envelope,) = await relay.relayed("tls")
    assert b" with ESMTPS " in envelope.content


def test_the_same_holds_on_the_event_loop_of_every_stage(relay: Relay) -> None:
    batch = [submission("ann@example.org", text="ü" * number) for number in (1, 100, 100_000)]

    assert uvloop.run(relay.send(*batch, uses_per_connection=2)) == [Accepted(code="250 2.0.0")] * 3


async def test_hundreds_at_once_arrive_each_once(relay: Relay) -> None:
    ids = [f"many-{number}" for number in range(300)]

    async with opened(relay.config(connections=10, uses_per_connection=17)) as adapter:
        calls = [adapter.send([submission("ann@example.org", message_id=each)]) for each in ids]
        outcomes = await asyncio.gather(*calls)

    assert all(isinstance(outcome, Accepted) for (outcome,) in outcomes)
    await eventually_async(lambda: sum(b"<many-" in each.content for each in relay.envelopes) >= len(ids), within_s=60)
    arrived = [each for each in relay.envelopes if b"Message-ID: <many-" in each.content]
    assert len(arrived) == len(ids) == len({each.content.partition(b"Message-ID: ")[2][:20] for each in arrived})
