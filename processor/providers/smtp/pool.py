"""Sessions that are kept and used again."""

from __future__ import annotations

import asyncio
from collections import deque
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from processor.core.outcome import Stage
from processor.logs import logger
from processor.providers.adapter import Broken
from processor.providers.names import Lookups
from processor.providers.smtp.reply import CLOSING, Step
from processor.providers.smtp.session import Answer, Offer, Session, Unfit

if TYPE_CHECKING:
    import ssl

    from processor.providers.smtp.config import SmtpConfig
    from processor.providers.smtp.mail import Mail

Ended = Answer | Broken | Unfit

GOODBYE_MS: Final = 1_000  # for a server to close its side when the pool closes

log: Final = logger()


@dataclass(slots=True)
class Rested:
    """A session at rest."""

    session: Session
    since_s: float  # the event loop's clock


@dataclass(slots=True)
class Refusal:
    """A login that was refused: the answer to everybody who would need another one soon."""

    answer: Answer
    until_s: float  # the event loop's clock


class Pool:
    """
    At most so many sessions at once; the one that rested least is used first, so that spare ones age out.

    While no login has succeeded, one is tried at a time for everybody, and after a refused one none for a while
    (FAULTS S21): a mail server locks an account that is tried with an old password for each message.
    """

    def __init__(self, config: SmtpConfig, tls: ssl.SSLContext) -> None:
        self._config = config
        self._tls = tls
        self._resting: deque[Rested] = deque()
        self._slots = asyncio.Semaphore(config.connections)
        self._lookups = Lookups()
        self._closed = False
        self._login = asyncio.Lock()
        self._trusted = config.username is None  # whether the last login succeeded
        self._refusal: Refusal | None = None
        self._failure: Answer | Broken | None = None  # of the last session that did not open
        self.offer = Offer()  # of the session that was opened last

    async def exchange(self, mail: Mail) -> Ended:
        """
        Send *mail* on a kept session, or on a new one.

        Whatever a server draws out before it agrees to DATA ends here, and nothing was sent: where the call were cut
        off instead, its mail would be perhaps sent.
        """
        loop = asyncio.get_running_loop()
        until_s = loop.time() + self._config.agreed_within_ms / 1000
        async with self._slots:
            session = await self._kept(until_s)
            if session is not None:
                ended = await self._on(session, mail, until_s)
                # A server may hang up on a resting session at any time: before the hand-over that is no failed attempt.
                is_hung_up = isinstance(ended, Broken) and ended.stage is Stage.PREPARE
                if not is_hung_up or loop.time() >= until_s:
                    return ended
            fresh = await self._opened_by(until_s)
            return await self._on(fresh, mail, until_s) if isinstance(fresh, Session) else fresh

    async def close(self) -> None:
        """Say goodbye on every resting session; those at work end with their mail."""
        self._closed = True
        self._lookups.close()
        leaving = [rested.session for rested in self._resting]
        self._resting.clear()
        for session in leaving:
            await session.quit()
        await asyncio.gather(*(session.line.lost(GOODBYE_MS) for session in leaving))

    async def _opened_by(self, until_s: float) -> Session | Answer | Broken:
        try:
            async with asyncio.timeout_at(until_s):
                return await self._opened()
        except TimeoutError:
            return Broken(Stage.GREETING)

    async def _opened(self) -> Session | Answer | Broken:
        if not self._trusted:
            known = self._failure
            async with self._login:
                if self._failure is not None and self._failure is not known:
                    return self._failure  # of whoever tried while we waited: each in turn would take too long
                if self._refusal is not None and asyncio.get_running_loop().time() < self._refusal.until_s:
                    return self._refusal.answer
                if not self._trusted:
                    return await self._open()
        return await self._open()

    async def _open(self) -> Session | Answer | Broken:
        fresh = await Session.open(self._config, self._tls, self._lookups)
        if isinstance(fresh, Session):
            self.offer = fresh.offer
            self._trusted = True
            return fresh
        self._failure = fresh
        if isinstance(fresh, Answer) and fresh.step is Step.AUTH and fresh.reply.code != CLOSING:
            self._refused(fresh)
        return fresh

    def _refused(self, answer: Answer) -> None:
        """Let nobody log in for a while; told once, however many were logging in."""
        now_s = asyncio.get_running_loop().time()
        if self._refusal is None or now_s >= self._refusal.until_s:
            # Only the code: the server's words may name the account.
            log.error("login.refused", host=self._config.host, reply_code=f"{answer.reply.code:03}")
            self._refusal = Refusal(answer, now_s + self._config.login_pause_ms / 1000)
        self._trusted = False

    async def _on(self, session: Session, mail: Mail, until_s: float) -> Ended:
        unfit = session.unfit(mail)
        if unfit is not None:
            await self._put_back(session)
            return unfit
        done = False
        try:
            answer = await session.exchange(mail, until_s)
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

    async def _kept(self, until_s: float) -> Session | None:
        """Take the freshest session that is fit, as found out by *until_s*; let go of those that are not."""
        if self._resting:
            oldest_s = asyncio.get_running_loop().time() - self._config.idle_ms / 1000
            while self._resting and self._resting[0].since_s < oldest_s:
                await self._resting.popleft().session.quit()
        while self._resting:
            session = self._resting.pop().session
            if (session.is_clean and session.line.is_usable) or await session.is_ready(until_s):
                return session
            session.line.abort()
        return None
