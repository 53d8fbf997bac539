"""Texts as a handset reads them, and long ones put together again. 3GPP TS 23.040 §9.2.3.24.1."""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from gsm0338 import Codec

if TYPE_CHECKING:
    from smpp34 import SubmitSm

UDHI: Final = 0x40  # SMPP 3.4 §5.2.12
UCS2: Final = 8  # SMPP 3.4 §5.2.19
MESSAGE_PAYLOAD: Final = 0x0424  # SMPP 3.4 §5.3.2.32
CONCATENATED: Final = b"\x05\x00\x03"
HEADER_OCTETS: Final = 6
UNFINISHED_MAX: Final = 10_000

GSM: Final = Codec()


@dataclass(slots=True)
class Whole:
    """A message with all its parts."""

    text: str = field(repr=False)
    segments: int


def part_number(submit: SubmitSm) -> int:
    """Return which part of its message this is, from 1."""
    header = _header(submit)
    return header[5] if header else 1


class Parts:
    """Messages of which parts are missing; the oldest is forgotten where there are too many."""

    def __init__(self) -> None:
        self._unfinished: OrderedDict[tuple[str, str, int, int], dict[int, bytes]] = OrderedDict()

    def add(self, submit: SubmitSm) -> Whole | None:
        """Return the message that *submit* completes, None if it completes none."""
        header = _header(submit)
        if header is None:
            return Whole(_text(_octets(submit), submit.data_coding), 1)
        key = (submit.source_addr, submit.destination_addr, header[3], header[4])
        parts = self._unfinished.setdefault(key, {})
        parts[header[5]] = submit.short_message[HEADER_OCTETS:]
        if len(parts) < header[4]:
            if len(self._unfinished) > UNFINISHED_MAX:
                self._unfinished.popitem(last=False)
            return None
        del self._unfinished[key]
        ordered = [parts[number] for number in sorted(parts)]
        # Each part is read alone, as a handset does: an escape or a surrogate pair cut in two would show.
        text = "".join(_text(octets, submit.data_coding) for octets in ordered)
        return Whole(text, header[4])


def _header(submit: SubmitSm) -> bytes | None:
    """Return the header of a part, if the PDU says that there is one; a text may begin with the same octets."""
    if not submit.esm_class & UDHI or not submit.short_message.startswith(CONCATENATED):
        return None
    return submit.short_message[:HEADER_OCTETS]


def _octets(submit: SubmitSm) -> bytes:
    payload = next((tlv.value for tlv in submit.tlvs if tlv.tag == MESSAGE_PAYLOAD), b"")
    return submit.short_message or payload


def _text(octets: bytes, data_coding: int) -> str:
    if data_coding == UCS2:
        return octets.decode("utf-16-be", "replace")
    return str(GSM.decode(octets, "replace")[0])
