"""
A message as bytes on the wire (RFC 5322, RFC 2045-2047, RFC 2183), pure.

Written directly: the standard library's message class takes 0.7 ms for a plain text, and its
generator lets stray header lines through (FAULTS trap 13).
"""

from __future__ import annotations

from binascii import b2a_base64, b2a_qp
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import format_datetime
from functools import lru_cache
from hashlib import blake2b
from typing import TYPE_CHECKING, Final, NamedTuple
from urllib.parse import quote

from processor.core.words import Reason
from processor.providers.content import refused, rejected, visible, wire_address
from processor.providers.smtp import header

if TYPE_CHECKING:
    from collections.abc import Sequence

    from processor.core.message import Attachment, Message
    from processor.core.outcome import Rejected
    from processor.providers.adapter import Submission
    from processor.providers.smtp.config import SmtpConfig
    from processor.providers.smtp.dkim import Signer

ATTEMPT_HEADER: Final = "X-Comm-Attempt"
TEXT_BYTES: Final = bytes([9, *range(32, 127), *range(128, 256)])  # everything but line ends and controls
FIELDS: Final = {
    "Content-Type": "attachments",
    "To": "to",
    "Cc": "cc",
    "Message-ID": "message_id",
    "List-Unsubscribe": "list_unsubscribe",
}
ASCII: Final = bytes(range(128))
BASE64_LINE: Final = 76  # RFC 2045 §6.8


class Mail(NamedTuple):
    """One SMTP transaction."""

    sender: str
    recipients: tuple[str, ...]  # of the envelope, each once
    indexes: tuple[tuple[int, ...], ...]  # of each recipient, into to, cc, bcc in that order
    content: bytes  # CRLF lines, dot-stuffed; without the final dot
    size_bytes: int  # without the stuffed dots, as RFC 1870 §6.3 counts
    submission: Submission  # that it is of, to be asked whether it is over
    eight_bit: bool = False  # the body needs 8BITMIME
    utf8: bool = False  # an address needs SMTPUTF8

    def __repr__(self) -> str:
        """Tell the size alone: the rest is somebody's address and content."""
        return f"Mail(size_bytes={self.size_bytes})"


@dataclass(frozen=True, slots=True)
class Part:
    """A MIME entity: its own header fields and its encoded body, which ends in CRLF."""

    fields: tuple[tuple[str, str], ...]
    body: bytes
    eight_bit: bool = False


def build(
    submission: Submission, config: SmtpConfig, *, now_ms: int, eight_bit: bool = False, signer: Signer | None = None
) -> Mail | Rejected:
    """
    Return the transaction that sends *submission*, or why it can never be sent.

    A text goes as it is where the server takes *eight_bit* (RFC 6152), except under a signature: a relay
    that must encode it anew would break that (RFC 6376 §5.3).
    """
    message = submission.message
    refusal = refused(message, recipient_kind="email") or _refused_mail(message)
    if refusal is not None:
        return refusal
    envelope = _envelope(submission)
    utf8 = not all(map(str.isascii, (*envelope, *map(wire_address, (message.to, *message.cc)))))
    try:
        part = _body(message, eight_bit=eight_bit and signer is None)
        head = header.block([*_fields(submission, config, now_ms=now_ms), *part.fields], utf8=utf8)
    except header.StrayHeader as stray:
        return rejected(Reason.INVALID_CONTENT, FIELDS.get(stray.name, "subject"))
    if signer is not None:
        head = signer.signed(head, part.body, now_ms=now_ms, utf8=utf8) + head
    raw = head + b"\r\n" + part.body
    return Mail(
        sender=config.from_address,
        recipients=tuple(envelope),
        indexes=tuple(map(tuple, envelope.values())),
        content=raw.replace(b"\r\n.", b"\r\n.."),  # RFC 5321 §4.5.2; the first line is a header and starts with no dot
        size_bytes=len(raw),
        submission=submission,
        eight_bit=part.eight_bit,
        utf8=utf8,
    )


def _refused_mail(message: Message) -> Rejected | None:
    if not all(_is_attachable(attachment) for attachment in message.attachments):
        return rejected(Reason.INVALID_CONTENT, "attachments")
    if message.text is None and message.html is None and not message.attachments:
        return rejected(Reason.INVALID_CONTENT, "text")
    return None


def _envelope(submission: Submission) -> dict[str, list[int]]:
    """
    Return whom the mail goes to, nobody twice, in order; with all of each one's indexes.

    Letter case tells mailboxes apart, if their server says so, but not domains (RFC 5321 §2.4).
    """
    message = submission.message
    everyone = (message.to, *message.cc, *message.bcc)
    wanted = range(len(everyone)) if submission.recipients is None else submission.recipients
    envelope: dict[str, list[int]] = {}
    for index in wanted:
        local, _, domain = wire_address(everyone[index]).rpartition("@")
        envelope.setdefault(f"{local}@{domain.lower()}", []).append(index)
    return envelope


def _fields(submission: Submission, config: SmtpConfig, *, now_ms: int) -> list[tuple[str, str]]:
    """The fields of the mail itself; Bcc is on the envelope only."""
    message = submission.message
    fields = [("From", header.mailbox(config.from_name, config.from_address))]
    if config.reply_to:
        fields.append(("Reply-To", config.reply_to))
    fields.append(("To", wire_address(message.to)))
    if message.cc:
        fields.append(("Cc", header.address_list(map(wire_address, message.cc))))
    fields += [
        ("Subject", header.unstructured(visible(message.subject or ""))),
        ("Date", _date(now_ms // 1_000)),
        ("Message-ID", header.message_id(message.head.message_id, config.message_id_domain)),
        (ATTEMPT_HEADER, str(submission.attempt)),
    ]
    if submission.form.list_unsubscribe is not None:
        fields += _unsubscribe(submission.form.list_unsubscribe, message.head.message_id)
    fields.append(("MIME-Version", "1.0"))
    return fields


def _unsubscribe(address: str, message_id: str) -> list[tuple[str, str]]:
    """
    Where to unsubscribe (RFC 2369 §3.2), and that a single POST there does it (RFC 8058 §3.1).

    The RFC wants https; http is our own address in development, which production refuses.
    """
    where = address.replace("{{ message_id }}", quote(message_id, safe=""))
    fields = [("List-Unsubscribe", f"<{where}>")]
    if where.startswith(("https:", "http:")):
        fields.append(("List-Unsubscribe-Post", "List-Unsubscribe=One-Click"))
    return fields


@lru_cache(4)
def _date(unix_s: int) -> str:
    """RFC 5322 §3.3; many mails are written in one second."""
    return format_datetime(datetime.fromtimestamp(unix_s, UTC))


def _body(message: Message, *, eight_bit: bool) -> Part:
    """The MIME tree, as far as it is needed: mixed(alternative(text, html), attachment...)."""
    texts = [
        _text(kind, text, eight_bit=eight_bit)
        for kind, text in (("plain", message.text), ("html", message.html))
        if text is not None
    ]
    bodies = [_multipart("alternative", texts)] if len(texts) > 1 else texts
    if not message.attachments:
        return bodies[0]
    return _multipart("mixed", [*bodies, *map(_attachment, message.attachments)])


def _text(subtype: str, text: str, *, eight_bit: bool) -> Part:
    """Encode as little as possible: as it is, else quoted-printable, else (mostly not ASCII) base64."""
    raw = _lines(text)
    if _is_plain(raw):
        if raw.isascii():
            return _part(f"text/{subtype}; charset=us-ascii", "7bit", raw)
        if eight_bit:
            return _part(f"text/{subtype}; charset=utf-8", "8bit", raw)
    foreign_bytes = len(raw.translate(None, ASCII))
    if foreign_bytes * 6 < len(raw):  # quoted-printable triples those, base64 adds a third to all
        return _part(f"text/{subtype}; charset=utf-8", "quoted-printable", b2a_qp(raw, istext=True))
    return _part(f"text/{subtype}; charset=utf-8", "base64", _base64(raw))


def _lines(text: str) -> bytes:
    """
    Return *text* in UTF-8, in lines that end in CRLF, the last one too.

    A CR or LF alone is a line end to some servers: what follows could be a mail of its own (FAULTS trap 14). None
    is left here: once no CR is there, each LF gets one before it.
    """
    raw = text.encode("utf-8")
    if b"\r" in raw:
        raw = raw.replace(b"\r\n", b"\n").replace(b"\r", b"\n")
    # b2a_qp breaks lines as the first one in its input ends: there must be one.
    return (raw if raw.endswith(b"\n") else raw + b"\n").replace(b"\n", b"\r\n")


def _is_attachable(attachment: Attachment) -> bool:
    """Not yet by reference; and RFC 2046 §5.2.1 forbids base64, our only encoding, for composite types."""
    composite = attachment.content_type.lower().startswith(("multipart/", "message/"))
    return attachment.content is not None and not composite


def _attachment(attachment: Attachment) -> Part:
    disposition = ("Content-Disposition", f"attachment;\r\n {header.file_name(visible(attachment.file_name))}")
    part = _part(attachment.content_type, "base64", _base64(attachment.content or b""))
    return Part((*part.fields, disposition), part.body)


def _part(content_type: str, encoding: str, body: bytes) -> Part:
    fields = (("Content-Type", content_type), ("Content-Transfer-Encoding", encoding))
    return Part(fields, body if body.endswith(b"\r\n") else body + b"\r\n", eight_bit=encoding == "8bit")


def _multipart(subtype: str, parts: Sequence[Part]) -> Part:
    """Join *parts*. Raises `StrayHeader`."""
    # No text can hold the hash of itself, so that none can end its own part; the same parts give the same bytes.
    digest = blake2b(b"".join(part.body for part in parts), digest_size=16, person=subtype.encode())
    boundary = f"=_{digest.hexdigest()}"
    frame = boundary.encode()
    entities = [b"--%b\r\n%b\r\n%b" % (frame, header.block(part.fields), part.body) for part in parts]
    body = b"\r\n".join(entities) + b"\r\n--%b--\r\n" % frame
    kind = ("Content-Type", f'multipart/{subtype};\r\n boundary="{boundary}"')
    if not any(part.eight_bit for part in parts):
        return Part((kind,), body)
    return Part((kind, ("Content-Transfer-Encoding", "8bit")), body, eight_bit=True)  # RFC 2045 §6.4


def _base64(raw: bytes) -> bytes:
    encoded = b2a_base64(raw, newline=False)
    return b"\r\n".join(encoded[at : at + BASE64_LINE] for at in range(0, len(encoded), BASE64_LINE))


def _is_plain(raw: bytes) -> bool:
    """Tell whether *raw*, of `_lines`, has lines of at most 998 bytes (RFC 5322 §2.1.1) and no controls."""
    if raw.translate(None, TEXT_BYTES).strip(b"\r\n"):
        return False
    at = 0
    while at < len(raw):  # the last line end within reach: the lines before it are shorter still
        at = raw.rfind(b"\r\n", at, at + header.LINE_BYTES_MAX + 2) + 2
        if at == 1:
            return False
    return True
