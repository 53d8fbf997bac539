"""What no adapter sends, whatever its protocol: checked once, before any socket is touched."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

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

LOCAL_CHARS_MAX: Final = 64  # RFC 5321 §4.5.3.1.1
ADDRESS_CHARS_MAX: Final = 254  # RFC 5321 §4.5.3.1.3, less the angle brackets

PHONE: Final = re.compile(r"\+?[1-9][0-9]{6,14}")
"""A number of E.164: at most 15 ASCII digits that begin with a country code."""

CONTENT_TYPE: Final = re.compile(r"[A-Za-z0-9!#$&^_.+-]{1,64}/[A-Za-z0-9!#$&^_.+-]{1,64}")
"""`type/subtype` without parameters, RFC 6838 §4.2."""


def is_address(text: str) -> bool:
    """Tell whether *text* is exactly one mail address."""
    found = ADDRESS.fullmatch(text) if len(text) <= ADDRESS_CHARS_MAX else None
    return found is not None and len(found["local"]) <= LOCAL_CHARS_MAX


def is_phone(text: str) -> bool:
    """Tell whether *text* is exactly one phone number."""
    return PHONE.fullmatch(text) is not None


def is_line(text: str) -> bool:
    """Tell whether *text* is non-empty and stays on one line everywhere."""
    return bool(text) and _is_clean_line(text)


RECIPIENT_KINDS: Final[Mapping[str, Callable[[str], bool]]] = {
    "email": is_address,
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
