"""
A way round for connections that a fault is to reach: it passes on, delays, stalls, severs, cuts or refuses.

Of our own, in 100 lines, and not toxiproxy: that needs a Go toolchain, or a download for each system, before anybody
can run these drills; and a stall must hold new connections as a lost network does, without an answer.
"""

from __future__ import annotations

import asyncio
import math
import socket
import struct
import threading
from contextlib import suppress
from typing import TYPE_CHECKING, Any, Final

from processor.sandbox.ports import free_port

if TYPE_CHECKING:
    from collections.abc import Coroutine
    from random import Random

CHUNK_BYTES: Final = 65_536
RESET: Final = struct.pack("ii", 1, 0)
"""Linger for no time: what was not sent is forgotten, and the connection is reset (socket(7))."""
SEVERED_BYTES_MAX: Final = 20_000
"""Some mails over TLS, or dozens of text messages."""


class Detours:
    """The thread that all detours of a run share."""

    def __init__(self) -> None:
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="detours", daemon=True)
        self._thread.start()
        self._made: list[Detour] = []

    def lead(self, upstream: int = 0) -> Detour:
        """Return a detour that listens and leads to port *upstream* of this machine."""
        detour = Detour(self, upstream)
        self._made.append(detour)
        detour.accept()
        return detour

    def run(self, coroutine: Coroutine[Any, Any, Any]) -> Any:
        """Return what *coroutine* does in the thread."""
        return asyncio.run_coroutine_threadsafe(coroutine, self._loop).result(30)

    def close(self) -> None:
        """Hang up on everybody."""
        for detour in self._made:
            detour.refuse()
        self.run(self._end())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    async def _end(self) -> None:
        """End whatever still leads somewhere."""
        left = asyncio.all_tasks() - {asyncio.current_task()}
        for task in left:
            task.cancel()
        await asyncio.gather(*left, return_exceptions=True)


class Detour:
    """One port. What it does is for every connection, those that are open already among them."""

    def __init__(self, thread: Detours, upstream: int) -> None:
        self._thread = thread
        self.upstream = upstream
        self.port = free_port()
        self.touched = 0  # connections and pieces that it has held, delayed, severed or reset
        self._flowing = asyncio.Event()
        self._flowing.set()
        self._delay_s = 0.0
        self._severing: Random | None = None
        self._is_refusing = False
        self._server: asyncio.Server | None = None
        self._open: set[asyncio.StreamWriter] = set()

    def accept(self) -> None:
        """Listen, and let everything flow."""
        self._thread.run(self._accept())

    def stall(self) -> None:
        """Let no byte through and answer nobody; what was sent meanwhile arrives afterwards."""
        self._thread.run(self._stall())

    def delay(self, seconds: float) -> None:
        """Let everything through, each way that much later."""
        self._delay_s = seconds

    def sever(self, chance: Random) -> None:
        """Reset every connection, and hang up on new ones in the middle: after a few bytes or thousands."""
        self._severing = chance
        self.cut()

    def cut(self) -> None:
        """Reset every connection; new ones are welcome."""
        self._thread.run(self._cut())

    def refuse(self) -> None:
        """Reset every connection, and refuse new ones."""
        self._thread.run(self._refuse())

    async def _accept(self) -> None:
        self._delay_s = 0.0
        self._severing = None
        self._flowing.set()
        self._is_refusing = False
        if self._server is None:
            self._server = await asyncio.start_server(self._lead, "127.0.0.1", self.port)

    async def _stall(self) -> None:
        self._flowing.clear()

    async def _cut(self) -> None:
        self.touched += len(self._open)
        for writer in list(self._open):
            with suppress(OSError):  # it is closed already
                # Without it, a close is what the other side sees.
                writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)
            writer.transport.abort()

    async def _refuse(self) -> None:
        self._is_refusing = True
        if self._server is not None:
            for each in self._server.sockets:
                asyncio.get_running_loop().remove_reader(each)
            await asyncio.sleep(0)  # what is accepted becomes a connection: once its server is closed nobody closes it
            self._server.close()
            self._server = None
        await self._cut()

    async def _lead(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if self._is_refusing:  # accepted before, and not yet known then
            writer.transport.abort()
            return
        self._open.add(writer)
        try:
            await self._held()
            with suppress(OSError):
                upstream, upward = await asyncio.open_connection("127.0.0.1", self.upstream)
                self._open.add(upward)
                try:
                    allowance = Allowance(self._severing)
                    ways = (self._pass_on(reader, upward, allowance), self._pass_on(upstream, writer, allowance))
                    await asyncio.gather(*ways)
                finally:
                    self._open.discard(upward)
                    upward.transport.abort()
        finally:
            self._open.discard(writer)
            writer.transport.abort()

    async def _held(self) -> None:
        self.touched += not self._flowing.is_set()
        await self._flowing.wait()

    async def _pass_on(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, allowance: Allowance) -> None:
        """Pass on until one side closes, or nothing more is allowed; then the other side hears of it."""
        with suppress(OSError):
            while allowance.left and (chunk := await reader.read(CHUNK_BYTES)):
                self.touched += self._delay_s > 0
                await asyncio.sleep(self._delay_s)
                await self._held()
                writer.write(allowance.taken(chunk))
                await writer.drain()
            await self._flowing.wait()
            if not allowance.left:
                self.touched += 1
                writer.close()
            elif writer.can_write_eof():
                writer.write_eof()


class Allowance:
    """How many bytes a connection may carry, both ways together."""

    def __init__(self, chance: Random | None) -> None:
        """Draw a number, small ones as often as large ones; without a *chance*, there is no end."""
        self.left = math.inf if chance is None else int(SEVERED_BYTES_MAX ** chance.random())

    def taken(self, chunk: bytes) -> bytes:
        """Return as much of *chunk* as is allowed."""
        part = chunk[: int(min(self.left, len(chunk)))]
        self.left = max(0, self.left - len(chunk))
        return part
