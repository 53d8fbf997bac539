"""Receipts that a short message centre owes: sent to whoever is bound to receive, until acknowledged."""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from smpp34 import DeliverSm, Tlv

if TYPE_CHECKING:
    from processor.sandbox.smsc_stream import SmscStream

RECEIPT: Final = 0x04  # esm_class, SMPP 3.4 §5.2.12
RECEIPTED_MESSAGE_ID: Final = 0x001E  # SMPP 3.4 §5.3.2.12
MESSAGE_STATE: Final = 0x0427  # SMPP 3.4 §5.3.2.35
DELIVERED: Final = b"\x02"  # SMPP 3.4 §5.2.28


@dataclass(frozen=True, slots=True)
class Owed:
    """A receipt; its message went from *source* to *recipient*, for an *account*: its receivers are told, no others."""

    account: bytes  # system_id
    smsc_id: str
    source: str
    recipient: str = field(repr=False)
    at_s: float

    def pdu(self, sequence: int) -> bytes:
        """Return it as text and as parameters (SMPP 3.4 appendix B)."""
        at = time.strftime("%y%m%d%H%M", time.gmtime(self.at_s))
        text = f"id:{self.smsc_id} sub:001 dlvrd:001 submit date:{at} done date:{at} stat:DELIVRD err:000 Text:"
        return DeliverSm(
            self.recipient,
            self.source,
            text.encode("ascii"),
            source_addr_ton=1,
            source_addr_npi=1,
            esm_class=RECEIPT,
            tlvs=[Tlv(RECEIPTED_MESSAGE_ID, self.smsc_id.encode() + b"\0"), Tlv(MESSAGE_STATE, DELIVERED)],
            sequence_number=sequence,
        ).encode()


class Receipts:
    """What is owed, and who may be told."""

    def __init__(self) -> None:
        self._owed: list[Owed] = []
        self._sent: dict[tuple[SmscStream, int], Owed] = {}
        self._receivers: dict[SmscStream, bytes] = {}  # their accounts, in the order of their binds

    def __len__(self) -> int:
        """How many are not acknowledged."""
        return len(self._owed) + len(self._sent)

    def owe(self, receipt: Owed) -> None:
        """Send *receipt* now, or keep it for the next bind that receives."""
        self._owed.append(receipt)
        self.send()

    def bound(self, stream: SmscStream, account: bytes) -> None:
        """Send what is *account*'s to *stream* from now on, and what waited at once."""
        self._receivers[stream] = account
        self.send()

    def left(self, stream: SmscStream) -> None:
        """Keep what *stream* did not acknowledge."""
        self._receivers.pop(stream, None)
        for key in [key for key in self._sent if key[0] is stream]:
            self._owed.append(self._sent.pop(key))
        self.send()

    def answered(self, stream: SmscStream, sequence: int, status: int) -> None:
        """Forget a receipt that was taken; keep one that was not, for the next occasion."""
        receipt = self._sent.pop((stream, sequence), None)
        if receipt is not None and status != 0:
            self._owed.append(receipt)

    def send(self) -> None:
        """Send what is owed to whom somebody is bound to receive it for."""
        owed, self._owed = self._owed, []
        for receipt in owed:
            stream = next((each for each, account in self._receivers.items() if account == receipt.account), None)
            if stream is None:
                self._owed.append(receipt)
                continue
            sequence = stream.next_sequence()
            self._sent[stream, sequence] = receipt
            stream.send(receipt.pdu(sequence))
