"""Header fields of a mail: ASCII on the wire, whatever they say (RFC 5322, RFC 2047, RFC 2231)."""

from __future__ import annotations

import re
from binascii import b2a_base64
from typing import TYPE_CHECKING, Final
from urllib.parse import quote

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

LINE_BYTES_MAX: Final = 998  # RFC 5322 §2.1.1, without CRLF
FOLD_CHARS: Final = 76  # RFC 5322 §2.1.1 asks for 78
ENCODED_WORD_BYTES: Final = 45  # 60 characters of base64, 72 with the frame; RFC 2047 §2 allows 75

PRINTABLE_LINE: Final = re.compile(rb"[ \t!-~]+")
FIELD_START: Final = re.compile(rb"([!-9;-~]+):")  # RFC 5322 §3.6.8: printable, no colon
PLAIN_NAME: Final = re.compile(r"[A-Za-z0-9._ -]+")
DOT_ATOM: Final = re.compile(r"[^.:]+(?:\.[^.:]+)*")


class StrayHeader(ValueError):
    """A field would be written as something else; *name* is the field's, its value is not told."""

    def __init__(self, name: str) -> None:
        super().__init__(name)
        self.name = name


def unstructured(text: str) -> str:
    """
    Return the value of a free-text field such as Subject, folded.

    Text that is not plain ASCII becomes encoded words, and so does text that looks like one: sent
    as it is, `=?UTF-8?Q?=0A?=Bcc: x@y` would be a new header for readers that decode first.
    """
    words = text.split(" ")
    if _needs_encoding(text) or "" in words or max(map(len, words)) > FOLD_CHARS:
        return "\r\n ".join(_encoded_words(text)) if text else ""
    return _folded(words, " ")


def mailbox(name: str | None, address: str) -> str:
    """Return `"name" <address>`, or the address alone."""
    if not name:
        return address
    if _needs_encoding(name):
        phrase = "\r\n ".join(_encoded_words(name))
    else:
        phrase = '"' + name.replace("\\", "\\\\").replace('"', '\\"') + '"'
    return f"{phrase}\r\n <{address}>"


def address_list(addresses: Iterable[str]) -> str:
    """Return the value of To or Cc, folded between addresses."""
    return ",\r\n ".join(addresses)


def file_name(text: str) -> str:
    """
    Return the parameter that names an attachment: plain, or in the form of RFC 2231 §4.

    Only the base name: a path would let a message choose where a careless reader saves it. Only one
    form: with two names a scanner may judge the one and a reader use the other.
    """
    base = re.split(r"[/\\]", text)[-1].strip(". ")[:FOLD_CHARS] or "attachment"
    if PLAIN_NAME.fullmatch(base):
        return f'filename="{base}"'
    return f"filename*=utf-8''{quote(base, safe='')}"


def message_id(local: str, domain: str) -> str:
    """Return `<local@domain>`; characters of our ids that RFC 5322 §3.6.4 forbids are written as `=XX`."""
    if not DOT_ATOM.fullmatch(local):
        local = local.replace(":", "=3A").replace(".", "=2E")
    return f"<{local}@{domain}>"


def block(fields: Sequence[tuple[str, str]]) -> bytes:
    """
    Return *fields* as header lines. Raises `StrayHeader` where these would not be exactly those fields.

    The bytes of each are read back, because what was checked on the way in is not what is sent: encoders
    and folding lie between, and a stray line here is a Bcc somebody else chose (FAULTS trap 13).
    """
    return b"".join(_field(name, value) for name, value in fields)


def _field(name: str, value: str) -> bytes:
    raw = f"{name}: {value}\r\n".encode("utf-8", "surrogateescape")
    first, *more = raw.split(b"\r\n")[:-1]
    start = FIELD_START.match(first)
    names_itself = start is not None and start[1].decode("ascii") == name
    if not names_itself or not all(_is_line(line) for line in (first, *more)) or not all(map(_continues, more)):
        raise StrayHeader(name)
    return raw


def _is_line(line: bytes) -> bool:
    return len(line) <= LINE_BYTES_MAX and PRINTABLE_LINE.fullmatch(line) is not None


def _continues(line: bytes) -> bool:
    """Tell whether *line* belongs to the field before it; one of blanks alone would end the header for some readers."""
    return line.startswith((b" ", b"\t")) and not line.isspace()


def _needs_encoding(text: str) -> bool:
    return not text.isascii() or "=?" in text


def _encoded_words(text: str) -> list[str]:
    """Split *text* between characters into RFC 2047 encoded words."""
    words: list[str] = []
    chunk = b""
    for char in text:
        raw = char.encode("utf-8")
        if len(chunk) + len(raw) > ENCODED_WORD_BYTES:
            words.append(_encoded_word(chunk))
            chunk = b""
        chunk += raw
    return [*words, _encoded_word(chunk)]


def _encoded_word(raw: bytes) -> str:
    return f"=?utf-8?b?{b2a_base64(raw, newline=False).decode('ascii')}?="


def _folded(words: Sequence[str], separator: str) -> str:
    lines = [words[0]]
    for word in words[1:]:
        if len(lines[-1]) + len(word) < FOLD_CHARS:
            lines[-1] += separator + word
        else:
            lines.append(word)
    return "\r\n ".join(lines)
