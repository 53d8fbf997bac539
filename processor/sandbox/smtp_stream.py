"""The bytes of an SMTP session, seen from the server."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    import ssl

MESSAGE_BYTES_MAX: Final = 33_554_432
LINE_BYTES_MAX: Final = 12_288  # RFC 4954 §4: for AUTH
IDLE_S: Final = 300.0
END: Final = b"\r\n.\r\n"


class HungUp(Exception):
    """The client left, or the script says to leave it; *politely*: after what was said has gone out."""

    def __init__(self, *, politely: bool = False) -> None:
        super().__init__()
        self.politely = politely


class SmtpStream:
    """Command lines and messages in, replies out."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self._writer = writer
        self._received = bytearray()
        self.encrypted = False

    def say(self, code: int, *texts: str) -> None:
        """Send a reply of one line or several."""
        for text in texts[:-1]:
            self._writer.write(f"{code:03}-{text}\r\n".encode())
        self._writer.write(f"{code:03} {texts[-1]}\r\n".encode())

    async def line(self) -> bytes:
        """Return a command; lines end in CRLF and in nothing else."""
        while (end := self._received.find(b"\r\n")) < 0:
            if len(self._received) > LINE_BYTES_MAX:
                raise HungUp
            await self._more()
        line = bytes(self._received[:end])
        del self._received[: end + 2]
        return line

    async def content(self) -> bytes:
        """Return the message as it was on the wire, without the line with the dot."""
        self._received[:0] = b"\r\n"  # the dot may be the first line
        searched = 0
        while (end := self._received.find(END, searched)) < 0:
            if len(self._received) > MESSAGE_BYTES_MAX:
                raise HungUp
            searched = max(0, len(self._received) - len(END))
            await self._more()
        content = bytes(self._received[2 : end + 2])
        del self._received[: end + len(END)]
        return content

    async def encrypt(self, tls: ssl.SSLContext) -> None:
        """Start TLS; what came before the handshake is forgotten."""
        self._received.clear()
        await self._writer.start_tls(tls)
        self.encrypted = True

    def close(self, *, politely: bool) -> None:
        """End the connection."""
        if politely:
            self._writer.close()
        else:
            self._writer.transport.abort()

    async def _more(self) -> None:
        async with asyncio.timeout(IDLE_S):
            chunk = await self._reader.read(65_536)
        if not chunk:
            raise HungUp
        self._received += chunk
