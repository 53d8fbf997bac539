"""A TCP connection to a mail server: replies come out, commands go in, nothing is interpreted."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Final, cast

from processor.providers.smtp.reply import MALFORMED, REPLY_BYTES_MAX, Reply, take_reply

if TYPE_CHECKING:
    import ssl

    from processor.providers.smtp.config import SmtpConfig

BUFFER_BYTES_MAX: Final = 4 * REPLY_BYTES_MAX  # a server that says more unasked is cut off


class Cut(Exception):
    """The connection ended, or an answer did not come in time."""


class Line(asyncio.Protocol):
    """One connection. Not for use by two tasks at once."""

    def __init__(self) -> None:
        self.transport: asyncio.Transport | None = None
        self.encrypted = False
        self._received = bytearray()
        self._ended = False
        self._reading: asyncio.Future[None] | None = None
        self._writable: asyncio.Future[None] | None = None

    @classmethod
    async def open(cls, config: SmtpConfig, tls: ssl.SSLContext | None) -> Line:
        """Connect, with TLS from the first byte where *tls* is given. Raises OSError, for TLS and time-outs too."""
        loop = asyncio.get_running_loop()
        async with asyncio.timeout(config.connect_timeout_ms / 1000):
            _, line = await loop.create_connection(
                cls, config.host, config.port, ssl=tls, server_hostname=config.host if tls else None
            )
        line.encrypted = tls is not None
        return line

    @property
    def is_usable(self) -> bool:
        """Whether it stands, and the server has said nothing unasked (a farewell, or an answer to come)."""
        return not self._ended and not self._received

    async def encrypt(self, tls: ssl.SSLContext, config: SmtpConfig) -> None:
        """Start TLS. Raises OSError for a failed handshake and for one that takes too long."""
        loop = asyncio.get_running_loop()
        async with asyncio.timeout(config.greeting_timeout_ms / 1000):
            transport = await loop.start_tls(self._open_transport(), self, tls, server_hostname=config.host)
        if transport is None:
            raise ConnectionResetError
        self.transport = transport
        self.encrypted = True

    async def write(self, data: bytes) -> None:
        """Send *data*; returns when the transport has taken it. Raises `Cut`."""
        if self._ended:
            raise Cut
        self._open_transport().write(data)
        if self._writable is not None:
            await self._writable

    async def reply(self, timeout_ms: int) -> Reply:
        """Return the next reply. Raises `Cut` at the end of the connection and after *timeout_ms*."""
        try:
            async with asyncio.timeout(timeout_ms / 1000):
                return await self._next_reply()
        except TimeoutError:
            self.abort()
            raise Cut from None

    def close(self) -> None:
        """End it once what was written has gone out."""
        self._ended = True
        if self.transport is not None:
            self.transport.close()

    def abort(self) -> None:
        """End it at once."""
        self._ended = True
        if self.transport is not None:
            self.transport.abort()

    async def _next_reply(self) -> Reply:
        while True:
            reply = take_reply(self._received)
            if reply is MALFORMED:
                self.abort()
            if reply is not None:
                return reply
            if self._ended:
                raise Cut
            self._reading = asyncio.get_running_loop().create_future()
            try:
                await self._reading
            finally:
                self._reading = None

    def _open_transport(self) -> asyncio.Transport:
        if self.transport is None:
            raise Cut
        return self.transport

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Keep the transport."""
        self.transport = cast("asyncio.Transport", transport)

    def data_received(self, data: bytes) -> None:
        """Keep what came, up to a bound."""
        self._received += data
        if len(self._received) > BUFFER_BYTES_MAX and self._reading is None:
            self.abort()
        self._wake()

    def eof_received(self) -> None:
        """Let the reader see the end; the transport closes itself."""
        self._ended = True
        self._wake()

    def connection_lost(self, exc: Exception | None) -> None:
        """Let reader and writer see the end."""
        self._ended = True
        self._wake()
        if self._writable is not None and not self._writable.done():
            self._writable.set_exception(Cut())

    def pause_writing(self) -> None:
        """Make writers wait."""
        self._writable = asyncio.get_running_loop().create_future()

    def resume_writing(self) -> None:
        """Let writers go on."""
        if self._writable is not None and not self._writable.done():
            self._writable.set_result(None)
        self._writable = None

    def _wake(self) -> None:
        if self._reading is not None and not self._reading.done():
            self._reading.set_result(None)
