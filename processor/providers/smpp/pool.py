"""The binds of one provider."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from processor.providers.names import Lookups
from processor.providers.smpp.keeper import UNAVAILABLE, Failure, Keeper, Logins
from processor.providers.smpp.pdu import Command

if TYPE_CHECKING:
    import ssl
    from collections.abc import Callable, Sequence

    from processor.providers.smpp.config import SmppConfig
    from processor.providers.smpp.receipt import Receipts
    from processor.providers.smpp.session import Session


class Pool:
    """So many binds as configured, from the first call on; receipts come whether or not anything is sent."""

    def __init__(
        self,
        config: SmppConfig,
        *,
        tls: ssl.SSLContext | None,
        receipts: Receipts,
        jitter: Callable[[], float],
    ) -> None:
        self._config = config
        self._tls = tls
        self._receipts = receipts
        self._jitter = jitter
        self._senders: Sequence[Keeper] = ()
        self._receivers: Sequence[Keeper] = ()
        self._lookups = Lookups()
        self._news: asyncio.Future[None] | None = None
        self._is_closed = False

    async def session(self) -> Session | Failure:
        """Return the usable session with the fewest unanswered submits, or why there is none."""
        found = self._usable()
        if found is not None:
            return found
        patience_s = (self._config.connect_timeout_ms + self._config.bind_timeout_ms) / 1000
        try:
            async with asyncio.timeout(patience_s):
                return await self._bound()
        except TimeoutError:
            return UNAVAILABLE

    async def close(self) -> None:
        """Unbind everything."""
        self._is_closed = True
        self._lookups.close()
        keepers = [*self._senders, *self._receivers]
        self._senders = self._receivers = ()
        self._changed()
        await asyncio.gather(*(keeper.close() for keeper in keepers))

    def open(self) -> None:
        """Begin to bind; a second call does nothing."""
        if self._senders or self._is_closed:
            return
        logins = Logins()

        def kept(role: Command) -> list[Keeper]:
            return [
                Keeper(
                    self._config,
                    role,
                    tls=self._tls,
                    receipts=self._receipts,
                    lookups=self._lookups,
                    logins=logins,
                    jitter=self._jitter,
                    changed=self._changed,
                )
                for _ in range(self._config.connections)
            ]

        is_one = self._config.bind == "transceiver"
        self._senders = kept(Command.BIND_TRANSCEIVER if is_one else Command.BIND_TRANSMITTER)
        self._receivers = [] if is_one else kept(Command.BIND_RECEIVER)

    async def _bound(self) -> Session | Failure:
        while not self._is_closed:
            self.open()
            found = self._usable()
            if found is not None:
                return found
            failures = [keeper.failure for keeper in self._senders if keeper.failure is not None]
            if len(failures) == len(self._senders):
                return failures[0]
            if self._news is None or self._news.done():
                self._news = asyncio.get_running_loop().create_future()
            await asyncio.shield(self._news)
        return UNAVAILABLE

    def _usable(self) -> Session | None:
        sessions = [session for keeper in self._senders if (session := keeper.session) is not None]
        return min(sessions, key=lambda each: each.link.unanswered, default=None)

    def _changed(self) -> None:
        if self._news is not None and not self._news.done():
            self._news.set_result(None)
