"""What we wrote ourselves and read again from where others can write: headers, commits, tokens."""

from __future__ import annotations

import base64
import zlib

from fuzz.target import Target, must
from processor.codec.errors import Unreadable
from processor.codec.facts import decode_facts, encode_facts
from processor.core.message import Facts, Origin
from processor.core.tokens import TOKEN_CHARS_MAX, Keys, Purpose, Sealer, Ticket, code_of
from processor.core.words import Reason
from processor.kafka.journal import JournalUnreadable, decode, encode

MARK = 1_000
SEALER = Sealer(Keys(1, {1: b"a key that is made up, for fuzzing", 2: b"another one"}))
TICKET = Ticket(
    "m-1", "Email", 1_750_000_000, "spring", "crm-1", "https://shop.example.com/?a=b", 3, "ab" * 16, "campaign"
)


def facts(data: bytes) -> None:
    """Read the header that travels with a message on our own topics."""
    try:
        found = decode_facts(data)
    except Unreadable:
        return
    must(decode_facts(encode_facts(found)) == found, "what is read can be said")


def journal(data: bytes) -> None:
    """Read the metadata of a commit: as it comes, or what is packed in it."""
    kind, rest = data[:1], data[1:]
    packed = base64.b64encode(zlib.compress(rest)).decode("ascii") if kind < b"\x80" else rest.decode("latin-1")
    try:
        entry = decode(MARK, packed)
    except JournalUnreadable:
        return
    must(decode(MARK, encode(MARK, entry.started, entry.finished)) == entry, "what is read can be said")
    must(min(entry.started | entry.finished, default=MARK) >= MARK, "nothing lies below the mark")


def token(data: bytes) -> None:
    """Open what may be a token, and a token that we signed of whatever is within."""
    if not data:
        return
    purpose = list(Purpose)[data[0] % 3]
    if data[0] < 0x80:  # noqa: PLR2004 - one half of all inputs
        text = data[1:].decode("latin-1")
    else:
        code = code_of(SEALER._macs[1, purpose], data[1:])[:16]  # noqa: SLF001 - nobody else can sign
        text = base64.urlsafe_b64encode(b"\1" + code + data[1:]).rstrip(b"=").decode("ascii")
    for asked in Purpose:
        found = SEALER.open(asked, text)
        must(found is None or (asked is purpose and len(text) <= TOKEN_CHARS_MAX), "a token opens one thing")
        if found is not None:
            sealed = SEALER.seal(asked, found)
            must(sealed is None or SEALER.open(asked, sealed) == found, "what is read can be said")


FACTS = Facts(Origin("comm.outbound", 1, 2), 3, 4, 5, 6, 7, Reason.IN_DOUBT, ("a", "b"), (0, 2))
SEALED = SEALER.seal(Purpose.CLICK, TICKET) or ""
CONTENT = base64.urlsafe_b64decode(SEALED + "=" * (-len(SEALED) % 4))[17:]

TARGETS = {
    "facts": Target(facts, (encode_facts(FACTS), encode_facts(FACTS._replace(tried=(), open_recipients=None)))),
    "journal": Target(
        journal,
        (
            b"\xff" + encode(MARK, [1_002], [1_001, 1_005]).encode(),
            b"\0" + zlib.decompress(base64.b64decode(encode(MARK, [1_002], [1_001, 1_005]))),
        ),
    ),
    "token": Target(token, (b"\1" + SEALED.encode(), b"\x82" + CONTENT, b"\x82\1" + zlib.compress(CONTENT, wbits=-15))),
}
