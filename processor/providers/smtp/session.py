"""The conversation: a session is opened once, then carries mails; every step knows its stage."""

from __future__ import annotations

import asyncio
from base64 import b64encode
from dataclasses import dataclass
from enum import Enum
from math import inf
from typing import TYPE_CHECKING, Final, NamedTuple

from processor.core.outcome import Stage
from processor.providers.adapter import Broken
from processor.providers.smtp.line import Cut, Line
from processor.providers.smtp.reply import CLOSING, EXPECTED, MALFORMED, Reply, Step

if TYPE_CHECKING:
    import ssl
    from collections.abc import Sequence

    from processor.providers.names import Lookups
    from processor.providers.smtp.config import SmtpConfig
    from processor.providers.smtp.mail import Mail

ONE_WRITE_BYTES_MAX: Final = 65_536
"""A larger mail is sent without its final dot first: a line that breaks meanwhile has certainly not delivered it."""

AGREED: Final = 250  # RFC 5321 §4.2.3
GO_AHEAD: Final = 354
GREETING: Final = 220
TAKEN: Final = 2
"""
First digit of what agrees to a recipient: a client that does not know a code acts on that (RFC 5321 §4.2.1).

A recipient whom the server has on its list, and we do not, would be mailed now and once more.
"""
ANSWERS_TO_RCPT: Final = frozenset({TAKEN, 4, 5})
USUAL: Final = [AGREED, AGREED, GO_AHEAD]
OVER: Final = frozenset({CLOSING, MALFORMED.code})
"""Replies after which the line is cut, by the server or by us: there are no more."""


class Answer(NamedTuple):
    """
    The reply that decided.

    *refused* holds the recipients that were refused, by position in `Mail.recipients`: beside a reply to the
    dot the mail went, or did not go, to the others; beside one to RCPT there were no others.
    """

    step: Step
    reply: Reply
    refused: tuple[tuple[int, Reply], ...] = ()


class Unfit(Enum):
    """What a mail needs and this server does not offer, or that its time is over; it was not handed over."""

    LATE = "late"
    SIZE = "size"  # RFC 1870
    EIGHT_BIT = "eight_bit"  # RFC 6152
    UTF8 = "utf8"  # RFC 6531


@dataclass(frozen=True, slots=True)
class Offer:
    """What a server says it can do."""

    pipelining: bool = False  # RFC 2920
    size: bool = False  # RFC 1870
    size_bytes_max: int | None = None
    eight_bit: bool = False  # RFC 6152
    utf8: bool = False  # RFC 6531 §3.2, which makes 8BITMIME part of it


def offer(keywords: dict[bytes, bytes]) -> Offer:
    """Return what the *keywords* of an answer to EHLO, in upper case, with their parameters, stand for."""
    limit = keywords.get(b"SIZE", b"")
    eight_bit = b"8BITMIME" in keywords
    return Offer(
        pipelining=b"PIPELINING" in keywords,
        size=b"SIZE" in keywords,
        # RFC 1870 §4: at most 20 digits, and 0 for no fixed limit.
        size_bytes_max=int(limit) or None if limit.isdigit() and len(limit) <= 20 else None,  # noqa: PLR2004
        eight_bit=eight_bit,
        utf8=eight_bit and b"SMTPUTF8" in keywords,
    )


class Session:
    """A connection that has said hello, and is encrypted and logged in as configured."""

    def __init__(self, line: Line, config: SmtpConfig) -> None:
        self.line = line
        self.uses = 0
        self.offer = Offer()
        self.is_clean = True  # whether the next mail may begin without RSET
        self._config = config
        self._keywords: dict[bytes, bytes] = {}

    @classmethod
    async def open(cls, config: SmtpConfig, tls: ssl.SSLContext, lookups: Lookups) -> Session | Answer | Broken:
        """Return a session, or what kept it from opening: the server's answer, or a broken line."""
        try:
            line = await Line.open(config, tls if config.tls == "implicit" else None, lookups)
        except (OSError, UnicodeError):  # refused, unreachable, not resolved, TLS, time-out; no name at all
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

    def unfit(self, mail: Mail) -> Unfit | None:
        """Return why *mail* cannot go on this session."""
        if mail.submission.is_over():
            return Unfit.LATE
        if self.offer.size_bytes_max is not None and mail.size_bytes > self.offer.size_bytes_max:
            return Unfit.SIZE
        if mail.utf8 and not self.offer.utf8:
            return Unfit.UTF8
        return Unfit.EIGHT_BIT if mail.eight_bit and not self.offer.eight_bit else None

    async def exchange(self, mail: Mail, until_s: float) -> Answer | Broken | Unfit:
        """
        Send one mail; the only place where one leaves. Without an Answer the session is of no more use.

        The server has until *until_s*, by the event loop's clock, to agree to DATA, however many recipients there are.
        """
        self.uses += 1
        stage = Stage.PREPARE
        try:
            agreed = await self._envelope(mail, until_s)
            if isinstance(agreed, Answer):
                return agreed
            if mail.submission.is_over():
                return Unfit.LATE
            last = await self._all_but_last(mail.content)
            if mail.submission.is_over():  # without its last bytes it is no mail
                return Unfit.LATE
            stage = Stage.HAND_OVER
            (reply,) = await self.line.ask(last, 1, self._config.answer_timeout_ms)
        except Cut:
            return Broken(stage)
        self.is_clean = reply.code == AGREED
        return Answer(Step.DOT, reply, agreed)

    async def is_ready(self, until_s: float) -> bool:
        """Tell, by *until_s*, whether another mail may follow, with nothing left of the one before."""
        if not self.line.is_usable:
            return False
        if not self.is_clean:
            try:
                reply = await self._asked(b"RSET", self._config.command_timeout_ms, until_s)
            except Cut:
                return False
            self.is_clean = reply.code == AGREED
        return self.is_clean

    async def quit(self) -> None:
        """Say goodbye without waiting for the answer (RFC 5321 §4.1.1.10 allows that it is lost)."""
        try:
            await self.line.write(b"QUIT\r\n", self._config.command_timeout_ms)
        except Cut:
            return
        self.line.close()

    # Set-up.

    async def _set_up(self, tls: ssl.SSLContext) -> Answer | None:
        (greeting,) = await self.line.ask(b"", 1, self._config.greeting_timeout_ms)
        if greeting.code != GREETING:
            return Answer(Step.SESSION, greeting)
        refusal = await self._hello()
        if refusal is None and self._wants_tls():
            refusal = await self._start_tls(tls)
        if refusal is None and self._config.username is not None:
            refusal = await self._log_in(self._config.username, self._config.password or "")
        return refusal

    async def _hello(self) -> Answer | None:
        name = self._config.helo_name.encode("ascii")
        reply = await self._asked(b"EHLO " + name, self._config.greeting_timeout_ms)
        if reply.code in {500, 502}:  # RFC 5321 §3.2: older than EHLO
            reply = await self._asked(b"HELO " + name, self._config.greeting_timeout_ms)
        if reply.code != AGREED:
            return Answer(Step.SESSION, reply)
        said = (line[4:].upper().partition(b" ") for line in reply.lines[1:])
        self._keywords = {keyword: parameters for keyword, _, parameters in said}
        self.offer = offer(self._keywords)
        return None

    def _wants_tls(self) -> bool:
        """Opportunistic: whoever strips the keyword gets the mail in plain text, which production refuses."""
        return self._config.tls == "starttls" or (self._config.tls == "opportunistic" and b"STARTTLS" in self._keywords)

    async def _start_tls(self, tls: ssl.SSLContext) -> Answer | None:
        """Encrypt, or fail: whoever strips the keyword gets no mail."""
        if b"STARTTLS" not in self._keywords:
            raise Cut
        reply = await self._asked(b"STARTTLS", self._config.greeting_timeout_ms)
        if reply.code != GREETING:  # RFC 3207 §4
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

    async def _envelope(self, mail: Mail, until_s: float) -> Answer | tuple[tuple[int, Reply], ...]:
        """Offer the mail to its recipients; return those who were refused, or what keeps it from everybody."""
        self.is_clean = False
        commands = [self._mail_from(mail), *(b"RCPT TO:<%b>\r\n" % to.encode() for to in mail.recipients), b"DATA\r\n"]
        ask = self._together if self.offer.pipelining else self._in_turn
        replies = await ask(commands, until_s)
        answer = _decided(replies, len(mail.recipients))
        if answer is None:
            if len(replies) < len(commands) or not self.line.is_usable:
                raise Cut  # gone; or an answer to what was not yet asked
            return _refused(replies[1:-1])
        # DATA agreed to makes the next command part of a mail; after a code out of place (250 to DATA) nobody
        # knows what the server expects.
        if len(replies) == len(commands) and replies[-1].code // 100 not in {4, 5}:
            self.line.abort()
        return answer

    async def _all_but_last(self, content: bytes) -> bytes:
        """Send *content*, if it is large; return what remains to be written, the final dot in any case."""
        if len(content) <= ONE_WRITE_BYTES_MAX:
            return content + b".\r\n"
        await self.line.write(content, self._config.data_timeout_ms)
        if not self.line.is_usable:
            raise Cut  # also an answer before the dot: it is none to the mail
        return b".\r\n"

    def _mail_from(self, mail: Mail) -> bytes:
        parameters = b""
        if self.offer.size:
            parameters += b" SIZE=%d" % mail.size_bytes  # RFC 1870 §6: refused before it is carried
        if mail.eight_bit:
            parameters += b" BODY=8BITMIME"  # RFC 6152 §3
        if mail.utf8:
            parameters += b" SMTPUTF8"  # RFC 6531 §3.4
        return b"MAIL FROM:<%b>%b\r\n" % (mail.sender.encode(), parameters)

    async def _together(self, commands: Sequence[bytes], until_s: float) -> Sequence[Reply]:
        return await self.line.ask(b"".join(commands), len(commands), self._config.command_timeout_ms, until_s)

    async def _in_turn(self, commands: Sequence[bytes], until_s: float) -> Sequence[Reply]:
        """Ask one by one; DATA only if somebody may have the mail."""
        replies: list[Reply] = []
        for command in commands:
            is_pointless = replies and _decided(replies, len(commands) - 2) is not None
            if is_pointless:
                break
            replies += await self.line.ask(command, 1, self._config.command_timeout_ms, until_s)
        return replies

    async def _asked(self, command: bytes, timeout_ms: int, until_s: float = inf) -> Reply:
        (reply,) = await self.line.ask(command + b"\r\n", 1, timeout_ms, until_s)
        return reply


def _decided(replies: Sequence[Reply], recipients: int) -> Answer | None:
    """Return what keeps a mail from everybody, as far as *replies* (to MAIL, each RCPT, DATA) tell."""
    if recipients == 1 and [reply.code for reply in replies] == USUAL:
        return None
    of_mail, of_recipients, of_data = replies[0], replies[1 : recipients + 1], replies[recipients + 1 :]
    if of_mail.code != AGREED:
        return Answer(Step.MAIL, of_mail)
    if len(of_recipients) < recipients or of_recipients[-1].code in OVER:
        return Answer(Step.RCPT, replies[-1]) if replies[-1].code in OVER else None
    odd = next((reply for reply in of_recipients if reply.code // 100 not in ANSWERS_TO_RCPT), None)
    if odd is not None:  # the server may take that recipient for one who has the mail, or may not: nobody gets it
        return Answer(Step.RCPT, odd)
    refused = _refused(of_recipients)
    if len(refused) == recipients:
        return Answer(Step.RCPT, refused[0][1], refused)
    return Answer(Step.DATA, of_data[0]) if of_data and of_data[0].code != GO_AHEAD else None


def _refused(replies: Sequence[Reply]) -> tuple[tuple[int, Reply], ...]:
    return tuple((at, reply) for at, reply in enumerate(replies) if reply.code // 100 != TAKEN)
