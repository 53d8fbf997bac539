"""The bytes of an SMPP session, seen from the short message centre. SMPP 3.4 §3.2."""

from __future__ import annotations

import asyncio
import struct
from typing import Final, NamedTuple

from processor.sandbox.smtp_stream import HungUp

HEADER: Final = struct.Struct(">IIII")
PDU_BYTES_MAX: Final = 131_072
IDLE_S: Final = 300.0
RESPONSE: Final = 0x80000000


class Pdu(NamedTuple):
    """A PDU as it came."""

    command_id: int
    status: int
    sequence: int
    body: bytes

    @property
    def raw(self) -> bytes:
        """All of it."""
        return HEADER.pack(HEADER.size + len(self.body), self.command_id, self.status, self.sequence) + self.body


class SmscStream:
    """PDUs in, PDUs out."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self._writer = writer
        self._sequence = 0

    async def pdu(self) -> Pdu:
        """Return the next PDU. Raises `HungUp` at the end, after too long a silence, and for what is no PDU."""
        try:
            async with asyncio.timeout(IDLE_S):
                length, command_id, status, sequence = HEADER.unpack(await self._reader.readexactly(HEADER.size))
                if not HEADER.size <= length <= PDU_BYTES_MAX:
                    raise HungUp
                body = await self._reader.readexactly(length - HEADER.size)
        except asyncio.IncompleteReadError:
            raise HungUp from None
        return Pdu(command_id, status, sequence, body)

    def answer(self, asked: Pdu, status: int = 0, body: bytes = b"") -> None:
        """Answer a request; a refusal has no body (§4.4.2)."""
        body = body if status == 0 else b""
        self.send(HEADER.pack(HEADER.size + len(body), asked.command_id | RESPONSE, status, asked.sequence) + body)

    def send(self, raw: bytes) -> None:
        """Send bytes; nothing once the client has left."""
        if not self._writer.is_closing():
            self._writer.write(raw)

    def next_sequence(self) -> int:
        """Return the number of our next request."""
        self._sequence = self._sequence % 0x7FFFFFFF + 1
        return self._sequence

    def close(self, *, politely: bool) -> None:
        """End the connection."""
        if politely:
            self._writer.close()
        else:
            self._writer.transport.abort()
