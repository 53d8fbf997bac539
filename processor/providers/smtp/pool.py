"""Sessions that are kept and used again."""

from __future__ import annotations

import asyncio
from collections import deque
from dataclasses import dataclass
from typing import TYPE_CHECKING

from processor.core.outcome import Stage
from processor.providers.adapter import Broken
from processor.providers.smtp.session import Answer, Session

if TYPE_CHECKING:
    import ssl

    from processor.providers.smtp.config import SmtpConfig
    from processor.providers.smtp.mail import Mail


@dataclass(slots=True)
class Rested:
    """A session at rest."""

    session: Session
    since_s: float  # the event loop's clock


class Pool:
    """At most so many sessions at once; the one that rested least is used first, so that spare ones age out."""

    def __init__(self, config: SmtpConfig, tls: ssl.SSLContext) -> None:
        self._config = config
        self._tls = tls
        self._resting: deque[Rested] = deque()
        self._slots = asyncio.Semaphore(config.connections)
        self._closed = False

    async def exchange(self, mail: Mail) -> Answer | Broken:
        """Send *mail* on a kept session, or on a new one."""
        async with self._slots:
            session = await self._kept()
            if session is not None:
                answer = await self._on(session, mail)
                # A server may hang up on a resting session at any time: before the hand-over that is no failed attempt.
                if not (isinstance(answer, Broken) and answer.stage is Stage.PREPARE):
                    return answer
            fresh = await Session.open(self._config, self._tls)
            return await self._on(fresh, mail) if isinstance(fresh, Session) else fresh

    async def close(self) -> None:
        """Say goodbye on every resting session; those at work end with their mail."""
        self._closed = True
        while self._resting:
            await self._resting.pop().session.quit()

    async def _on(self, session: Session, mail: Mail) -> Answer | Broken:
        done = False
        try:
            answer = await session.exchange(mail)
            done = isinstance(answer, Answer)
        finally:  # also when cancelled in the middle: nobody may find that session again
            if not done:
                session.line.abort()
        if done:
            await self._put_back(session)
        return answer

    async def _put_back(self, session: Session) -> None:
        if self._closed or session.uses >= self._config.uses_per_connection:
            await session.quit()
        elif session.line.is_usable:
            self._resting.append(Rested(session, asyncio.get_running_loop().time()))
        else:
            session.line.abort()

    async def _kept(self) -> Session | None:
        """Take the freshest session that is fit; let go of those that are not."""
        oldest_s = asyncio.get_running_loop().time() - self._config.idle_ms / 1000
        while self._resting and self._resting[0].since_s < oldest_s:
            await self._resting.popleft().session.quit()
        while self._resting:
            session = self._resting.pop().session
            if await session.is_ready():
                return session
            session.line.abort()
        return None
