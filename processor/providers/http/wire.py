"""
One HTTP/1.1 exchange; the only place where an HTTP provider is called.

A connection carries one exchange at a time, and nothing is ever sent twice: once a request's first byte is handed to
a connection, the message may have arrived. A general client costs four times as much for each call as what it carries
does, and repeats PUT unseen where a kept connection is cut under it: hence connections of our own.
"""

from __future__ import annotations

import asyncio
from collections import deque
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final, cast

from processor.core.outcome import Stage
from processor.providers.adapter import Broken, never
from processor.providers.http.reading import Answer, Malformed, Reading
from processor.providers.names import Lookups
from processor.providers.trust import trusting

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from yarl import URL

    from processor.providers.http.config import HttpConfig

PIECE_BYTES: Final = 65_536  # of a large request, that the transport is given at once
SAME: Final = {"Accept-Encoding": "identity", "User-Agent": "commproc"}  # a bound on compressed bytes is no bound


@dataclass(frozen=True, slots=True)
class Request:
    """What is sent."""

    body: bytes = field(repr=False)
    headers: Mapping[str, str] = field(repr=False)
    url: URL = field(repr=False)  # its query may hold a key


class Line(asyncio.Protocol):
    """One connection."""

    def __init__(self, bytes_max: int) -> None:
        self.idle_since_s = 0.0
        self._bytes_max = bytes_max
        self._transport: asyncio.Transport
        self._reading: Reading | None = None
        self._rest = memoryview(b"")  # of the request, which the transport was not given yet
        self._is_paused = False
        self._is_answering = False
        self._answer: asyncio.Future[Answer | Broken]

    @property
    def is_open(self) -> bool:
        """Tell whether another exchange can begin."""
        return not self._transport.is_closing()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Keep *transport*."""
        self._transport = cast("asyncio.Transport", transport)  # uvloop's is none by its class

    async def ask(self, raw: bytes, timeout_s: float) -> Answer | Broken:
        """Send the request *raw* and return what comes back within *timeout_s*."""
        loop = asyncio.get_running_loop()
        self._answer, self._reading = loop.create_future(), Reading(self._bytes_max)
        self._is_answering = False
        if len(raw) <= PIECE_BYTES:
            self._transport.write(raw)
        else:
            self._rest = memoryview(raw)
            self._write_on()
        timer = loop.call_later(timeout_s, self._end)
        try:
            return await self._answer
        finally:
            timer.cancel()
            if self._reading is not None:  # cancelled: its answer would be taken for the next one's
                self.leave()

    def data_received(self, data: bytes) -> None:
        """Read on; what nobody asked for ends the connection."""
        if self._reading is None:
            self.leave()
            return
        self._is_answering = True
        try:
            answer = self._reading.fed(data)
        except Malformed:
            self._done(Broken(Stage.HAND_OVER), is_last=True)
            return
        if answer is not None:
            self._done(answer, is_last=self._reading.is_last)

    def connection_lost(self, exc: Exception | None) -> None:
        """Take what came until now for all that comes."""
        del exc
        self._end()

    def pause_writing(self) -> None:
        """Keep the rest of a request: what the transport was not given has certainly not left."""
        self._is_paused = True

    def resume_writing(self) -> None:
        """Write on."""
        self._is_paused = False
        self._write_on()

    def leave(self) -> None:
        """Drop the connection at once."""
        self._reading = None
        self._rest = memoryview(b"")
        self._transport.abort()

    def _write_on(self) -> None:
        while self._rest and not self._is_paused:
            piece, self._rest = self._rest[:PIECE_BYTES], self._rest[PIECE_BYTES:]
            self._transport.write(piece)

    def _end(self) -> None:
        if self._reading is not None:
            # Nobody can take a request of which a part has never left; one who answers already may see that otherwise.
            stage = Stage.PREPARE if self._rest and not self._is_answering else Stage.HAND_OVER
            self._done(self._reading.ended() or Broken(stage), is_last=True)

    def _done(self, answer: Answer | Broken, *, is_last: bool) -> None:
        self._reading = None
        if is_last or self._rest or self._transport.get_write_buffer_size():  # answered before it had read all
            self._rest = memoryview(b"")
            self._transport.abort()
        if not self._answer.done():
            self._answer.set_result(answer)


class Wire:
    """Kept connections to one service."""

    def __init__(self, config: HttpConfig, url: URL) -> None:
        self._config = config
        self._host, self._port = url.raw_host or "", url.port
        self._tls = trusting(config.ca_file) if url.scheme == "https" else None
        own = {name.lower() for name in config.headers}
        same = {"Host": url.host_port_subcomponent} | SAME
        self._same = "".join(f"{name}: {value}\r\n" for name, value in same.items() if name.lower() not in own)
        self._room = asyncio.Semaphore(config.connections)
        self._lookups = Lookups()
        self._kept: deque[Line] = deque()  # the one that was used last is at the end

    async def exchange(self, request: Request, *, is_over: Callable[[], bool] = never) -> Answer | Broken | None:
        """Send *request*; what breaks is a value. None: it was over before anything was sent."""
        raw = self._raw(request)
        try:
            line = await self._line()
        except (OSError, UnicodeError):  # a time-out is one; what is no name at all
            return Broken(Stage.CONNECT)
        try:
            if is_over():
                return None
            return await line.ask(raw, self._config.answer_timeout_ms / 1_000)
        finally:
            if line.is_open:
                line.idle_since_s = asyncio.get_running_loop().time()
                self._kept.append(line)
            self._room.release()

    async def close(self) -> None:
        """Drop the connections."""
        self._lookups.close()
        while self._kept:
            self._kept.pop().leave()

    def _raw(self, request: Request) -> bytes:
        fields = "".join(f"{name}: {value}\r\n" for name, value in request.headers.items())
        head = (
            f"{self._config.method} {request.url.raw_path_qs} HTTP/1.1\r\n{self._same}{fields}"
            f"Content-Length: {len(request.body)}\r\n\r\n"
        )
        return head.encode("ascii") + request.body

    async def _line(self) -> Line:
        """Return a connection that is open, and ours until its room is released. Raises OSError."""
        if not self._room.locked() and (kept := self._idle()) is not None:  # most calls: no timer for no time
            await self._room.acquire()
            return kept
        async with asyncio.timeout(self._config.connect_timeout_ms / 1_000):
            await self._room.acquire()
            try:
                return self._idle() or await self._connected()
            except BaseException:
                self._room.release()
                raise

    def _idle(self) -> Line | None:
        """Return the kept connection that was used last; drop those that the service is about to."""
        oldest_s = asyncio.get_running_loop().time() - self._config.keep_alive_ms / 1_000
        while self._kept and self._kept[0].idle_since_s <= oldest_s:
            self._kept.popleft().leave()
        while self._kept:
            line = self._kept.pop()
            if line.is_open:
                return line
        return None

    async def _connected(self) -> Line:
        loop = asyncio.get_running_loop()
        connected = await self._lookups.connected(self._host, self._port)
        _, line = await loop.create_connection(
            lambda: Line(self._config.answer_bytes_max),
            sock=connected,
            ssl=self._tls,
            server_hostname=self._host if self._tls else None,
        )
        if not line.is_open:  # what is written to it would go nowhere, and nobody would tell
            raise ConnectionAbortedError
        return line
