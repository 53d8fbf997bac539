"""Texts of short messages: the alphabet they need, and the parts they are sent in. Whatever the protocol."""

from __future__ import annotations

import codecs
from enum import StrEnum
from typing import Final, NamedTuple

from gsm0338 import Codec

ESCAPE: Final = 0x1B  # 3GPP TS 23.038 §6.2.1: the next septet is of the extension table


class Encoding(StrEnum):
    """How a text is written."""

    GSM7 = "gsm7"  # 3GPP TS 23.038 §6.2.1, default alphabet and extension table; one septet in an octet here
    UCS2 = "ucs2"  # 3GPP TS 23.038 §6.2.3; as UTF-16, big endian, which is what handsets read


class Room(NamedTuple):
    """How many octets of our form fit one short message (140 octets on the air)."""

    alone: int
    part: int  # of several: 6 of the 140 octets are the header that joins them (3GPP TS 23.040 §9.2.3.24.1)


ROOM: Final = {Encoding.GSM7: Room(160, 153), Encoding.UCS2: Room(140, 134)}


class Text(NamedTuple):
    """A text as it is sent; its repr shows no content."""

    encoding: Encoding
    parts: tuple[bytes, ...]

    @property
    def segments(self) -> int:
        """How many short messages it takes."""
        return len(self.parts)

    def __repr__(self) -> str:
        """Show the form alone."""
        return f"Text({self.encoding}, segments={self.segments})"


def _alphabet() -> dict[int, bytes]:
    """Return the octets of each character; ESC is none: with it, a text could say what it does not show."""
    codec = Codec()
    alphabet: dict[int, bytes] = {}
    for point in range(0x20AC + 1):  # the euro sign is the highest of both tables
        try:
            alphabet[point] = codec.encode(chr(point))[0]
        except UnicodeEncodeError:
            continue
    del alphabet[ESCAPE]
    return alphabet


ALPHABET: Final = _alphabet()


def parts_of(text: str) -> Text:
    """
    Return *text* in as few parts as its alphabet allows; nothing is replaced or left out.

    GSM 7-bit where every character is in its tables, else UCS-2 for the whole. Never cut inside an escape
    sequence or a surrogate pair. Raises UnicodeEncodeError for half a surrogate pair, which is no text.
    """
    try:
        octets, encoding = codecs.charmap_encode(text, "strict", ALPHABET)[0], Encoding.GSM7
    except UnicodeEncodeError:
        octets, encoding = text.encode("utf-16-be"), Encoding.UCS2
    room = ROOM[encoding]
    if len(octets) <= room.alone:
        return Text(encoding, (octets,))
    return Text(encoding, tuple(_cut(octets, encoding, room.part)))


def whole(text: Text) -> bytes:
    """Return the octets of all parts, for a protocol that leaves the cutting to the provider."""
    return b"".join(text.parts)


def _cut(octets: bytes, encoding: Encoding, room: int) -> list[bytes]:
    parts = []
    begin = 0
    while len(octets) - begin > room:
        end = begin + room
        if _is_inside(octets, encoding, end):
            end -= 1 if encoding is Encoding.GSM7 else 2
        parts.append(octets[begin:end])
        begin = end
    return [*parts, octets[begin:]]


def _is_inside(octets: bytes, encoding: Encoding, at: int) -> bool:
    """Tell whether a cut at *at* would part an escape from its septet, or a pair of surrogates."""
    if encoding is Encoding.GSM7:
        return octets[at - 1] == ESCAPE
    return 0xD8 <= octets[at - 2] <= 0xDB  # noqa: PLR2004 - the high surrogates, U+D800 to U+DBFF
