"""
Tokens of tracked links, pixels and unsubscribe links: signed, bound to one purpose, and whole in themselves.

A token is base64url (RFC 4648 §5, without padding) of: the key's id (one byte), the first 16 bytes of an
HMAC-SHA256 (RFC 2104) over what follows, under a key that is derived for the purpose, and the content, deflated (RFC
1951) where it would be too long. The target of a click travels inside, so a redirect only ever goes where we signed.
"""

import binascii
import hmac
import zlib
from base64 import urlsafe_b64encode
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from hashlib import sha256
from typing import Final, NamedTuple

TOKEN_CHARS_MAX: Final = 1_900
"""Of a token; with the public address in front of it a link stays below 2,000 characters."""

_MAC_BYTES: Final = 16
_BODY_BYTES_MAX: Final = TOKEN_CHARS_MAX * 3 // 4 - 1 - _MAC_BYTES
_CONTENT_BYTES_MAX: Final = 65_536  # inflated
# base64's own functions take three times as long. What is not urlsafe becomes what is not base64.
_FROM_URLSAFE: Final = bytes.maketrans(b"-_+/=", b"+/!!!")
_LAST: Final[
    tuple[frozenset[int], ...]
] = (  # characters that a token may end with, by its length modulo 4: the bits that are left over are 0
    frozenset(b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"),
    frozenset(),
    frozenset(b"AQgw"),
    frozenset(b"AEIMQUYcgkosw048"),
)
_PADDING: Final = (b"", b"", b"==", b"=")
_DEFLATED: Final = 1
_PLAIN: Final = 0
_SEPARATOR: Final = "\x00"


class Purpose(StrEnum):
    """What a token opens, and nothing else; the last step of its address."""

    OPEN = "o"
    CLICK = "c"
    UNSUBSCRIBE = "u"


HIDDEN_LINK: Final = -1
"""Position of the link that no person sees: who follows it is a machine."""


class Ticket(NamedTuple):
    """What a token says: which message; for a click where to; for an unsubscribe who, by keyed hash, and from what."""

    message_id: str
    channel: str
    sent_at_s: int  # Unix seconds of the submission
    campaign_id: str | None = None
    external_id: str | None = None
    url: str | None = None
    position: int = 0  # of the link among those of the message
    address_hash: str | None = None
    scope: str | None = None


_FIELDS: Final = len(Ticket._fields)


@dataclass(frozen=True, slots=True)
class Keys:
    """The secrets that sign, by id (0 to 255); *current* signs, all of them are accepted."""

    current: int
    secrets: Mapping[int, bytes] = field(repr=False)

    def __post_init__(self) -> None:
        """Refuse a current key that is not there."""
        if self.current not in self.secrets:
            raise ValueError("the current key is none of the keys")


class Sealer:
    """Makes and opens tokens; the derived keys are made once."""

    def __init__(self, keys: Keys) -> None:
        """Sign with the current key of *keys*."""
        self._current = keys.current
        derived = {
            (key_id, purpose): hmac.digest(secret, f"commproc token {purpose}".encode(), sha256)
            for key_id, secret in keys.secrets.items()
            for purpose in Purpose
        }
        self._macs = {each: hmac.new(key, digestmod=sha256) for each, key in derived.items()}
        self._any = next(iter(self._macs.values()))

    def seal(self, purpose: Purpose, ticket: Ticket) -> str | None:
        """Return the token of *ticket*; None where it would be longer than TOKEN_CHARS_MAX, or a NUL is in a text."""
        texts = ["" if each is None else str(each) for each in ticket]
        content = _SEPARATOR.join(texts).encode()
        if content.count(b"\x00") != len(texts) - 1:
            return None
        body = bytes((_PLAIN,)) + content
        if len(body) > _BODY_BYTES_MAX:  # deflating takes ten times as long as all the rest
            body = bytes((_DEFLATED,)) + zlib.compress(content, wbits=-zlib.MAX_WBITS)
        if len(body) > _BODY_BYTES_MAX or len(content) > _CONTENT_BYTES_MAX:
            return None
        head = bytes((self._current,)) + code_of(self._macs[self._current, purpose], body)[:_MAC_BYTES]
        return urlsafe_b64encode(head + body).rstrip(b"=").decode("ascii")

    def open(self, purpose: Purpose, token: str) -> Ticket | None:
        """
        Return what *token* says, or None for one that we did not make for this purpose.

        Takes the same steps for every token of a length, whatever is wrong with it; only the one way to
        write a token is taken, so that nobody gets two names for one act.
        """
        raw = _decoded(token)
        if raw is None or len(raw) <= 1 + _MAC_BYTES:
            raw = bytes(1 + _MAC_BYTES + 1)
            mac = None
        else:
            mac = self._macs.get((raw[0], purpose))
        body = raw[1 + _MAC_BYTES :]
        code = code_of(mac or self._any, body)[:_MAC_BYTES]
        genuine = hmac.compare_digest(code, raw[1 : 1 + _MAC_BYTES])
        return _ticket(body) if genuine and mac is not None else None


def code_of(mac: hmac.HMAC, text: bytes) -> bytes:
    """Return the code of *text* under the key of *mac*, which stays as it is: its own blocks are hashed only once."""
    copied = mac.copy()
    copied.update(text)
    return copied.digest()


def _decoded(token: str) -> bytes | None:
    if not 0 < len(token) <= TOKEN_CHARS_MAX or not token.isascii():
        return None
    written = token.encode("ascii")
    rest = len(written) % 4
    if written[-1] not in _LAST[rest]:
        return None
    try:
        return binascii.a2b_base64(written.translate(_FROM_URLSAFE) + _PADDING[rest], strict_mode=True)
    except binascii.Error:
        return None


def _ticket(body: bytes) -> Ticket | None:
    """Return what a genuine body says; None for one that a later release wrote otherwise."""
    content = body[1:]
    try:
        if body[0] == _DEFLATED:
            content = zlib.decompressobj(wbits=-zlib.MAX_WBITS).decompress(content, _CONTENT_BYTES_MAX)
        parts = content.decode().split(_SEPARATOR)
        if len(parts) != _FIELDS:
            return None
        message_id, channel, sent_at, campaign_id, external_id, url, position, address_hash, scope = parts
        return Ticket(
            message_id,
            channel,
            int(sent_at or 0),
            campaign_id or None,
            external_id or None,
            url or None,
            int(position or 0),
            address_hash or None,
            scope or None,
        )
    except (ValueError, zlib.error):  # not deflated, not UTF-8, not a number
        return None
