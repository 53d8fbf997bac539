"""A port and its connections, each served by a task: what the sandbox's servers with a protocol of their own share."""

from __future__ import annotations

import asyncio
from abc import ABC, abstractmethod
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import ssl


class Listener(ABC):
    """Serves each connection until one side has had enough, or until it is closed."""

    def __init__(self, *, encrypted: ssl.SSLContext | None = None) -> None:
        """Speak TLS from the first byte on if *encrypted* is given."""
        self._encrypted = encrypted
        self._listening: asyncio.Server | None = None
        self._sessions: set[asyncio.Task[None]] = set()

    @abstractmethod
    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Talk to one client."""

    async def start(self, host: str, port: int) -> int:
        """Listen; returns the port, which is a free one where *port* is 0."""
        self._listening = await asyncio.start_server(self._connected, host, port, backlog=1_000, ssl=self._encrypted)
        return int(self._listening.sockets[0].getsockname()[1])

    async def close(self) -> None:
        """Stop listening and hang up on everybody."""
        if self._listening is not None:
            self._listening.close()
        for session in self._sessions:
            session.cancel()
        await asyncio.gather(*self._sessions, return_exceptions=True)

    def _connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        # A task of our own: asyncio reports the cancelled ones of coroutine callbacks as errors.
        task = asyncio.create_task(self._served(reader, writer))
        self._sessions.add(task)
        task.add_done_callback(self._sessions.discard)

    async def _served(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            await self.serve(reader, writer)
        finally:
            writer.close()
