"""What our mails are, read back by the standard library's parser."""

from __future__ import annotations

import email
import email.header
import email.policy
import re
from typing import TYPE_CHECKING, Any, cast

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from processor.core.message import Attachment
from processor.core.outcome import Rejected, Stage
from processor.core.plan import Form
from processor.core.words import Reason
from processor.providers.catalogue import open_adapter
from processor.providers.smtp import mail as mail_module
from processor.providers.smtp.mail import Mail, build
from tests.providers.twins import NOW_MS, smtp_config, submission

if TYPE_CHECKING:
    from email.message import EmailMessage

CONFIG = smtp_config(25, from_name="Our Service", reply_to="help@example.com")

ONE_CLICK = {"List-Unsubscribe-Post": "List-Unsubscribe=One-Click"}

PLAIN_HEADERS = [
    "From",
    "Reply-To",
    "To",
    "Subject",
    "Date",
    "Message-ID",
    "X-Comm-Attempt",
    "MIME-Version",
    "Content-Type",
    "Content-Transfer-Encoding",
]


def written(**content: Any) -> Mail:
    mail = build(submission("ann@example.org", **content), CONFIG, now_ms=NOW_MS)
    assert isinstance(mail, Mail)
    return mail


def unstuffed(mail: Mail) -> bytes:
    return b"\r\n".join(line[1:] if line.startswith(b".") else line for line in mail.content.split(b"\r\n"))


def read(mail: Mail) -> EmailMessage:
    return email.message_from_bytes(unstuffed(mail), policy=email.policy.default)


def text_of(part: Any) -> str:
    """The text that a reader sees; a mail's last line always ends."""
    return str(part.get_payload(decode=True).decode("utf-8")).replace("\r\n", "\n")


def names_on_the_wire(mail: Mail) -> list[str]:
    head = mail.content.partition(b"\r\n\r\n")[0]
    return [line.partition(b":")[0].decode() for line in head.split(b"\r\n") if not line.startswith((b" ", b"\t"))]


def test_a_plain_text_mail_has_exactly_the_expected_headers() -> None:
    mail = written(text="Hello Ann", attempt=2, message_id="m-9")

    assert names_on_the_wire(mail) == PLAIN_HEADERS
    parsed = read(mail)
    assert parsed["From"] == "Our Service <service@example.com>"
    assert parsed["To"] == "ann@example.org"
    assert parsed["Message-ID"] == "<m-9@example.com>"
    assert parsed["X-Comm-Attempt"] == "2"
    assert parsed["Date"] == "Sun, 15 Jun 2025 15:06:40 +0000"
    assert parsed.get_content_type() == "text/plain"
    assert text_of(parsed) == "Hello Ann\n"


def test_the_same_attempt_has_the_same_bytes() -> None:
    content = {"html": "<p>x</p>", "attachments": (Attachment("a.txt", "text/plain", b"x"),)}

    assert written(**content) == written(**content)


def test_copies_are_in_headers_and_blind_copies_on_the_envelope_only() -> None:
    mail = written(cc=("c1@example.org", "c2@example.org"), bcc=("hidden@example.org", "ann@example.org"))

    assert mail.recipients == ("ann@example.org", "c1@example.org", "c2@example.org", "hidden@example.org")
    assert read(mail)["Cc"] == "c1@example.org, c2@example.org"
    assert b"hidden" not in mail.content
    assert "Bcc" not in names_on_the_wire(mail)


def test_a_retry_for_some_recipients_changes_the_envelope_and_not_the_mail() -> None:
    asked = submission("ann@example.org", cc=("c@example.org",), bcc=("b@example.org",))
    partly = type(asked)(asked.message, asked.attempt, recipients=(0, 2))

    everyone, some = (build(each, CONFIG, now_ms=NOW_MS) for each in (asked, partly))

    assert isinstance(everyone, Mail)
    assert isinstance(some, Mail)
    assert some.recipients == ("ann@example.org", "b@example.org")
    assert some.content == everyone.content


def test_text_and_html_are_alternatives_and_attachments_follow() -> None:
    scan = bytes(range(256)) * 20
    files = (
        Attachment("bill.pdf", "application/pdf", scan),
        Attachment("é/ü.txt", "text/plain", b"x"),
    )

    parsed = read(written(text="plain ü", html="<b>ü</b>", attachments=files))

    assert parsed.get_content_type() == "multipart/mixed"
    alternative, bill, other = parsed.iter_parts()
    assert alternative.get_content_type() == "multipart/alternative"
    plain, html = cast("EmailMessage", alternative).iter_parts()
    assert text_of(plain) == "plain ü\n"
    assert text_of(html) == "<b>ü</b>\n"
    assert bill.get_filename() == "bill.pdf"
    assert bill.get_payload(decode=True) == scan
    assert other.get_filename() == "ü.txt"


@pytest.mark.parametrize(
    ("address", "fields"),
    [
        (
            "https://x.example/u?m={{ message_id }}",
            {
                "List-Unsubscribe": "<https://x.example/u?m=m%3A9>",
                "List-Unsubscribe-Post": "List-Unsubscribe=One-Click",
            },
        ),
        (  # our own address in development
            "http://127.0.0.1:8081/u/token",
            {
                "List-Unsubscribe": "<http://127.0.0.1:8081/u/token>",
                "List-Unsubscribe-Post": "List-Unsubscribe=One-Click",
            },
        ),
        ("mailto:u@x.example?subject={{ message_id }}", {"List-Unsubscribe": "<mailto:u@x.example?subject=m%3A9>"}),
    ],
)
def test_a_channel_that_asks_for_it_has_a_way_to_unsubscribe(address: str, fields: dict[str, str]) -> None:
    asked = submission("ann@example.org", message_id="m:9")._replace(form=Form(list_unsubscribe=address))

    mail = build(asked, CONFIG, now_ms=NOW_MS)

    assert isinstance(mail, Mail)
    assert {name: value for name, value in read(mail).items() if name.startswith("List-")} == fields


@pytest.mark.parametrize("address", ["https://x.example/\r\nBcc: a@b", "https://x.example/" + "x" * 999])
def test_an_address_to_unsubscribe_at_that_would_break_the_header_sends_nothing(address: str) -> None:
    asked = submission("ann@example.org")._replace(form=Form(list_unsubscribe=address))

    outcome = build(asked, CONFIG, now_ms=NOW_MS)

    assert isinstance(outcome, Rejected)
    assert outcome.reason is Reason.INVALID_CONTENT


@pytest.mark.parametrize(
    ("asked", "named"),
    [
        ("../../etc/passwd", "passwd"),
        ("C:\\temp\\x.exe", "x.exe"),
        ("..", "attachment"),
        ('a"b;c.txt', 'a"b;c.txt'),
        ("gpj\u202eexe.txt", "gpjexe.txt"),
    ],
)
def test_an_attachment_has_a_base_name_only(asked: str, named: str) -> None:
    parsed = read(written(attachments=(Attachment(asked, "text/plain", b"x"),)))

    assert [part.get_filename() for part in parsed.iter_attachments()] == [named]


@pytest.mark.parametrize(
    "attachment",
    [
        Attachment("x\r\n.exe", "text/plain", b"x"),
        Attachment("x", "text/plain\r\nBcc: x@y", b"x"),
        Attachment("x", "text/html; name=x", b"x"),
        Attachment("x", "multipart/mixed", b"x"),
        Attachment("x", "message/rfc822", b"x"),
        Attachment("x", "text/plain", None, "file:///etc/passwd"),
    ],
)
def test_an_attachment_that_cannot_be_sent_rejects_the_message(attachment: Attachment) -> None:
    outcome = build(submission("ann@example.org", attachments=(attachment,)), CONFIG, now_ms=NOW_MS)

    assert outcome == Rejected(Reason.INVALID_CONTENT, stage=Stage.CONNECT, field_name="attachments")


@pytest.mark.parametrize("message_id", ["m:1", ".m", "m..1", "m.", "a:b.c"])
def test_an_id_that_mail_would_not_allow_is_written_in_one_that_it_does(message_id: str) -> None:
    raw = re.search(rb"Message-ID: <(.*)@example.com>", written(message_id=message_id).content)

    assert raw is not None
    assert re.fullmatch(rb"[A-Za-z0-9_=-]+(\.[A-Za-z0-9_=-]+)*", raw[1])


@pytest.mark.parametrize(
    "text",
    [
        "a\r.\r\nb",
        "a\n.\nb",
        ".\n..\n.",
        "x" * 1_000_000,
        "a\rb\nc\r\nd",
        "\x07bell",
        "tail  \n end\t",
        "é" * 5_000,
        "",
    ],
)
def test_a_body_arrives_as_it_was_and_cannot_end_the_mail(text: str) -> None:
    mail = written(text=text)

    assert b"\r\n.\r\n" not in mail.content
    normal = text.replace("\r\n", "\n").replace("\r", "\n")
    assert text_of(read(mail)) == (normal if normal.endswith("\n") else normal + "\n")


@pytest.mark.parametrize(
    ("raw", "plain"),
    [
        (b"a\r\nb\r\n", True),
        (b"\r\n", True),
        (b"x" * 998 + b"\r\n" + b"y" * 998 + b"\r\n", True),
        (b"x" * 999 + b"\r\n", False),
        (b"a\r\n" + b"x" * 999 + b"\r\n", False),
        (b"a\x00\r\n", False),
        (b"a", False),
    ],
)
def test_only_short_lines_that_hold_no_controls_go_as_they_are(raw: bytes, plain: bool) -> None:
    assert mail_module._is_plain(raw) is plain


@given(st.text(st.sampled_from("ab.\r\n\x85\u2028é")))
@example("a\rb\nc\r\nd\r\r\n\n\r")
@example("a\rb\n\r\n")
@example("a\nb\r\n")
@example("a\r\r\n")
@example("")
def test_cr_and_lf_stand_in_pairs_alone_one_for_each_line_end(text: str) -> None:
    raw = mail_module._lines(text)

    assert raw.endswith(b"\r\n")
    assert not re.search(rb"\r(?!\n)|(?<!\r)\n", raw)
    written = re.split("\r\n|\r|\n", text)
    assert raw.decode().split("\r\n") == (written if len(written) > 1 and not written[-1] else [*written, ""])


LINE = st.text(st.characters(exclude_categories=["Cs"]), max_size=200)


@given(subject=LINE, text=st.text(max_size=500), file_name=LINE)
@example(subject="A =?UTF-8?Q?=0A?=Bcc: x@y.example", text="", file_name="=?UTF-8?Q?=0A?=Bcc: x@y")
@example(subject="A\r\nBcc: x@y.example", text="", file_name="")
@example(subject="  two  spaces ", text="--=_\r\n", file_name=" ")
@example(subject="x" * 2_000, text="", file_name="x" * 300)
def test_no_value_adds_a_header_or_breaks_a_line(subject: str, text: str, file_name: str) -> None:
    asked = submission(
        "ann@example.org", subject=subject, text=text, attachments=(Attachment(file_name, "text/plain", b"x"),)
    )

    mail = build(asked, CONFIG, now_ms=NOW_MS)

    if isinstance(mail, Rejected):
        assert mail.field_name in {"subject", "text", "attachments"}
        return
    assert names_on_the_wire(mail) == PLAIN_HEADERS[:-1]  # a multipart has no transfer encoding
    assert mail.content.count(b"\r") == mail.content.count(b"\n") == mail.content.count(b"\r\n")
    assert max(map(len, mail.content.split(b"\r\n"))) <= 999  # 998, and a stuffed dot
    assert b"\r\n.\r\n" not in mail.content
    parsed = read(mail)
    assert parsed.keys() == PLAIN_HEADERS[:-1]
    assert len(list(parsed.walk())) == 3


@given(LINE)
@example("A =?UTF-8?Q?=0A?=Bcc: x@y.example")
@example(" lead and trail ")
def test_a_subject_reads_as_it_was_written(subject: str) -> None:
    mail = build(submission("ann@example.org", subject=subject), CONFIG, now_ms=NOW_MS)

    if isinstance(mail, Mail):
        raw = email.message_from_bytes(unstuffed(mail))["Subject"]
        decoded = str(email.header.make_header(email.header.decode_header(raw.replace("\r\n", ""))))
        assert decoded.strip(" ") == re.sub("[\u200b\u2060\u202a-\u202e\u2066-\u2069\ufeff]", "", subject).strip(" ")


@pytest.mark.parametrize(
    ("setting", "value"),
    [
        ("tls", "maybe"),
        ("from_address", "no address"),
        ("reply_to", "a@b\r\nBcc: c@d"),
        ("message_id_domain", "x y"),
        ("from_name", "a\nb"),
        ("helo_name", "x y"),
    ],
)
def test_a_setting_that_cannot_work_is_named_at_the_start(setting: str, value: str) -> None:
    with pytest.raises(ValueError, match=f"^{setting}: "):
        open_adapter("smtp", smtp_config(25, **{setting: value}))
