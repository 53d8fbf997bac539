"""One bind that is kept: bound, and bound again with back-off when it ends; never two at once."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from typing import TYPE_CHECKING, Final

from processor.core.outcome import Deferred, Stage, Throttled
from processor.core.words import Reason
from processor.providers.smpp.backoff import REFUSED_MS, Ended, wait_ms
from processor.providers.smpp.codes import bind_refusal
from processor.providers.smpp.session import Refused, Session

if TYPE_CHECKING:
    import ssl
    from collections.abc import Callable

    from processor.providers.names import Lookups
    from processor.providers.smpp.config import SmppConfig
    from processor.providers.smpp.pdu import Command
    from processor.providers.smpp.receipt import Receipts

WORKED_S: Final = 5.0
"""A bind that stood so long, or answered a submit, had worked: when it ends, the next is tried at once."""

Failure = Deferred | Throttled

UNAVAILABLE: Final = Deferred(Reason.PROVIDER_UNAVAILABLE, stage=Stage.CONNECT)


class Logins:
    """What the binds of a provider share: one logs in at a time, and none soon after a refused password."""

    def __init__(self) -> None:
        self.turn = asyncio.Lock()
        self._refusal: Failure | None = None
        self._until_s = 0.0

    def refused(self, refusal: Failure) -> None:
        """Remember a refused login."""
        self._refusal = refusal
        self._until_s = asyncio.get_running_loop().time() + REFUSED_MS / 1000

    def refusal(self) -> Failure | None:
        """Return the refusal that still holds."""
        return self._refusal if asyncio.get_running_loop().time() < self._until_s else None


class Keeper:
    """
    A bind of one role.

    *failure* is set while it rests after one: what waits is then not kept waiting.
    """

    def __init__(
        self,
        config: SmppConfig,
        role: Command,
        *,
        tls: ssl.SSLContext | None,
        receipts: Receipts,
        lookups: Lookups,
        logins: Logins,
        jitter: Callable[[], float],
        changed: Callable[[], None],
    ) -> None:
        self.failure: Failure | None = None
        self._config = config
        self._role = role
        self._tls = tls
        self._receipts = receipts
        self._lookups = lookups
        self._logins = logins
        self._jitter = jitter
        self._changed = changed
        self._session: Session | None = None
        self._is_closing = False
        self._task = asyncio.create_task(self._run())

    @property
    def session(self) -> Session | None:
        """The bound session, if it takes submits."""
        return self._session if self._session is not None and self._session.link.is_usable else None

    async def close(self) -> None:
        """Unbind, and try no more."""
        self._is_closing = True
        if self._session is not None:
            await self._session.unbind()
        self._task.cancel()
        with suppress(asyncio.CancelledError):
            await self._task

    async def _run(self) -> None:
        failures = 0
        failure: Failure
        while not self._is_closing:
            self.failure = None
            opened = await self._opened()
            if isinstance(opened, Session):
                failures = 0 if await self._kept(opened) else failures + 1
                failure, is_refused = UNAVAILABLE, False
            else:
                failures += 1
                failure, is_refused = opened, opened.reason is Reason.AUTHENTICATION_FAILED
            rest_ms = wait_ms(Ended(failures, is_refused), jitter=self._jitter())
            if rest_ms:
                self.failure = failure
                self._changed()
                await asyncio.sleep(rest_ms / 1000)

    async def _opened(self) -> Session | Failure:
        async with self._logins.turn:
            refusal = self._logins.refusal()
            if refusal is not None:
                return refusal
            opened = await Session.open(self._config, self._role, self._tls, self._receipts, self._lookups)
            if isinstance(opened, Session):
                return opened
            if not isinstance(opened, Refused):
                return Deferred(Reason.PROVIDER_UNAVAILABLE, stage=opened.stage)
            failure = bind_refusal(opened.status, self._config.codes)
            if failure.reason is Reason.AUTHENTICATION_FAILED:
                self._logins.refused(failure)
            return failure

    async def _kept(self, session: Session) -> bool:
        """Keep *session* to its end; tell whether it had worked."""
        began_s = asyncio.get_running_loop().time()
        self._session = session
        self._changed()
        try:
            await session.over()
        finally:
            self._session = None
        return session.link.has_taken or asyncio.get_running_loop().time() - began_s >= WORKED_S
