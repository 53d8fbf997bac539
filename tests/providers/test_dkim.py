"""Signatures that an independent verifier (dkimpy) accepts, and rejects once anything that counts has changed."""

from __future__ import annotations

import base64
import re
from typing import Any

import dkim
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from processor.core.message import Attachment
from processor.core.outcome import Accepted
from processor.core.plan import Form
from processor.providers.catalogue import open_adapter
from processor.providers.smtp.adapter import signer_of
from processor.providers.smtp.config import DkimKey
from processor.providers.smtp.mail import Mail, build
from tests.providers.rogue import says
from tests.providers.twins import NOW_MS, listening, opened, smtp_config, submission
from tests.support.certificates import signing_key

KINDS = ["rsa", "ed25519"]


def key(kind: str, *, domain: str = "example.com") -> DkimKey:
    return DkimKey(domain, "s1", signing_key(kind)[0])


def signed(kind: str, **content: Any) -> bytes:
    """The mail as it leaves, less its stuffed dots."""
    config = smtp_config(25, reply_to="help@example.com", dkim=(key(kind),))
    asked = submission("ann@example.org", **content)._replace(form=Form(list_unsubscribe="https://x.example/u"))
    mail = build(asked, config, now_ms=NOW_MS, signer=signer_of(config))
    assert isinstance(mail, Mail)
    return mail.content.replace(b"\r\n..", b"\r\n.")


def verified(kind: str, raw: bytes) -> bool:
    public = base64.b64encode(signing_key(kind)[1])

    def record(name: bytes, timeout: int = 5) -> bytes:
        assert name == b"s1._domainkey.example.com."
        return b"v=DKIM1; k=%b; p=%b" % (kind.encode(), public)

    return bool(dkim.verify(raw, dnsfunc=record))


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(
    "content",
    [
        {},
        {"text": "a  b \t c \n\n\n.\n  \n"},
        {"text": "", "subject": ""},
        {"text": "ü", "html": "<b>ü</b>", "subject": "Grüße " * 30},
        {
            "cc": ("c@example.org", "d@example.org"),
            "attachments": (Attachment("ü.pdf", "application/pdf", b"x" * 999),),
        },
        {"text": "x" * 5_000},
        {"cc": ("jürgen@example.org",)},
    ],
)
def test_an_independent_verifier_accepts_what_we_sign(kind: str, content: dict[str, Any]) -> None:
    assert verified(kind, signed(kind, **content))


@settings(max_examples=60)
@given(subject=st.text(max_size=100), text=st.text(max_size=300))
@example(subject="a   b", text="\t \n \n")
def test_whatever_the_text_the_signature_holds(subject: str, text: str) -> None:
    config = smtp_config(25, dkim=(key("ed25519"),))
    mail = build(
        submission("ann@example.org", subject=subject, text=text), config, now_ms=NOW_MS, signer=signer_of(config)
    )
    if isinstance(mail, Mail):
        assert verified("ed25519", mail.content.replace(b"\r\n..", b"\r\n."))


@pytest.mark.parametrize("name", ["From", "To", "Cc", "Subject", "Date", "Message-ID", "Reply-To", "List-Unsubscribe"])
def test_no_field_that_counts_can_be_changed(name: str) -> None:
    raw = signed("ed25519", cc=("c@example.org",))

    changed = re.sub(rb"(?m)^(%b: .*)\r$" % name.encode(), rb"\1x\r", raw)

    assert changed != raw
    assert not verified("ed25519", changed)


@pytest.mark.parametrize("name", ["From", "To", "Cc", "Subject", "Reply-To", "Date", "Content-Type"])
def test_no_second_field_can_be_added_that_a_reader_might_show(name: str) -> None:
    raw = signed("ed25519")

    assert not verified("ed25519", f"{name}: somebody@else.example\r\n".encode() + raw)


def test_a_changed_body_is_noticed_and_the_attempt_is_not_signed() -> None:
    raw = signed("ed25519", text="Pay to 1234")

    assert not verified("ed25519", raw.replace(b"1234", b"4321"))
    assert verified("ed25519", re.sub(rb"X-Comm-Attempt: \d", b"X-Comm-Attempt: 2", raw))


@pytest.mark.parametrize("kind", KINDS)
def test_the_signature_names_algorithm_domain_and_selector_in_short_lines(kind: str) -> None:
    head = signed(kind).partition(b"\r\n\r\n")[0]

    assert head.startswith(b"DKIM-Signature: v=1; a=%b-sha256; c=relaxed/relaxed; d=example.com; s=s1;" % kind.encode())
    assert b" t=%d;" % (NOW_MS // 1_000) in head
    assert b"l=" not in head.partition(b"bh=")[0]
    assert max(map(len, head.split(b"\r\n"))) < 100


async def test_a_signed_text_is_never_left_to_be_encoded_by_a_relay() -> None:
    seen: list[bytes] = []
    server = says(seen, EHLO=b"250-rogue\r\n250 8BITMIME\r\n")

    async with listening(server) as port, opened(smtp_config(port, dkim=(key("rsa"),))) as adapter:
        outcomes = await adapter.send([submission("ann@example.org", text="ü")] * 2)

    assert outcomes == [Accepted(code="250")] * 2
    assert all(line.isascii() for line in seen)
    for content in (line for line in seen if line.startswith(b"DKIM-Signature:")):
        assert verified("rsa", content.removesuffix(b".\r\n"))


@pytest.mark.parametrize(
    ("of", "write"),
    [
        (DkimKey("example.com", "s1", "canary"), "a private key as PEM"),
        (DkimKey("example.com", "s1;\r\nBcc: canary", signing_key("rsa")[0]), "a selector"),
        (key("rsa", domain="other.example"), "a key for the domain of from_address"),
    ],
)
def test_a_key_that_cannot_sign_is_refused_at_the_start_and_not_shown(of: DkimKey, write: str) -> None:
    with pytest.raises(ValueError, match=f"^dkim: write {write}") as caught:
        open_adapter("smtp", smtp_config(25, dkim=(of,)))

    assert "canary" not in str(caught.value)
    assert of.pem not in repr(of)
