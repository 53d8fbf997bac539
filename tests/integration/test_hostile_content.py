"""Whatever a message holds or a provider answers, it ends with a reason, the next one is sent, and nothing leaks."""

from __future__ import annotations

import json
import socket
import threading
from email import message_from_bytes
from email.policy import default as modern
from typing import TYPE_CHECKING, Any

import pytest

from processor.core.message import Attachment
from processor.core.words import Reason, Status
from tests.cli.command import commproc
from tests.support.cluster import fresh
from tests.support.plant import STAGES, Plant, message
from tests.support.rogue import ANSWERS, Rogue

if TYPE_CHECKING:
    from collections.abc import Iterator
    from email.message import EmailMessage
    from pathlib import Path

    from processor.core.events import DeliveryEvent
    from processor.sandbox.broker import Broker
    from tests.support.sandboxed import Sandboxed

TYPES = ("application/pdf", "image/png", "text/plain")
LIMIT_BYTES = 65_536
PDF = Attachment("a.pdf", "application/pdf", b"%PDF-1.7")


def attached(count: int = 1, **fields: Any) -> dict[str, Any]:
    file = {"file_name": "a.pdf", "content_type": "application/pdf", "content": b"x"} | fields
    return {"attachments": (Attachment(**file),) * count}


class Works:
    """A plant that keeps the mails, with a rogue mail server, a short message centre, and limits."""

    def __init__(self, bootstrap: str, folder: Path) -> None:
        self.rogue = Rogue()
        self.mails = folder / "mails"
        self.plant = Plant(bootstrap, folder, changes=self._changes, sandboxed={"mailbox": self.mails})

    def _changes(self, sandbox: Sandboxed) -> dict[str, Any]:
        mail = {"action": "EMAIL", "bus_channel": "EMAIL", "bus_provider": "Rogues", "provider": "Rogue"}
        text = {"action": "SMS", "bus_channel": "SMS", "bus_provider": "Centres", "provider": "Centre"}
        rogue = {"adapter": "smtp", "bus_provider": "Rogues", "bus_channel": "EMAIL", "host": "127.0.0.1"}
        centre = {"adapter": "smpp", "bus_provider": "Centres", "bus_channel": "SMS", "host": "127.0.0.1"}
        return {
            "attachments": {"bytes_max": "64KiB", "count_max": 5, "content_types": TYPES},
            "channels": {
                "Rogue": mail | {"retry": {"max_attempts": 0}, "in_doubt": "report"},
                "Short": text | {"country": "RO", "segments_max": 3},
                "ShortOTP": text | {"country": "RO", "lane": "express", "validity": "5m", "in_doubt": "report"},
            },
            "providers": {
                "Rogue": rogue
                | {"port": self.rogue.port, "tls": "off", "from_address": "a@example.com", "breaker": {"share": 1}},
                "Centre": centre
                | {
                    "port": sandbox.smsc_port,
                    "tls": "off",
                    "system_id": "commproc",
                    "password": {"env": "CANARY_TOKEN"},
                }
                | {"source_addr": "Example", "reference_tlv": 0x1400, "breaker": {"share": 1}},
            },
        }

    def ended(self, message_id: str) -> DeliveryEvent:
        """Return the result of a message, and see that one behind it is sent."""
        after = fresh("after")
        self.plant.ask([message(after)])
        ledgers = self.plant.drained(within_s=30)
        assert [each.status for each in ledgers.delivery if each.message_id == after] == [Status.SENT]
        (event,) = [each for each in ledgers.delivery if each.message_id == message_id]
        return event

    def asked(self, channel: str = "Email", **content: Any) -> DeliveryEvent:
        """Ask for a message, and return its result."""
        asked = message(fresh("content"), channel, text="Hello")._replace(**content)
        self.plant.ask([asked])
        return self.ended(asked.head.message_id)

    def calls(self, message_id: str) -> list[Any]:
        return [each for each in self.plant.sandbox.entries() if each.message_id == message_id]

    def mail(self, message_id: str) -> EmailMessage:
        """Return the one mail of a message, as another library reads what was on the wire."""
        (call,) = self.calls(message_id)
        return message_from_bytes((self.mails / f"{call.n}.eml").read_bytes(), policy=modern)


@pytest.fixture(scope="module")
def works(kafka: Broker, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Works]:
    made = Works(kafka.bootstrap, tmp_path_factory.mktemp("content"))
    try:
        made.plant.start("intake", "delay", "dispatch")
        yield made
    finally:
        made.plant.close()
        made.rogue.close()


BREAKS = {"CRLF": "\r\n", "LF": "\n", "CR": "\r", "NUL": "\0", "U+2028": "\u2028", "U+2029": "\u2029", "NEL": "\x85"}
REFUSED: dict[str, tuple[dict[str, Any], Reason, str | None]] = {
    # B10
    "more attachments than are allowed": (attached(6), Reason.ATTACHMENT_REFUSED, "attachments"),
    "5,000 attachments": (attached(5_000), Reason.UNREADABLE, "attachments"),
    "an attachment that is too large": (
        attached(content=b"x" * (LIMIT_BYTES + 1)),
        Reason.ATTACHMENT_REFUSED,
        "attachments",
    ),
    # B11
    "CRLF and a command in the envelope": (
        {"to": "a@example.com\r\nRCPT TO:<eve@example.com>"},
        Reason.INVALID_RECIPIENT,
        "to",
    ),
    **{
        f"{name} in subject": ({"subject": f"Hi{characters}Bcc: eve@example.com"}, Reason.INVALID_CONTENT, "subject")
        for name, characters in BREAKS.items()
    },
    **{
        f"{name} in {place}": ({place: value}, Reason.INVALID_RECIPIENT, place)
        for name, characters in BREAKS.items()
        for place, value in {
            "to": f"a{characters}@example.com",
            "cc": ("a@example.com", f"b{characters}c@example.com"),
            "bcc": (f"a@example.com{characters}",),
        }.items()
    },
    **{
        f"{name} in a file's name": (attached(file_name=f"x{characters}.pdf"), Reason.INVALID_CONTENT, "attachments")
        for name, characters in BREAKS.items()
    },
    "NUL in the text": ({"text": "Hi\0"}, Reason.INVALID_CONTENT, "text"),
    # B14
    "two addresses in one": ({"to": "a@example.com,c@example.com"}, Reason.INVALID_RECIPIENT, "to"),
    "an empty group": ({"to": "x:;"}, Reason.INVALID_RECIPIENT, "to"),
    "a parameter behind an address": ({"to": "a@example.com> SIZE=1"}, Reason.INVALID_RECIPIENT, "to"),
    # B16
    "CRLF in a type": (
        attached(content_type="text/plain\r\nX-Evil: 1"),
        Reason.ATTACHMENT_REFUSED,
        "attachments",
    ),
    "a type that is not allowed": (
        attached(content_type="application/x-msdownload"),
        Reason.ATTACHMENT_REFUSED,
        "attachments",
    ),
    # B19
    "a file of this machine": (
        attached(content=None, url="file:///etc/passwd"),
        Reason.ATTACHMENT_REFUSED,
        "attachments",
    ),
    "the address of cloud secrets": (
        attached(content=None, url="http://169.254.169.254/latest/meta-data/"),
        Reason.ATTACHMENT_REFUSED,
        "attachments",
    ),
}


@pytest.mark.parametrize("kind", REFUSED)
def test_a_mail_that_must_not_be_sent_is_rejected_by_its_field_before_any_socket(works: Works, kind: str) -> None:
    content, reason, field = REFUSED[kind]

    event = works.asked(**content)

    assert (event.status, event.reason, event.attempt) == (Status.REJECTED, reason, 0)
    assert event.field_name is not None
    assert event.field_name.partition("[")[0].partition(".")[0] == field
    assert works.calls(event.message_id) == []


def test_an_attachment_s_server_that_may_not_be_named_sees_no_connection(works: Works) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        server.settimeout(0)
        url = f"https://127.0.0.1:{server.getsockname()[1]}/x"

        event = works.asked(**attached(content=None, url=url))

        assert (event.status, event.reason) == (Status.REJECTED, Reason.ATTACHMENT_REFUSED)
        with pytest.raises(BlockingIOError):
            server.accept()


def test_a_body_of_20_mb_is_dead_lettered_and_not_decoded(works: Works) -> None:
    large = message(fresh("large"), text="x" * 20_000_000)
    works.plant.ask([large])
    works.plant.ask([message(fresh("after"))])
    ledgers = works.plant.drained(within_s=30)

    origin = next(origin for origin, asked in works.plant.asked.items() if asked.message_id == large.head.message_id)
    (letter,) = [each for each in ledgers.dead if each.origin == origin]
    assert (letter.reason, letter.truncated, letter.message_id) == (Reason.TOO_LARGE, True, None)


ON_THE_WIRE = ("From", "To", "Subject", "Date", "Message-ID", "MIME-Version", "Content-Type", "X-Comm-Attempt")


@pytest.mark.parametrize(
    "subject",
    ["A =?UTF-8?Q?=0A?=Bcc: eve@example.com", "=?UTF-8?B?DQpCY2M6IGV2ZUBleGFtcGxlLmNvbQ==?=", "%s %d {0} ${x}"],
)
def test_words_that_look_encoded_are_sent_as_they_are_and_make_no_header(works: Works, subject: str) -> None:
    event = works.asked(subject=subject)

    mail = works.mail(event.message_id)
    assert event.status is Status.SENT
    assert str(mail["Subject"]).replace("\r\n", "") == subject
    assert "bcc" not in {name.lower() for name in mail}
    assert {name.lower() for name in mail} <= {*map(str.lower, ON_THE_WIRE), "content-transfer-encoding"}


@pytest.mark.parametrize(
    ("subject", "shown"), [("pdf.\u202eexe", "pdf.exe"), ("in\u200bvisible", "invisible"), ("\ufeffx", "x")]
)
def test_what_hides_or_reverses_others_is_stripped_from_headers(works: Works, subject: str, shown: str) -> None:
    event = works.asked(subject=subject)

    assert (event.status, str(works.mail(event.message_id)["Subject"])) == (Status.SENT, shown)


@pytest.mark.parametrize(
    "text",
    ["a\n.\nMAIL FROM:<eve@example.com>\n", "a\r.\r\nb", "a\r\n.\r\nb", "..\n.", "x" * 1_000_000],
    ids=["LF dot LF", "CR dot CRLF", "CRLF dot CRLF", "dots", "a line of 1 MB"],
)
def test_a_body_is_one_mail_whatever_its_lines(works: Works, text: str) -> None:
    event = works.asked(text=text)

    mail = works.mail(event.message_id)
    body = mail.get_body()
    assert event.status is Status.SENT
    assert body is not None
    lines = text.replace("\r\n", "\n").replace("\r", "\n").rstrip("\n").split("\n")
    assert body.get_content().replace("\r\n", "\n").rstrip("\n").split("\n") == lines
    (call,) = works.calls(event.message_id)
    wire = (works.mails / f"{call.n}.eml").read_bytes()
    assert max(map(len, wire.split(b"\r\n"))) <= 998
    assert b"\n" not in wire.replace(b"\r\n", b"")
    assert b"\r" not in wire.replace(b"\r\n", b"")


@pytest.mark.parametrize("name", ["../../x.pdf", "/etc/x.pdf", "..\\..\\x.pdf", "C:\\x.pdf"])
def test_an_attachment_s_name_is_its_last_part(works: Works, name: str) -> None:
    event = works.asked(**attached(file_name=name))

    (part,) = works.mail(event.message_id).iter_attachments()
    assert (event.status, part.get_filename()) == (Status.SENT, "x.pdf")


@pytest.mark.parametrize(
    "name",
    [
        "Kontoauszug M\u00e4rz.pdf",
        "\u0434\u043e\u0433\u043e\u0432\u043e\u0440.pdf",
        'a"; x="y.pdf',
        "%41'%42.pdf",
    ],
)
def test_an_attachment_s_name_is_ascii_on_the_wire_and_the_same_to_its_reader(works: Works, name: str) -> None:
    event = works.asked(**attached(file_name=name))

    (part,) = works.mail(event.message_id).iter_attachments()
    (call,) = works.calls(event.message_id)
    head = (works.mails / f"{call.n}.eml").read_bytes().partition(b"filename")[2].partition(b"\r\n\r\n")[0]
    assert (event.status, part.get_filename()) == (Status.SENT, name)
    assert head.isascii()


def test_a_long_name_of_an_attachment_keeps_its_extension(works: Works) -> None:
    event = works.asked(**attached(file_name="\u5951" * 300 + ".pdf"))

    (part,) = works.mail(event.message_id).iter_attachments()
    assert (event.status, part.get_filename()) == (Status.SENT, "\u5951" * 72 + ".pdf")


NUMBERS = {
    "letters": "call-me",
    "40 digits": "+" + "4" * 40,
    "digits of another script": "+4072200011\u0663",
    "a premium path": "+40722000111;ext=1",
    "nothing": "",
}


@pytest.mark.parametrize("kind", NUMBERS)
@pytest.mark.parametrize("channel", ["Short", "SMS"])
def test_what_is_no_number_is_rejected_before_any_socket(works: Works, channel: str, kind: str) -> None:
    event = works.asked(channel, to=NUMBERS[kind])

    assert (event.status, event.reason, event.attempt) == (Status.REJECTED, Reason.INVALID_RECIPIENT, 0)
    assert works.calls(event.message_id) == []


def test_a_text_of_10_000_characters_is_rejected_by_its_segments(works: Works) -> None:
    event = works.asked("Short", to="0722000111", text="x" * 10_000)

    assert (event.status, event.reason, event.field_name) == (Status.REJECTED, Reason.TOO_MANY_SEGMENTS, "text")


def test_a_text_that_begins_as_a_header_of_parts_is_rejected(works: Works) -> None:
    event = works.asked("Short", to="0722000111", text="\x05\x00\x03\x01\x02\x01code")

    assert (event.status, event.reason, event.field_name) == (Status.REJECTED, Reason.INVALID_CONTENT, "text")


@pytest.mark.parametrize("channel", ["Short", "ShortOTP"])
def test_one_character_beyond_the_alphabet_makes_the_text_another_and_no_question_mark(
    works: Works, channel: str
) -> None:
    text = "Codul dumneavoastr\u0103: 4711"

    event = works.asked(channel, to="0722000111", text=text)

    (call,) = works.calls(event.message_id)
    assert (event.status, event.encoding, event.segments) == (Status.SENT, "ucs2", 1)
    assert call.size_bytes == len(text.encode())


BEFORE_THE_DOT = {"ten-megabytes", "endless", "code-600", "250-instead-of-354", "250-before-the-dot"}
REFUSALS = {"escapes", "echo"}


@pytest.mark.parametrize("name", ANSWERS)
def test_an_answer_against_all_rules_is_never_an_acceptance(works: Works, name: str) -> None:
    event = works.asked("Rogue", to=f"{name}+canary.echoed.0577@example.com")

    if name in REFUSALS:
        assert (event.status, event.provider_code) == (Status.FAILED, "550 5.1.1")
    elif name in BEFORE_THE_DOT:
        assert (event.status, event.reason) == (Status.FAILED, Reason.RETRIES_EXHAUSTED)
    else:
        assert event.status is Status.UNKNOWN
    assert len(event.provider_code or "") <= 32
    assert (event.provider_code or "").isprintable()


FIELDS = "canary-%s\x1b[31m-{0}-$(id)-`id`"


def test_no_secret_of_any_field_or_answer_is_in_any_output(works: Works, tmp_path: Path) -> None:
    everything = [
        message(
            fresh("everywhere"),
            "Email",
            to="canary.to.0001@example.com",
            cc=["canary.cc.0002@example.com", "bounce-550@example.com"],
            text=f"canary-text-0004 {FIELDS}\r\n",
            properties={"canary-name-0005": f"canary-value-0006\r\n{FIELDS}"},
            attachments=[Attachment("canary-file-0007.pdf", "application/pdf", b"canary-content-0008")],
        )._replace(subject="canary-subject-0003 %s {0}"),
        message(fresh("everywhere"), "Email", to="canary-bad-0009\r\n@example.com")._replace(subject=FIELDS),
        message(fresh("everywhere"), "Short", to="canary-number-0010", text=FIELDS),
        message(fresh("everywhere"), "canary-channel-0011\r\n", to="a@example.com"),
        message(fresh("everywhere"), "Email", time_zone="canary/Zone-0012", to="defer-451@example.com"),
        message("canary-id-0013\r\n", "Email", to="a@example.com"),
    ]
    works.plant.ask(everything)
    works.plant.drained(within_s=30)
    secrets = [f"canary-{name}" for name in ("subject-0003", "text-0004", "name-0005", "value-0006", "file-0007")]
    secrets += [f"canary-{name}" for name in ("content-0008", "bad-0009", "number-0010", "channel-0011", "id-0013")]
    secrets += ["canary.to.0001", "canary.cc.0002", "canary.echoed.0577", "Zone-0012", "canary-body-0815"]
    secrets += ["canary-token-4711", "canary-property-1618", "canary.recipient.3141", "\x1b[31m"]
    (tmp_path / "secrets.txt").write_text("\n".join(secrets))
    outputs = [word for log in works.plant.logs for word in ("--output", str(log))]
    metrics = tmp_path / "metrics.txt"
    metrics.write_text("".join(works.plant.metrics(stage) for stage in ("intake", "delay", "dispatch")))

    ran = commproc(
        "audit",
        "--json",
        "--drained",
        "--calls",
        str(works.plant.folder / "ledger.jsonl"),
        *("--secrets", str(tmp_path / "secrets.txt"), "--output", str(metrics), *outputs),
        config=works.plant.config,
        environ=works.plant.environ,
    )

    found = json.loads(ran.out)
    assert [each for each in found["promises"] if each["verdict"] == "BROKEN"] == []
    assert found["files_searched"] == len(works.plant.logs) + 1
    lines = works.plant.output().splitlines()
    assert all(json.loads(line) for line in lines if line.startswith("{"))
    assert [line for line in lines if not line.isprintable()] == []


def test_no_process_has_ended_or_holds_what_it_was_sent(works: Works) -> None:
    assert all(works.plant.alive().values())
    assert {stage: works.plant.highest_mib(stage) < 200 for stage in STAGES} == dict.fromkeys(STAGES, True)
    assert works.plant.metric("dispatch", "comm_internal_errors_total") == 0
    assert threading.active_count() < 50
