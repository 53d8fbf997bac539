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
DOT_ATOM: Final = re.compile(r"[^.:]+(?:\.[^.:]+)*")


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
    Return the parameters that name an attachment: for every reader, and in full for modern ones.

    Only the base name: a path would let a message choose where a careless reader saves it.
    """
    base = re.split(r"[/\\]", text)[-1].strip(". ") or "attachment"
    plain = re.sub(r"[^A-Za-z0-9._ -]", "_", base)
    if plain == base and len(plain) <= FOLD_CHARS:
        return f'filename="{plain}"'
    full = quote(base[:FOLD_CHARS], safe="")  # RFC 2231 §4
    return f"filename=\"{plain[:FOLD_CHARS]}\";\r\n filename*=utf-8''{full}"


def message_id(local: str, domain: str) -> str:
    """Return `<local@domain>`; characters of our ids that RFC 5322 §3.6.4 forbids are written as `=XX`."""
    if not DOT_ATOM.fullmatch(local):
        local = local.replace(":", "=3A").replace(".", "=2E")
    return f"<{local}@{domain}>"


def block(fields: Sequence[tuple[str, str]]) -> bytes | None:
    """
    Return *fields* as header lines, or None where these would not be exactly those fields.

    The bytes are read back, because what was checked on the way in is not what is sent: encoders
    and folding lie between, and a stray line here is a Bcc somebody else chose (FAULTS trap 13).
    """
    head = "".join(f"{name}: {value}\r\n" for name, value in fields)
    if not head.isascii():
        return None
    raw = head.encode("ascii")
    return raw if _field_names(raw) == [name for name, _ in fields] else None


def _field_names(raw: bytes) -> list[str] | None:
    """The names of the fields in *raw*; None where a line is too long, blank, or not printable."""
    names: list[str] = []
    for line in raw.split(b"\r\n")[:-1]:
        if not PRINTABLE_LINE.fullmatch(line) or len(line) > LINE_BYTES_MAX:
            return None
        if line[:1] in {b" ", b"\t"}:
            if not line.strip():
                return None
            continue
        start = FIELD_START.match(line)
        if start is None:
            return None
        names.append(start[1].decode("ascii"))
    return names


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
