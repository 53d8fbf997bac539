"""A mail server that does what its recipients' names say; its own, so that it can hang up at any step."""

from __future__ import annotations

import asyncio
import re
from base64 import b64decode
from dataclasses import dataclass, field, replace
from hashlib import sha256
from typing import TYPE_CHECKING, Final

from processor.sandbox.behaviour import ACCEPT, ACCEPTED_BY, Action
from processor.sandbox.ledger import Entry, now_ms
from processor.sandbox.listener import Listener
from processor.sandbox.smtp_stream import MESSAGE_BYTES_MAX, HungUp, SmtpStream

if TYPE_CHECKING:
    import ssl
    from collections.abc import Awaitable, Callable

    from processor.sandbox.behaviour import Behaviour, Rule
    from processor.sandbox.ledger import Ledger
    from processor.sandbox.mailbox import Mailbox

PATH: Final = re.compile(rb"(?:FROM|TO):<([^<>\s]*)>(?: .*)?", re.IGNORECASE)
MESSAGE_ID: Final = re.compile(rb"^message-id:\s*<([^@>]+)@", re.IGNORECASE | re.MULTILINE)
ATTEMPT: Final = re.compile(rb"^x-comm-attempt:\s*(\d{1,9})\s*$", re.IGNORECASE | re.MULTILINE)

KEYWORDS: Final = (
    "PIPELINING",
    f"SIZE {MESSAGE_BYTES_MAX}",
    "8BITMIME",
    "SMTPUTF8",
    "ENHANCEDSTATUSCODES",
    "AUTH PLAIN LOGIN",
)

TEXTS: Final = {
    421: "4.7.0 slow down",
    429: "4.7.1 slow down",
    450: "4.7.1 slow down",
    451: "4.3.0 try later",
    452: "4.2.2 mailbox full",
    550: "5.1.1 no such mailbox",
}


@dataclass(slots=True)
class Envelope:
    """The transaction under way."""

    began_ms: int = 0
    sender: str | None = None
    recipients: list[str] = field(default_factory=list)


class SmtpSession:
    """One connection."""

    def __init__(self, stream: SmtpStream, server: SmtpServer) -> None:
        self._stream = stream
        self._server = server
        self._envelope = Envelope()
        self._trusted = server.login is None

    async def run(self) -> None:
        """Talk until one side has had enough."""
        try:
            self._say(220, "sandbox ESMTP")
            while True:
                verb, _, argument = (await self._stream.line()).partition(b" ")
                await COMMANDS.get(verb.upper(), SmtpSession._unknown)(self, argument)
        except HungUp as end:
            self._stream.close(politely=end.politely)
        except OSError:  # also a failed TLS handshake, and the idle time-out
            self._stream.close(politely=False)

    # Commands.

    async def _ehlo(self, argument: bytes) -> None:
        self._envelope = Envelope()
        offers_tls = self._server.tls is not None and not self._stream.encrypted
        self._say(250, "sandbox", *KEYWORDS, *(["STARTTLS"] if offers_tls else []))

    async def _helo(self, argument: bytes) -> None:
        self._envelope = Envelope()
        self._say(250, "sandbox")

    async def _starttls(self, argument: bytes) -> None:
        if self._server.tls is None or self._stream.encrypted:
            self._say(502, "5.5.1 no TLS here")
            return
        self._say(220, "2.0.0 go ahead")
        await self._stream.encrypt(self._server.tls)

    async def _auth(self, argument: bytes) -> None:
        mechanism, _, initial = argument.partition(b" ")
        if mechanism.upper() == b"LOGIN":
            name = _decoded(await self._asked("VXNlcm5hbWU6"))
            password = _decoded(await self._asked("UGFzc3dvcmQ6"))
        else:
            _, name, password, *_ = [*_decoded(initial or await self._asked("")).split("\0"), "", ""]
        self._trusted = self._server.login in {None, (name, password)}
        self._say(*((235, "2.7.0 welcome") if self._trusted else (535, "5.7.8 wrong credentials")))

    async def _mail(self, argument: bytes) -> None:
        path = PATH.fullmatch(argument)
        if not self._trusted:
            self._say(530, "5.7.0 log in first")
        elif self._envelope.sender is not None:
            self._say(503, "5.5.1 a transaction is open")  # as Postfix: a client that does not RSET shall be seen
        elif path is None:
            self._say(501, "5.5.4 MAIL FROM:<address>")
        else:
            self._envelope = Envelope(now_ms(), path[1].decode("utf-8", "replace"))
            self._say(250, "2.1.0 go on")

    async def _rcpt(self, argument: bytes) -> None:
        path = PATH.fullmatch(argument)
        if self._envelope.sender is None:
            self._say(503, "5.5.1 MAIL first")
            return
        if path is None or not path[1]:
            self._say(501, "5.1.3 RCPT TO:<address>")
            return
        recipient = path[1].decode("utf-8", "replace")
        rule = self._server.behaviour.of_recipient(recipient)
        if rule.action is Action.RCPT:  # no message id yet: times are counted by recipient
            rule = self._server.behaviour.apply([recipient], recipient)
        if rule.action is Action.RCPT:
            await self._server.ledger.record(self._refusal(recipient, rule))
            self._say(rule.code, _text(rule.code))
            if rule.code == 421:  # noqa: PLR2004 - RFC 5321 §4.2.3: the server closes
                raise HungUp(politely=True)
            return
        self._envelope.recipients.append(recipient)
        self._say(250, "2.1.5 go on")

    async def _data(self, argument: bytes) -> None:
        envelope = self._envelope
        if not envelope.recipients:
            self._say(554, "5.5.1 no valid recipients")
            return
        rules = [self._server.behaviour.of_recipient(recipient) for recipient in envelope.recipients]
        if any(rule.action is Action.DROP_BEFORE_DOT for rule in rules):
            # No message id yet: times are counted by recipient.
            rule = self._server.behaviour.apply(envelope.recipients, envelope.recipients[0])
            if rule.action is Action.DROP_BEFORE_DOT:
                raise HungUp
        self._say(354, "end with a dot")
        await self._take(await self._stream.content())
        self._envelope = Envelope()

    async def _rset(self, argument: bytes) -> None:
        self._envelope = Envelope()
        self._say(250, "2.0.0 forgotten")

    async def _noop(self, argument: bytes) -> None:
        self._say(250, "2.0.0 still here")

    async def _quit(self, argument: bytes) -> None:
        self._say(221, "2.0.0 bye")
        raise HungUp(politely=True)

    async def _unknown(self, argument: bytes) -> None:
        self._say(500, "5.5.2 no such command")

    # A message.

    async def _take(self, content: bytes) -> None:
        """Record a message that arrived whole, then answer as scripted."""
        envelope = self._envelope
        arrived = _arrived(envelope, content)
        behaviour = self._server.behaviour
        # A rule for RCPT had its turn, and must not stand before one that is to come.
        asking = [one for one in envelope.recipients if behaviour.of_recipient(one).action is not Action.RCPT]
        rule = behaviour.apply(asking, arrived.message_id or arrived.sha256) if asking else ACCEPT
        if rule.action is Action.DROP_BEFORE_DOT:
            rule = ACCEPT  # its turn was earlier
        entry = replace(arrived, accepted=rule.action in ACCEPTED_BY, code=str(rule.code))
        number = await self._server.ledger.record(entry)
        if entry.accepted and self._server.mailbox is not None:
            self._server.mailbox.keep_mail(number, content)
        if rule.delay_ms:
            await asyncio.sleep(rule.delay_ms / 1000)
        if rule.action is Action.DROP_AFTER_DOT:
            raise HungUp
        self._say(rule.code, f"2.0.0 accepted as {number}" if rule.action is Action.ACCEPT else _text(rule.code))
        if rule.code == 421:  # noqa: PLR2004 - RFC 5321 §4.2.3: the server closes
            raise HungUp(politely=True)

    def _refusal(self, recipient: str, rule: Rule) -> Entry:
        refused = _arrived(replace(self._envelope, recipients=[recipient]), b"")
        return replace(refused, code=str(rule.code))

    def _say(self, code: int, *texts: str) -> None:
        self._stream.say(code, *texts)

    async def _asked(self, prompt: str) -> bytes:
        self._say(334, prompt)
        return await self._stream.line()


COMMANDS: Final[dict[bytes, Callable[[SmtpSession, bytes], Awaitable[None]]]] = {
    b"EHLO": SmtpSession._ehlo,  # noqa: SLF001 - the table of this class
    b"HELO": SmtpSession._helo,  # noqa: SLF001
    b"STARTTLS": SmtpSession._starttls,  # noqa: SLF001
    b"AUTH": SmtpSession._auth,  # noqa: SLF001
    b"MAIL": SmtpSession._mail,  # noqa: SLF001
    b"RCPT": SmtpSession._rcpt,  # noqa: SLF001
    b"DATA": SmtpSession._data,  # noqa: SLF001
    b"RSET": SmtpSession._rset,  # noqa: SLF001
    b"NOOP": SmtpSession._noop,  # noqa: SLF001
    b"QUIT": SmtpSession._quit,  # noqa: SLF001
}


class SmtpServer(Listener):
    """Where sessions come from."""

    def __init__(
        self,
        ledger: Ledger,
        behaviour: Behaviour,
        *,
        login: tuple[str, str] | None,
        tls: ssl.SSLContext | None,
        mailbox: Mailbox | None = None,
    ) -> None:
        super().__init__()
        self.ledger = ledger
        self.behaviour = behaviour
        self.login = login
        self.tls = tls
        self.mailbox = mailbox

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Talk to one client."""
        await SmtpSession(SmtpStream(reader, writer), self).run()


def _arrived(envelope: Envelope, content: bytes) -> Entry:
    """What the ledger says of a message, refused until told otherwise."""
    head = content.partition(b"\r\n\r\n")[0]
    found_id, found_attempt = MESSAGE_ID.search(head), ATTEMPT.search(head)
    return Entry(
        at_ms=now_ms(),
        first_byte_ms=envelope.began_ms,
        protocol="smtp",
        message_id=_plain_id(found_id[1]) if found_id else None,
        attempt=int(found_attempt[1]) if found_attempt else None,
        recipients=tuple(envelope.recipients),
        accepted=False,
        code="",
        sha256=sha256(content).hexdigest(),
        size_bytes=len(content),
    )


def _plain_id(raw: bytes) -> str:
    """Undo how our mails write ids that RFC 5322 would not allow."""
    return raw.decode("ascii", "replace").replace("=3A", ":").replace("=2E", ".")


def _decoded(raw: bytes) -> str:
    try:
        return b64decode(raw, validate=True).decode("utf-8", "replace")
    except ValueError:
        return ""


def _text(code: int) -> str:
    return TEXTS.get(code, f"{code // 100}.0.0 as scripted")
