"""PDUs: out of a stream of bytes, and the small ones that a session needs beside submit_sm. SMPP 3.4 §3.2, §4."""

from __future__ import annotations

import struct
from enum import IntEnum
from typing import TYPE_CHECKING, Final, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterator

    from processor.providers.smpp.config import SmppConfig

HEADER: Final = struct.Struct(">IIII")  # §3.2: command_length, command_id, command_status, sequence_number
SEQUENCE: Final = struct.Struct(">I")
HEADER_BYTES: Final = HEADER.size
PDU_BYTES_MAX: Final = 65_536
"""No PDU is longer by much: message_payload holds 64 KiB at most (§5.3.2.32). Longer ones are an attack or noise."""

SEQUENCE_MAX: Final = 0x7FFFFFFF  # §3.2
RESPONSE: Final = 0x80000000  # §5.1.2.1: the bit that makes a command_id that of its response
INTERFACE_VERSION: Final = 0x34  # §5.2.4
ID_CHARS_MAX: Final = 64  # §5.2.23, less the final NUL


class Command(IntEnum):
    """Command ids, §5.1.2.1."""

    GENERIC_NACK = 0x80000000
    BIND_RECEIVER = 0x00000001
    BIND_TRANSMITTER = 0x00000002
    SUBMIT_SM = 0x00000004
    SUBMIT_SM_RESP = 0x80000004
    DELIVER_SM = 0x00000005
    UNBIND = 0x00000006
    BIND_TRANSCEIVER = 0x00000009
    ENQUIRE_LINK = 0x00000015
    ALERT_NOTIFICATION = 0x00000102  # has no response


class Tag(IntEnum):
    """Tags of optional parameters, §5.3.2; what smpp34 calls TLV_…, with types."""

    RECEIPTED_MESSAGE_ID = 0x001E
    NETWORK_ERROR_CODE = 0x0423
    MESSAGE_PAYLOAD = 0x0424
    MESSAGE_STATE = 0x0427


class Malformed(Exception):
    """Bytes that are no PDU; nobody can tell where the next one begins."""


class Pdu(NamedTuple):
    """A header read, and all the bytes; its repr shows no content."""

    command_id: int
    status: int
    sequence: int
    raw: bytes

    def __repr__(self) -> str:
        """Show the header alone."""
        return f"Pdu(0x{self.command_id:08X}, 0x{self.status:08X}, {self.sequence})"


def take_pdus(buffer: bytearray) -> Iterator[Pdu]:
    """
    Take the whole PDUs out of *buffer*; what is left is the beginning of one of at most `PDU_BYTES_MAX`.

    Raises `Malformed`, after everything before it, for a length that no PDU has: the connection is of no more use.
    """
    at, received = 0, len(buffer)
    try:
        while received - at >= HEADER_BYTES:
            length, command_id, status, sequence = HEADER.unpack_from(buffer, at)
            if not HEADER_BYTES <= length <= PDU_BYTES_MAX:
                raise Malformed
            if received - at < length:
                return
            yield Pdu(command_id, status, sequence, bytes(buffer[at : at + length]))
            at += length
    finally:
        del buffer[:at]


def numbered(pdu: bytes, sequence: int) -> bytes:
    """Return *pdu* with its sequence number."""
    return pdu[:12] + SEQUENCE.pack(sequence) + pdu[16:]


def plain(command_id: int, *, status: int = 0, sequence: int = 0, body: bytes = b"") -> bytes:
    """Return a PDU whose body is given."""
    return HEADER.pack(HEADER_BYTES + len(body), command_id, status, sequence) + body


def bind(role: Command, config: SmppConfig) -> bytes:
    """Return the bind of *role*, §4.1.1 to §4.1.5; the address range is left to the centre."""
    texts = (config.system_id, config.password, config.system_type)
    body = b"".join(text.encode("ascii") + b"\0" for text in texts)
    return plain(role, body=body + bytes((INTERFACE_VERSION, 0, 0, 0)))


def message_id(answer: Pdu) -> str | None:
    """Return the id in a submit_sm_resp (§4.4.2); None for none, and for what could not be shown or kept."""
    octets = answer.raw[HEADER_BYTES:].partition(b"\0")[0]
    if not 0 < len(octets) <= ID_CHARS_MAX or not octets.isascii():
        return None
    text = octets.decode("ascii")
    return text if text.isprintable() else None
