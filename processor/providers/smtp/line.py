"""A TCP connection to a mail server: replies come out, commands go in, nothing is interpreted."""

from __future__ import annotations

import asyncio
from math import inf
from typing import TYPE_CHECKING, Final, cast

from processor.providers.smtp.reply import CLOSING, MALFORMED, REPLY_BYTES_MAX, Reply, take_reply

if TYPE_CHECKING:
    import ssl
    from collections.abc import Sequence

    from processor.providers.names import Lookups
    from processor.providers.smtp.config import SmtpConfig

BUFFER_BYTES_MAX: Final = 4 * REPLY_BYTES_MAX  # a server that says more unasked is cut off


class Cut(Exception):
    """The connection ended, or an answer did not come in time."""


class Line(asyncio.Protocol):
    """
    One connection. Not for use by two tasks at once.

    Replies are read where their bytes arrive, and one timer serves all waits of the connection: it is
    left to run, and looks when it fires whether anybody is late. A timer for each reply, set and
    cancelled, cost as much as reading it.
    """

    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()
        self.transport: asyncio.Transport | None = None
        self.encrypted = False
        self._received = bytearray()
        self._ended = False
        self._lost = asyncio.Event()
        self._replies: list[Reply] = []
        self._wanted = 0
        self._timeout_s = 0.0
        self._until_s = inf
        self._late_at_s = 0.0
        self._timer: asyncio.TimerHandle | None = None
        self._reading: asyncio.Future[None] | None = None
        self._writable: asyncio.Future[None] | None = None

    @classmethod
    async def open(cls, config: SmtpConfig, tls: ssl.SSLContext | None, lookups: Lookups) -> Line:
        """Connect, with TLS from the first byte where *tls* is given. Raises OSError, for TLS and time-outs too."""
        loop = asyncio.get_running_loop()
        async with asyncio.timeout(config.connect_timeout_ms / 1000):
            connected = await lookups.connected(config.host, config.port)
            _, line = await loop.create_connection(
                cls, sock=connected, ssl=tls, server_hostname=config.host if tls else None
            )
        line.encrypted = tls is not None
        return line

    @property
    def is_usable(self) -> bool:
        """Whether it stands, and the server has said nothing unasked (a farewell, or an answer to come)."""
        return not self._ended and not self._received

    async def encrypt(self, tls: ssl.SSLContext, config: SmtpConfig) -> None:
        """Start TLS. Raises OSError for a failed handshake and for one that takes too long."""
        async with asyncio.timeout(config.greeting_timeout_ms / 1000):
            transport = await self._loop.start_tls(self._open_transport(), self, tls, server_hostname=config.host)
        if transport is None:
            raise ConnectionResetError
        self.transport = transport
        self.encrypted = True

    async def write(self, data: bytes, timeout_ms: int) -> None:
        """Send *data*; returns when the transport has taken it. Raises `Cut`."""
        if self._ended:
            raise Cut
        self._open_transport().write(data)
        if self._writable is not None:
            try:
                async with asyncio.timeout(timeout_ms / 1000):
                    await self._writable
            except TimeoutError:
                self.abort()
                raise Cut from None

    async def ask(self, data: bytes, count: int, timeout_ms: int, until_s: float = inf) -> Sequence[Reply]:
        """
        Send *data* and return the *count* replies to it, each within *timeout_ms*, and none later than *until_s*.

        Fewer where the server ends it: by 421, by what is no reply (that one is the last), or by closing
        the connection after a first reply. Raises `Cut`.
        """
        self._replies = []
        self._wanted = count
        self._timeout_s = timeout_ms / 1000
        self._until_s = until_s
        self._watch()
        if data:
            await self.write(data, timeout_ms)
        if self._received:
            self._read()
        if self._wanted and not self._ended:
            self._reading = self._loop.create_future()
            try:
                await self._reading
            finally:
                self._reading = None
        self._wanted, wanted = 0, self._wanted
        if wanted and not self._replies:
            raise Cut
        return self._replies

    def close(self) -> None:
        """End it once what was written has gone out."""
        self._end()
        if self.transport is not None:
            self.transport.close()

    def abort(self) -> None:
        """End it at once."""
        self._end()
        if self.transport is not None:
            self.transport.abort()

    async def lost(self, timeout_ms: int) -> None:
        """Return once the connection is no more: after `close`, TLS says goodbye first. Ends it after *timeout_ms*."""
        try:
            async with asyncio.timeout(timeout_ms / 1000):
                await self._lost.wait()
        except TimeoutError:
            self.abort()

    # Called by the event loop.

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Keep the transport."""
        self.transport = cast("asyncio.Transport", transport)

    def data_received(self, data: bytes) -> None:
        """Read what somebody waits for, and keep the rest, up to a bound."""
        self._received += data
        if self._wanted:
            self._read()
        elif len(self._received) > BUFFER_BYTES_MAX:
            self.abort()

    def eof_received(self) -> None:
        """Let the reader see the end; the transport closes itself."""
        self._end()

    def connection_lost(self, exc: Exception | None) -> None:
        """Let reader and writer see the end."""
        self._end()
        self._lost.set()
        if self._writable is not None and not self._writable.done():
            self._writable.set_exception(Cut())

    def pause_writing(self) -> None:
        """Make writers wait."""
        self._writable = self._loop.create_future()

    def resume_writing(self) -> None:
        """Let writers go on."""
        if self._writable is not None and not self._writable.done():
            self._writable.set_result(None)
        self._writable = None

    # Reading.

    def _read(self) -> None:
        """Take the replies that are whole; wake the reader with the last one."""
        while self._wanted and (reply := take_reply(self._received)) is not None:
            self._late_at_s = min(self._loop.time() + self._timeout_s, self._until_s)
            self._replies.append(reply)
            self._wanted -= 1
            if reply.code == CLOSING or reply is MALFORMED:
                self._wanted = 0
                self.abort()  # RFC 5321 §3.8: the server closes; and after nonsense nobody knows what comes next
        if not self._wanted:
            self._wake()

    def _watch(self) -> None:
        """See to it that `_look` is called when the wait that begins is over, or earlier."""
        self._late_at_s = min(self._loop.time() + self._timeout_s, self._until_s)
        if self._timer is not None:
            if self._timer.when() <= self._late_at_s:
                return
            self._timer.cancel()
        self._timer = self._loop.call_at(self._late_at_s, self._look)

    def _look(self) -> None:
        self._timer = None
        if self._ended or not self._wanted:
            return
        if self._loop.time() < self._late_at_s:
            self._timer = self._loop.call_at(self._late_at_s, self._look)
        else:
            self._replies = []  # what came in time decides nothing: the rest is missing
            self.abort()

    def _open_transport(self) -> asyncio.Transport:
        if self.transport is None:
            raise Cut
        return self.transport

    def _end(self) -> None:
        self._ended = True
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        self._wake()

    def _wake(self) -> None:
        if self._reading is not None and not self._reading.done():
            self._reading.set_result(None)
