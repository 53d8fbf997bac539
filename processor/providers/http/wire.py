"""One HTTP exchange; the only place where an HTTP provider is called."""

from __future__ import annotations

import ssl
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import aiohttp
from aiohttp.payload import Payload

from processor.core.outcome import Stage
from processor.providers.adapter import Broken

if TYPE_CHECKING:
    from collections.abc import Mapping

    from aiohttp.abc import AbstractStreamWriter
    from yarl import URL

    from processor.providers.http.config import HttpConfig


@dataclass(frozen=True, slots=True)
class Request:
    """What is sent."""

    body: bytes = field(repr=False)
    headers: Mapping[str, str] = field(repr=False)
    url: URL = field(repr=False)  # its query may hold a key


@dataclass(frozen=True, slots=True)
class Answer:
    """What came back."""

    status: int
    headers: Mapping[str, str] = field(repr=False)  # found whatever the case of their names
    body: bytes | None = field(repr=False)  # None: too long, or cut


class Body(Payload):
    """A request body that remembers whether any of it may have left."""

    def __init__(self, raw: bytes) -> None:
        super().__init__(raw)
        self._raw = raw
        self._size = len(raw)
        self.begun = False

    def decode(self, encoding: str = "utf-8", errors: str = "strict") -> str:
        """Return the body as text."""
        return self._raw.decode(encoding, errors)

    async def write(self, writer: AbstractStreamWriter) -> None:
        """Note that the hand-over begins, then write."""
        self.begun = True
        await writer.write(self._raw)

    async def write_with_length(self, writer: AbstractStreamWriter, content_length: int | None) -> None:
        """Write it whole: its length is the content length."""
        await self.write(writer)


class Wire:
    """Kept connections to one service. Opened by the first exchange, because a session belongs to an event loop."""

    def __init__(self, config: HttpConfig) -> None:
        self._config = config
        self._tls = ssl.create_default_context(cafile=config.ca_file)
        self._session: aiohttp.ClientSession | None = None

    async def exchange(self, request: Request) -> Answer | Broken:
        """Send *request*; what breaks is a value."""
        body = Body(request.body)
        try:
            async with self._opened().request(
                self._config.method, request.url, data=body, headers=request.headers, allow_redirects=False
            ) as response:
                return Answer(response.status, response.headers, await self._bounded(response))
        except (aiohttp.ClientError, OSError, UnicodeError) as broken:  # a time-out is an OSError; no name at all
            if body.begun:
                return Broken(Stage.HAND_OVER)
            return Broken(Stage.CONNECT if isinstance(broken, OSError | UnicodeError) else Stage.PREPARE)

    async def close(self) -> None:
        """Drop the connections."""
        if self._session is not None:
            await self._session.close()

    async def _bounded(self, response: aiohttp.ClientResponse) -> bytes | None:
        """Read the body up to its bound; the status counts even where the rest does not come."""
        limit = self._config.answer_bytes_max
        raw = bytearray()
        try:
            while not response.content.at_eof():
                raw += await response.content.read(limit + 1 - len(raw))
                if len(raw) > limit:
                    response.close()
                    return None
        except (aiohttp.ClientError, OSError):
            response.close()
            return None
        return bytes(raw)

    def _opened(self) -> aiohttp.ClientSession:
        if self._session is None:
            self._session = aiohttp.ClientSession(
                connector=aiohttp.TCPConnector(
                    limit=self._config.connections,
                    keepalive_timeout=self._config.keep_alive_ms / 1000,
                    ssl=self._tls,
                ),
                cookie_jar=aiohttp.DummyCookieJar(),
                auto_decompress=False,  # a bound on compressed bytes is no bound
                headers={"Accept-Encoding": "identity", "User-Agent": "commproc"},
                timeout=self._timeout(),
            )
        return self._session

    def _timeout(self) -> aiohttp.ClientTimeout:
        connect_s = self._config.connect_timeout_ms / 1000
        answer_s = self._config.answer_timeout_ms / 1000
        return aiohttp.ClientTimeout(total=connect_s + answer_s, connect=connect_s, sock_read=answer_s)
