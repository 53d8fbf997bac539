"""What no adapter sends, whatever its protocol: checked once, before any socket is touched."""

from __future__ import annotations

import re
import unicodedata
from functools import lru_cache
from typing import TYPE_CHECKING, Final

import idna

from processor.core.outcome import Rejected, Stage
from processor.core.words import Reason

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from processor.core.message import Message

BREAKS: Final = re.compile("[\x00-\x1f\x7f-\x9f\u2028\u2029]")
"""Controls and everything that some reader takes for a line end: a value with one could start a header of its own."""

SURROGATES: Final = re.compile("[\ud800-\udfff]")
"""Half characters: they cannot be written as UTF-8."""

INVISIBLE: Final = re.compile("[\u200b\u2060\u202a-\u202e\u2066-\u2069\ufeff]")
"""
Stripped from headers: they reverse or hide what a reader sees ("exe.fdp" shown as "pdf.exe").

The joiners U+200C and U+200D stay: Persian words and family emoji need them.
"""

ADDRESS: Final = re.compile(
    r"(?P<local>[A-Za-z0-9!#$%&'*+/=?^_`{|}~-]+(?:\.[A-Za-z0-9!#$%&'*+/=?^_`{|}~-]+)*)"
    r"@(?P<domain>(?:[A-Za-z0-9](?:[A-Za-z0-9-]{0,61}[A-Za-z0-9])?\.)*[A-Za-z0-9](?:[A-Za-z0-9-]{0,61}[A-Za-z0-9])?)"
)
"""One address, RFC 5321 `Mailbox` with a dot-string: no lists, groups, quotes, display names or parameters."""

ATOMS_UTF8: Final = re.compile(
    r"[A-Za-z0-9!#$%&'*+/=?^_`{|}~\x80-\U0010ffff-]+(?:\.[A-Za-z0-9!#$%&'*+/=?^_`{|}~\x80-\U0010ffff-]+)*"
)
"""A dot-string that may hold more than ASCII (RFC 6531 §3.3)."""

LOCAL_CHARS_MAX: Final = 64  # RFC 5321 §4.5.3.1.1; octets in RFC 6531 §3.3
ADDRESS_CHARS_MAX: Final = 254  # RFC 5321 §4.5.3.1.3, less the angle brackets

PHONE: Final = re.compile(r"\+?[1-9][0-9]{6,14}")
"""A number of E.164: at most 15 ASCII digits that begin with a country code."""

CONTENT_TYPE: Final = re.compile(r"[A-Za-z0-9!#$&^_.+-]{1,64}/[A-Za-z0-9!#$&^_.+-]{1,64}")
"""`type/subtype` without parameters, RFC 6838 §4.2."""


def is_address(text: str) -> bool:
    """Tell whether *text* is exactly one mail address."""
    found = ADDRESS.fullmatch(text) if len(text) <= ADDRESS_CHARS_MAX else None
    return found is not None and len(found["local"]) <= LOCAL_CHARS_MAX


def is_mailbox(text: str) -> bool:
    """Tell whether *text* is exactly one mail address, which may hold more than ASCII (RFC 6531 §3.3)."""
    if text.isascii():
        return is_address(text)
    if len(text) > ADDRESS_CHARS_MAX:
        return False
    local, _, domain = text.rpartition("@")
    written = ascii_domain(domain)
    return written is not None and is_address(f"x@{written}") and _is_local(local, len(written))


def wire_address(mailbox: str) -> str:
    """Return a `is_mailbox` as it goes on the wire: its domain in A-labels, which every server understands."""
    if mailbox.isascii():
        return mailbox
    local, _, domain = mailbox.rpartition("@")
    return f"{local}@{ascii_domain(domain)}"


@lru_cache(4_096)
def ascii_domain(domain: str) -> str | None:
    """
    Return *domain* in A-labels (RFC 5890 §2.3.2.1), None for what is no domain.

    Nothing but letter case may be mapped away (UTS 46 maps much): what looks like an @ or a dot, or is
    not seen at all, would make an address that somebody else reads differently.
    """
    if domain.isascii():
        return domain
    try:
        written = idna.encode(domain, uts46=True, std3_rules=True).decode("ascii")
        shown = idna.decode(written)
    except UnicodeError:
        return None
    return written if shown == unicodedata.normalize("NFC", domain.lower()) else None


def _is_local(local: str, domain_chars: int) -> bool:
    """Tell whether *local* can stand before the @: visible characters that no reader maps to others."""
    if not ATOMS_UTF8.fullmatch(local) or not local.isprintable() or unicodedata.normalize("NFKC", local) != local:
        return False
    octets = len(local.encode())
    return octets <= LOCAL_CHARS_MAX and octets + 1 + domain_chars <= ADDRESS_CHARS_MAX


def is_phone(text: str) -> bool:
    """Tell whether *text* is exactly one phone number."""
    return PHONE.fullmatch(text) is not None


def is_line(text: str) -> bool:
    """Tell whether *text* is non-empty and stays on one line everywhere."""
    return bool(text) and _is_clean_line(text)


RECIPIENT_KINDS: Final[Mapping[str, Callable[[str], bool]]] = {
    "email": is_mailbox,
    "phone": is_phone,
    "any": is_line,
}


def refused(message: Message, *, recipient_kind: str) -> Rejected | None:
    """Return why *message* can never be sent, with the field's name and not its content; None if it can."""
    return _refused_recipients(message, RECIPIENT_KINDS[recipient_kind]) or refused_content(message)


def visible(text: str) -> str:
    """Return *text* as it goes into a header: without characters that hide or reverse others."""
    return text if text.isascii() else INVISIBLE.sub("", text)


def rejected(reason: Reason, field_name: str) -> Rejected:
    """Return the outcome of a message that is refused before any connection."""
    return Rejected(reason, stage=Stage.CONNECT, field_name=field_name)


def _refused_recipients(message: Message, is_recipient: Callable[[str], bool]) -> Rejected | None:
    if not is_recipient(message.to):
        return rejected(Reason.INVALID_RECIPIENT, "to")
    for name, values in (("cc", message.cc), ("bcc", message.bcc)):
        if values and not all(map(is_recipient, values)):
            return rejected(Reason.INVALID_RECIPIENT, name)
    return None


def refused_content(message: Message) -> Rejected | None:
    """
    Return why *message*, whoever it is for, can never be sent; None if it can.

    The fields that are written where a line end would mean something come first, then the bodies.
    """
    if message.subject and not _is_clean_line(message.subject):
        return rejected(Reason.INVALID_CONTENT, "subject")
    for attachment in message.attachments:
        if not _is_clean_line(attachment.file_name) or not CONTENT_TYPE.fullmatch(attachment.content_type):
            return rejected(Reason.INVALID_CONTENT, "attachments")
    for name, body in (("text", message.text), ("html", message.html)):
        if body and not _is_clean_body(body):
            return rejected(Reason.INVALID_CONTENT, name)
    return None


def _is_clean_line(text: str) -> bool:
    if text.isascii():
        return text.isprintable()
    return BREAKS.search(text) is None and SURROGATES.search(text) is None


def _is_clean_body(text: str) -> bool:
    return "\x00" not in text and (text.isascii() or SURROGATES.search(text) is None)
