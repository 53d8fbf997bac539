"""Delivery receipts: a deliver_sm that tells what became of a message. SMPP 3.4 appendix B, §5.3.2.12, §5.3.2.35."""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from enum import StrEnum
from string import hexdigits
from typing import TYPE_CHECKING, Final

from processor.core.report import id_key
from processor.providers.smpp.pdu import ID_CHARS_MAX, Tag

if TYPE_CHECKING:
    from collections.abc import Mapping

    from smpp34 import DeliverSm

MESSAGE_TYPE: Final = 0x3C  # esm_class, §5.2.12: the bits that say what a deliver_sm is
RECEIPT_TYPES: Final = frozenset({0x04, 0x20})  # a receipt of the centre, an intermediate notification
BYTE_ORDER_MARK: Final = b"\xfe\xff"
ID_DIGITS_MAX: Final = 20  # of an id that may be a number: 64 bits in decimal


class State(StrEnum):
    """Message states, §5.2.28."""

    ENROUTE = "enroute"
    DELIVERED = "delivered"
    EXPIRED = "expired"
    DELETED = "deleted"
    UNDELIVERABLE = "undeliverable"
    ACCEPTED = "accepted"
    UNKNOWN = "unknown"
    REJECTED = "rejected"


STATES: Final[Mapping[int, State]] = {  # §5.2.28, the values of message_state
    1: State.ENROUTE,
    2: State.DELIVERED,
    3: State.EXPIRED,
    4: State.DELETED,
    5: State.UNDELIVERABLE,
    6: State.ACCEPTED,
    7: State.UNKNOWN,
    8: State.REJECTED,
}

WORDS: Final[Mapping[str, State]] = {  # appendix B cuts its words to 7 letters; some centres do not, so 6 decide
    "ENROUT": State.ENROUTE,
    "DELIVR": State.DELIVERED,
    "DELIVE": State.DELIVERED,
    "EXPIRE": State.EXPIRED,
    "DELETE": State.DELETED,
    "UNDELI": State.UNDELIVERABLE,
    "FAILED": State.UNDELIVERABLE,  # not of the standard, but common
    "ACCEPT": State.ACCEPTED,
    "UNKNOW": State.UNKNOWN,
    "REJECT": State.REJECTED,
}
WORD_CHARS: Final = 6

# Appendix B: "id:… sub:… dlvrd:… submit date:… done date:… stat:… err:… Text: …". Centres differ in case, order and in
# what they leave out. What follows "text:" was written by the sender and is never read.
TEXT: Final = re.compile(r"\btext:", re.IGNORECASE)
ID: Final = re.compile(r"(?:^|\s)id:\s*([!-9;-~]{1,64})(?=\s|$)", re.IGNORECASE)
STAT: Final = re.compile(r"\bstat:\s*([A-Z]{4,20})\b", re.IGNORECASE)
ERR: Final = re.compile(r"\berr:\s*([0-9A-Z]{1,8})\b", re.IGNORECASE)
DONE: Final = re.compile(r"\bdone[ _]date:\s*([0-9]{10,14})\b", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Receipt:
    """What a centre says of a message that it had taken."""

    provider_message_id: str  # as this receipt writes it
    id_keys: tuple[str, ...]  # of the ids that submit_sm_resp may have given; see `id_key`
    state: State
    error: str | None = None  # the network's code
    done_at: str | None = None  # digits as in the receipt, YYMMDDhhmm[ss], by the centre's clock
    recipient: str = field(default="", repr=False)  # as the centre writes the number


Receipts = Callable[[Receipt], Awaitable[None]]
"""Who takes receipts: one is acknowledged when this has returned, and asked for again if it raises."""


def id_keys(given: str, written: str = "either") -> tuple[str, ...]:
    """
    Return the keys of every id that may be meant by *given*, the likeliest first.

    Centres are known that answer in hexadecimal and send receipts in decimal, and the other way round.
    Which it is cannot be told from an id, so configuration tells how a centre's receipts are *written*: the same as
    its answers, in decimal, in hexadecimal, or either (then an id may be taken for another message's).
    """
    if written != "either":
        return (_READINGS[written](given),)
    keys = [id_key(given)]
    if len(given) <= ID_DIGITS_MAX and given.isascii() and given.isalnum():
        if given.isdecimal():
            keys.append(f"{int(given):x}")
        if all(each in "0123456789abcdefABCDEF" for each in given):
            keys.append(str(int(given, 16)))
    return tuple(dict.fromkeys(keys))


def _from_decimal(given: str) -> str:
    short = len(given) <= ID_DIGITS_MAX and given.isascii()
    return f"{int(given):x}" if short and given.isdecimal() else id_key(given)


def _from_hexadecimal(given: str) -> str:
    short = 0 < len(given) <= ID_DIGITS_MAX
    return str(int(given, 16)) if short and all(each in hexdigits for each in given) else id_key(given)


_READINGS: Final[Mapping[str, Callable[[str], str]]] = {
    "same": id_key,
    "decimal": _from_decimal,
    "hexadecimal": _from_hexadecimal,
}


def is_receipt(deliver: DeliverSm) -> bool:
    """
    Tell whether *deliver* is a receipt: by what only the centre can set.

    A text that looks like one is none: any handset can send "id:1 stat:DELIVRD".
    """
    return deliver.esm_class & MESSAGE_TYPE in RECEIPT_TYPES or Tag.RECEIPTED_MESSAGE_ID in _tlvs(deliver)


def parse(deliver: DeliverSm, ids: str = "same") -> Receipt | None:
    """
    Return the receipt in *deliver*, its parameters before its text; None if it names no message.

    *ids*: how its ids are written, see `id_keys`.
    """
    tlvs = _tlvs(deliver)
    text = TEXT.split(_text(deliver, tlvs), maxsplit=1)[0]
    named = _shown(tlvs.get(Tag.RECEIPTED_MESSAGE_ID, b"")) or _found(ID, text)
    if not named:
        return None
    return Receipt(
        provider_message_id=named,
        id_keys=id_keys(named, ids),
        state=_state(tlvs.get(Tag.MESSAGE_STATE, b""), text),
        error=_found(ERR, text) or _network_error(tlvs.get(Tag.NETWORK_ERROR_CODE, b"")),
        done_at=_found(DONE, text),
        recipient=deliver.source_addr,  # §4.6.1: the message went the other way
    )


def _tlvs(deliver: DeliverSm) -> dict[int, bytes]:
    return {tlv.tag: tlv.value for tlv in deliver.tlvs}


def _text(deliver: DeliverSm, tlvs: Mapping[int, bytes]) -> str:
    """
    Return the text, as far as it is ASCII, which is all that is read of it.

    Without its NULs UCS-2 reads as any other text: some centres repeat the data_coding of the message that the receipt
    is about, whatever they write it in. And some end it with a NUL, as the texts elsewhere in a PDU.
    """
    octets = deliver.short_message or tlvs.get(Tag.MESSAGE_PAYLOAD, b"")
    return octets.removeprefix(BYTE_ORDER_MARK).replace(b"\0", b"").decode("latin-1")


def _shown(octets: bytes) -> str | None:
    """Return a C-octet string that can be shown; some centres leave its NUL out."""
    text = octets.partition(b"\0")[0].decode("latin-1").strip()
    return text if text.isascii() and text.isprintable() and 0 < len(text) <= ID_CHARS_MAX else None


def _state(value: bytes, text: str) -> State:
    if len(value) == 1 and value[0] in STATES:
        return STATES[value[0]]
    return WORDS.get((_found(STAT, text) or "")[:WORD_CHARS].upper(), State.UNKNOWN)


def _network_error(value: bytes) -> str | None:
    """§5.3.2.31: a network type and two octets."""
    return str(int.from_bytes(value[1:], "big")) if len(value) == 3 else None  # noqa: PLR2004


def _found(pattern: re.Pattern[str], text: str) -> str | None:
    found = pattern.search(text)
    return found[1] if found else None
