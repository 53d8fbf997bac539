"""A short message centre that a test drives PDU by PDU, so that it can misbehave at any of them."""

from __future__ import annotations

import struct
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import smpp34

from processor.providers.smpp.adapter import SmppAdapter
from processor.sandbox.smsc_stream import Pdu
from tests.providers.twins import listening, smpp_config

if TYPE_CHECKING:
    import asyncio
    from collections.abc import AsyncIterator, Callable

    from processor.providers.smpp.config import SmppConfig

HEADER = struct.Struct(">IIII")
BINDS = {1, 2, 9}
SUBMIT, DELIVER, DELIVER_RESP, UNBIND, UNBIND_RESP, ENQUIRE = 0x04, 0x05, 0x80000005, 0x06, 0x80000006, 0x15


def raw(command_id: int, status: int = 0, sequence: int = 1, body: bytes = b"") -> bytes:
    return HEADER.pack(16 + len(body), command_id, status, sequence) + body


@dataclass(eq=False)
class Connection:
    """One connection of a client, and all that it said."""

    writer: asyncio.StreamWriter
    seen: list[Pdu] = field(default_factory=list)
    ended: bool = False

    def answer(self, asked: Pdu, status: int = 0, body: bytes = b"id-1\0") -> None:
        self.send(raw(asked.command_id | 0x80000000, status, asked.sequence, b"" if status else body))

    def send(self, octets: bytes) -> None:
        self.writer.write(octets)

    def cut(self) -> None:
        self.writer.transport.abort()

    def said(self, command_id: int) -> list[Pdu]:
        return [pdu for pdu in self.seen if pdu.command_id == command_id]


class Peer:
    """The centre; *on* replaces how it takes a command, by command id."""

    def __init__(self, on: dict[int, Callable[[Connection, Pdu], None]] | None = None) -> None:
        self.on = on or {}
        self.connections: list[Connection] = []
        self.bound_most = 0  # at once

    @property
    def last(self) -> Connection:
        return self.connections[-1]

    @property
    def bound(self) -> int:
        return sum(not each.ended for each in self.connections)

    def said(self, command_id: int) -> list[Pdu]:
        return [pdu for each in self.connections for pdu in each.said(command_id)]

    @property
    def binds(self) -> list[Pdu]:
        return [pdu for each in self.connections for pdu in each.seen if pdu.command_id in BINDS]

    @property
    def submits(self) -> list[smpp34.SubmitSm]:
        decoded = [smpp34.decode(pdu.raw) for pdu in self.said(SUBMIT)]
        return [submit for submit in decoded if isinstance(submit, smpp34.SubmitSm)]

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        connection = Connection(writer)
        self.connections.append(connection)
        self.bound_most = max(self.bound_most, self.bound)
        try:
            while True:
                length, command_id, status, sequence = HEADER.unpack(await reader.readexactly(16))
                pdu = Pdu(command_id, status, sequence, await reader.readexactly(length - 16))
                connection.seen.append(pdu)
                self.take(connection, pdu)
        finally:
            connection.ended = True

    def take(self, connection: Connection, pdu: Pdu) -> None:
        if pdu.command_id in self.on:
            self.on[pdu.command_id](connection, pdu)
        elif not pdu.command_id & 0x80000000:
            connection.answer(pdu)


@asynccontextmanager
async def against(peer: Peer, *, receipts: Any = None, **settings: Any) -> AsyncIterator[SmppAdapter]:
    """An adapter that is configured for *peer*; its back-off has no chance in it."""
    async with listening(peer.serve) as port:
        config: SmppConfig = smpp_config(port, **settings)
        more = {} if receipts is None else {"receipts": receipts}
        adapter = SmppAdapter(config, jitter=lambda: 0.0, **more)
        try:
            yield adapter
        finally:
            await adapter.close()
