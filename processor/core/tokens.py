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
_FROM_URLSAFE: Final = bytes.maketrans(b"-_", b"+/")  # base64's own functions take three times as long
_TO_URLSAFE: Final = bytes.maketrans(b"+/", b"-_")
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
        self._derived = {
            (key_id, purpose): hmac.digest(secret, f"commproc token {purpose}".encode(), sha256)
            for key_id, secret in keys.secrets.items()
            for purpose in Purpose
        }
        self._any = next(iter(self._derived.values()))

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
        head = bytes((self._current,)) + self._mac(self._current, purpose, body)
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
            known = False
        else:
            known = (raw[0], purpose) in self._derived
        body = raw[1 + _MAC_BYTES :]
        genuine = hmac.compare_digest(self._mac(raw[0], purpose, body), raw[1 : 1 + _MAC_BYTES])
        return _ticket(body) if genuine and known else None

    def _mac(self, key_id: int, purpose: Purpose, body: bytes) -> bytes:
        return hmac.digest(self._derived.get((key_id, purpose), self._any), body, sha256)[:_MAC_BYTES]


def _decoded(token: str) -> bytes | None:
    if not 0 < len(token) <= TOKEN_CHARS_MAX or not token.isascii():
        return None
    written = token.encode("ascii")
    try:
        raw = binascii.a2b_base64(written.translate(_FROM_URLSAFE) + b"==="[: -len(written) % 4])
    except binascii.Error:
        return None
    return raw if binascii.b2a_base64(raw, newline=False).translate(_TO_URLSAFE, b"=") == written else None


def _ticket(body: bytes) -> Ticket | None:
    """Return what a genuine body says; None for one that a later release wrote otherwise."""
    content = body[1:]
    if body[0] == _DEFLATED:
        content = zlib.decompressobj(wbits=-zlib.MAX_WBITS).decompress(content, _CONTENT_BYTES_MAX)
    parts = content.decode().split(_SEPARATOR)
    if len(parts) != len(Ticket._fields):
        return None
    texts = [part or None for part in parts]
    message_id, channel, sent_at, campaign_id, external_id, url, position, address_hash, scope = texts
    return Ticket(
        message_id or "",
        channel or "",
        int(sent_at or 0),
        campaign_id,
        external_id,
        url,
        int(position or 0),
        address_hash,
        scope,
    )
