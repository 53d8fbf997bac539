"""
What an href leads to, read as a browser reads it; only what cannot be read in two ways is ever signed.

HTML standard §13.2.5.72-80 (character references in attributes), URL standard §4.4 (basic URL parser).
"""

from __future__ import annotations

import re
from enum import StrEnum
from functools import lru_cache
from html.entities import html5
from ipaddress import AddressValueError, IPv4Address
from typing import Final

import idna

from processor.providers.content import ascii_domain

REFERENCE: Final = re.compile(r"&(?:#(?:([0-9]+)|[xX]([0-9A-Fa-f]+));?|([A-Za-z][A-Za-z0-9]*)(;|=)?)")

BLANKS: Final = " \t\n\f\r"
"""Stripped from both ends by every browser; within, tabs and line ends vanish, which nobody writes in good faith."""

WEB: Final = re.compile(
    r"(?P<scheme>[Hh][Tt][Tt][Pp][Ss]?)://(?P<host>[^\x00-,/:-@\[-^`{-\xa0]+)(?P<port>:[0-9]{1,5})?"
    r"(?P<rest>(?:[/?#][^\x00-\x1f\x7f-\xa0\\\ufdd0-\ufdef\ufffe\uffff]*)?)"
)
"""
An absolute address without credentials, controls and backslashes (which browsers take for slashes).

An empty port, a missing or third slash, a percent sign or brackets in the host: browsers read all of them, each
other program as it likes.
"""

WEB_LIKE: Final = re.compile(r"[\x00-\x20]*h[\t\n\r]*t[\t\n\r]*t[\t\n\r]*p[\t\n\r]*s?[\t\n\r]*:", re.IGNORECASE)
"""What some browser takes for http or https."""

HOST: Final = re.compile(
    r"(?:[A-Za-z0-9_](?:[A-Za-z0-9_-]{0,61}[A-Za-z0-9_])?\.)*[A-Za-z0-9](?:[A-Za-z0-9-]*[A-Za-z0-9])?"
)
HOST_CHARS_MAX: Final = 253  # RFC 1035 §2.3.4, as text
LABEL_CHARS_MAX: Final = 63
NUMBER: Final = re.compile(r"[0-9]+|0[xX][0-9A-Fa-f]*")
"""A last label that makes a browser read the host as an IPv4 address (URL standard, "ends in a number")."""

PORT_MAX: Final = 65_535

ENCODED: Final = re.compile(r"[^!#-;=?-~]+")
"""What a browser percent-encodes as UTF-8 in path, query and fragment alike; the rest is left for it to do."""

UNREADABLE: Final = "\x00"
"""Stands for a character that no address holds."""


class Kept(StrEnum):
    """Why a link to the web keeps its own address in a message whose links are tracked."""

    STRANGE = "strange"  # not every program reads its address in the same way
    TOO_LONG = "too_long"  # for a token
    TOO_MANY = "too_many"  # beyond the links that are tracked of one message


def target(text: str) -> str | Kept | None:
    """
    Return the web address that the unescaped href *text* leads to: ASCII, absolute, http or https in small letters.

    None for what leads elsewhere (mailto, fragments, relative addresses), STRANGE for what only some read as the web.
    """
    found = WEB.fullmatch(text.strip(BLANKS))
    if found is None:
        return Kept.STRANGE if WEB_LIKE.match(text) else None
    host = _host(found["host"])
    if host is None or int((found["port"] or ":0")[1:]) > PORT_MAX:
        return Kept.STRANGE
    rest = ENCODED.sub(_encoded, found["rest"])
    return f"{found['scheme'].lower()}://{host}{found['port'] or ''}{rest}"


def unescaped(value: str) -> str:
    """
    Return the text of an attribute that the source writes as *value*.

    Unlike `html.unescape`, which is for text: in an attribute `&copy=` and `&region=` stay as they are, because
    addresses are full of them.
    """
    references = value.count("&")
    if references == value.count("&amp;"):  # nearly always
        return value.replace("&amp;", "&") if references else value
    return REFERENCE.sub(_character, value)


def _encoded(found: re.Match[str]) -> str:
    return "".join(f"%{byte:02X}" for byte in found[0].encode())


def _character(found: re.Match[str]) -> str:
    decimal, hexadecimal, name, end = found.groups()
    if name:
        if end == ";":
            return html5.get(f"{name};", found[0])
        return html5.get(name, found[0]) if end is None else found[0]
    digits = (decimal or hexadecimal).lstrip("0")
    code = int(digits or "0", 10 if decimal else 16) if len(digits) < 8 else 0  # noqa: PLR2004 - beyond Unicode
    strange = code > 0x10FFFF or 0x7F <= code < 0xA0 or 0xD800 <= code < 0xE000  # noqa: PLR2004 - as their names say
    return UNREADABLE if strange else chr(code)


@lru_cache(4_096)
def _host(name: str) -> str | None:
    """Return *name* as DNS has it; None where it is no name, or one that is mapped to another."""
    written = ascii_domain(name)
    if written is None or len(written) > HOST_CHARS_MAX or not HOST.fullmatch(written):
        return None
    labels = written.lower().split(".")
    if max(map(len, labels)) > LABEL_CHARS_MAX:
        return None
    try:
        if NUMBER.fullmatch(labels[-1]):
            IPv4Address(written)
        elif "xn--" in written.lower():
            idna.decode(written)
    except (AddressValueError, UnicodeError):
        return None
    return written
