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

FIELD: Final = re.compile(rb"([!-9;-~]+):[\t -~]*\r\n(?:[ \t]+[!-~][\t -~]*\r\n)*")
"""
A whole field, RFC 5322 §2.2: a printable name without a colon, printable text, folded lines.

A folded line of blanks alone would end the header for some readers.
"""

FIELD_UTF8: Final = re.compile(rb"([!-9;-~]+):[\t -~\x80-\xff]*\r\n(?:[ \t]+[!-~\x80-\xff][\t -~\x80-\xff]*\r\n)*")
"""The same where the server takes UTF-8 in headers (RFC 6532 §3.2)."""

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

    Only the base name: a path would let a message choose where a careless reader saves it. A long one is cut
    before its extension, by which readers choose a program. Only one form: with two names a scanner may judge
    the one and a reader use the other.
    """
    base = _short(re.split(r"[/\\]", text)[-1].strip(". ")) or "attachment"
    if PLAIN_NAME.fullmatch(base):
        return f'filename="{base}"'
    return f"filename*=utf-8''{quote(base, safe='')}"


def _short(name: str) -> str:
    """Return *name* in at most FOLD_CHARS characters, which are no more than a line may hold, each as `%XX` of four."""
    stem, dot, extension = name.rpartition(".")
    kept = FOLD_CHARS - len(dot + extension)
    if len(name) <= FOLD_CHARS or not stem or kept < 1:
        return name[:FOLD_CHARS]
    return stem[:kept] + dot + extension


def message_id(local: str, domain: str) -> str:
    """Return `<local@domain>`; characters of our ids that RFC 5322 §3.6.4 forbids are written as `=XX`."""
    if not DOT_ATOM.fullmatch(local):
        local = local.replace(":", "=3A").replace(".", "=2E")
    return f"<{local}@{domain}>"


def block(fields: Sequence[tuple[str, str]], *, utf8: bool = False) -> bytes:
    """
    Return *fields* as header lines. Raises `StrayHeader` where these would not be exactly those fields.

    The bytes are read back, because what was checked on the way in is not what is sent: encoders and
    folding lie between, and a stray line here is a Bcc somebody else chose (FAULTS trap 13).
    """
    raw = _written(fields)
    if not _reads_as(fields, raw, utf8=utf8):
        stray = next((field for field in fields if not _reads_as([field], _written([field]), utf8=utf8)), fields[0])
        raise StrayHeader(stray[0])
    return raw


def _written(fields: Iterable[tuple[str, str]]) -> bytes:
    return "".join([f"{name}: {value}\r\n" for name, value in fields]).encode("utf-8", "surrogateescape")


def _reads_as(fields: Iterable[tuple[str, str]], raw: bytes, *, utf8: bool) -> bool:
    """Tell whether *raw* is read as those *fields* and nothing besides, in lines that may be sent."""
    # Splitting leaves the names, and between them what is no part of any field: nothing.
    read = (FIELD_UTF8 if utf8 else FIELD).split(raw)
    if read[1::2] != [name.encode() for name, _ in fields] or any(read[::2]):
        return False
    return len(raw) <= LINE_BYTES_MAX or max(map(len, raw.split(b"\r\n"))) <= LINE_BYTES_MAX


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
