"""The conversation: a session is opened once, then carries mails; every step knows its stage."""

from __future__ import annotations

import asyncio
from base64 import b64encode
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from processor.core.outcome import Stage
from processor.providers.adapter import Broken
from processor.providers.smtp.line import Cut, Line
from processor.providers.smtp.reply import EXPECTED, Reply, Step

if TYPE_CHECKING:
    import ssl
    from collections.abc import Sequence

    from processor.providers.smtp.config import SmtpConfig
    from processor.providers.smtp.mail import Mail

ONE_WRITE_BYTES_MAX: Final = 65_536
"""A larger mail is sent without its final dot first: a line that breaks meanwhile has certainly not delivered it."""


@dataclass(frozen=True, slots=True)
class Answer:
    """The reply that decided."""

    step: Step
    reply: Reply


class Session:
    """A connection that has said hello, and is encrypted and logged in as configured."""

    def __init__(self, line: Line, config: SmtpConfig) -> None:
        self.line = line
        self.uses = 0
        self.pipelining = False  # RFC 2920
        self._config = config
        self._keywords: dict[bytes, bytes] = {}
        self._must_reset = False

    @classmethod
    async def open(cls, config: SmtpConfig, tls: ssl.SSLContext) -> Session | Answer | Broken:
        """Return a session, or what kept it from opening: the server's answer, or a broken line."""
        try:
            line = await Line.open(config, tls if config.tls == "implicit" else None)
        except OSError:  # refused, unreachable, not resolved, TLS, time-out
            return Broken(Stage.CONNECT)
        session = cls(line, config)
        try:
            refusal = await session._set_up(tls)
        except (Cut, OSError):  # also a failed TLS handshake
            line.abort()
            return Broken(Stage.GREETING)
        except asyncio.CancelledError:
            line.abort()
            raise
        if refusal is not None:
            line.abort()
            return refusal
        return session

    async def exchange(self, mail: Mail) -> Answer | Broken:
        """Send one mail; the only place where a message leaves. After Broken the session is of no more use."""
        self.uses += 1
        stage = Stage.PREPARE
        try:
            refusal = await self._envelope(mail)
            if refusal is not None:
                return refusal
            if len(mail.content) > ONE_WRITE_BYTES_MAX:
                await self._written(mail.content)
                stage = Stage.HAND_OVER
                await self.line.write(b".\r\n")
            else:
                stage = Stage.HAND_OVER
                await self._written(mail.content + b".\r\n")
            reply = await self.line.reply(self._config.answer_timeout_ms)
        except Cut:
            return Broken(stage)
        self._must_reset = reply.code not in EXPECTED[Step.DOT]
        return Answer(Step.DOT, reply)

    async def is_ready(self) -> bool:
        """Tell whether another mail may follow, with nothing left of the one before."""
        if not self.line.is_usable:
            return False
        if self._must_reset:
            try:
                reply = await self._asked(b"RSET", self._config.command_timeout_ms)
            except Cut:
                return False
            self._must_reset = reply.code != 250  # noqa: PLR2004 - RFC 5321 §4.3.2
        return not self._must_reset

    async def quit(self) -> None:
        """Say goodbye without waiting for the answer (RFC 5321 §4.1.1.10 allows that it is lost)."""
        try:
            await self.line.write(b"QUIT\r\n")
        except Cut:
            return
        self.line.close()

    # Set-up.

    async def _set_up(self, tls: ssl.SSLContext) -> Answer | None:
        greeting = await self.line.reply(self._config.greeting_timeout_ms)
        if greeting.code != 220:  # noqa: PLR2004 - RFC 5321 §4.3.2
            return Answer(Step.SESSION, greeting)
        refusal = await self._hello()
        if refusal is None and self._config.tls == "starttls":
            refusal = await self._start_tls(tls)
        if refusal is None and self._config.username is not None:
            refusal = await self._log_in(self._config.username, self._config.password or "")
        return refusal

    async def _hello(self) -> Answer | None:
        name = self._config.helo_name.encode("ascii")
        reply = await self._asked(b"EHLO " + name, self._config.greeting_timeout_ms)
        if reply.code in {500, 502}:  # RFC 5321 §3.2: older than EHLO
            reply = await self._asked(b"HELO " + name, self._config.greeting_timeout_ms)
        if reply.code != 250:  # noqa: PLR2004 - RFC 5321 §4.3.2
            return Answer(Step.SESSION, reply)
        said = (line[4:].upper().partition(b" ") for line in reply.lines[1:])
        self._keywords = {keyword: parameters for keyword, _, parameters in said}
        self.pipelining = b"PIPELINING" in self._keywords
        return None

    async def _start_tls(self, tls: ssl.SSLContext) -> Answer | None:
        """Encrypt, or fail: whoever strips the keyword gets no mail."""
        if b"STARTTLS" not in self._keywords:
            raise Cut
        reply = await self._asked(b"STARTTLS", self._config.greeting_timeout_ms)
        if reply.code != 220:  # noqa: PLR2004 - RFC 3207 §4
            return Answer(Step.SESSION, reply)
        if not self.line.is_usable:
            raise Cut  # bytes before the handshake: somebody in between injects replies (CVE-2021-33515 and kin)
        await self.line.encrypt(tls, self._config)
        return await self._hello()  # RFC 3207 §4.2: what was said before counts no more

    async def _log_in(self, username: str, password: str) -> Answer | None:
        """AUTH PLAIN (RFC 4616), or LOGIN where that is all there is."""
        timeout_ms = self._config.greeting_timeout_ms
        offered = self._keywords.get(b"AUTH", b"").split()
        if b"PLAIN" in offered or b"LOGIN" not in offered:
            secret = b64encode(f"\0{username}\0{password}".encode())
            reply = await self._asked(b"AUTH PLAIN " + secret, timeout_ms)
        else:
            reply = await self._asked(b"AUTH LOGIN", timeout_ms)
            for word in (username, password):
                if reply.code == 334:  # noqa: PLR2004 - RFC 4954 §4
                    reply = await self._asked(b64encode(word.encode()), timeout_ms)
        return None if reply.code in EXPECTED[Step.AUTH] else Answer(Step.AUTH, reply)

    # One mail.

    async def _envelope(self, mail: Mail) -> Answer | None:
        """MAIL, RCPT, DATA. All recipients or none: one that is refused keeps the mail from everybody."""
        commands = [(Step.MAIL, b"MAIL FROM:<%b>" % mail.sender.encode("ascii"))]
        commands += [(Step.RCPT, b"RCPT TO:<%b>" % to.encode("ascii")) for to in mail.recipients]
        data = (Step.DATA, b"DATA")
        if self.pipelining and len(mail.recipients) == 1:
            return await self._all_asked([*commands, data])
        return await self._all_asked(commands) or await self._all_asked([data])

    async def _all_asked(self, commands: Sequence[tuple[Step, bytes]]) -> Answer | None:
        """Return the refusal that decides, None if all were agreed to; together where the server lets us."""
        batches = [commands] if self.pipelining else [[command] for command in commands]
        for batch in batches:
            await self.line.write(b"".join(command + b"\r\n" for _, command in batch))
            answers = [Answer(step, await self.line.reply(self._config.command_timeout_ms)) for step, _ in batch]
            refusals = [answer for answer in answers if answer.reply.code not in EXPECTED[answer.step]]
            if refusals:
                self._after_refusal(answers)
                return _decisive(refusals)
        if not self.line.is_usable:
            raise Cut  # an answer to what was not yet asked
        return None

    def _after_refusal(self, answers: Sequence[Answer]) -> None:
        """Leave no transaction open: DATA that was agreed to would make the next command part of a mail."""
        self._must_reset = True
        # Also after a code out of place (250 to DATA): nobody knows what the server now expects.
        last = answers[-1]
        if last.step is Step.DATA and last.reply.code // 100 not in {4, 5}:
            self.line.abort()

    async def _asked(self, command: bytes, timeout_ms: int) -> Reply:
        await self.line.write(command + b"\r\n")
        return await self.line.reply(timeout_ms)

    async def _written(self, content: bytes) -> None:
        try:
            async with asyncio.timeout(self._config.data_timeout_ms / 1000):
                await self.line.write(content)
        except TimeoutError:
            raise Cut from None


def _decisive(refusals: Sequence[Answer]) -> Answer:
    """The refusal that the others follow from; among recipients, a permanent one before a temporary one."""
    first = refusals[0]
    if first.step is not Step.RCPT:
        return first
    recipients = [answer for answer in refusals if answer.step is Step.RCPT]
    return max(recipients, key=lambda answer: answer.reply.code)
