"""
A short message centre that does what its recipients' numbers say. SMPP 3.4.

A rule's code becomes a command_status: bounce and rcpt are 0x0B (not a valid recipient), defer is 0x08 (system
error), throttle is 0x58, `answer-NNN` is NNN in decimal. A message's id and attempt, for the ledger, are read out of
the parameter `REFERENCE_TLV`, as `ATTEMPT:MESSAGE_ID`. Of a message in parts, the first part meets the rule; it is in
the ledger when its last part has come, or refused with its first one.
"""

from __future__ import annotations

import asyncio
import time
from dataclasses import dataclass, replace
from hashlib import sha256
from typing import TYPE_CHECKING, Final

import smpp34

from processor.sandbox.behaviour import ACCEPT, ACCEPTED_BY, Action
from processor.sandbox.ledger import Entry, now_ms
from processor.sandbox.listener import Listener
from processor.sandbox.smsc_parts import Parts, part_number
from processor.sandbox.smsc_receipts import Owed, Receipts
from processor.sandbox.smsc_stream import RESPONSE, Pdu, SmscStream
from processor.sandbox.smtp_stream import HungUp

if TYPE_CHECKING:
    import ssl

    from processor.sandbox.behaviour import Behaviour, Rule
    from processor.sandbox.ledger import Ledger
    from processor.sandbox.smsc_parts import Whole

REFERENCE_TLV: Final = 0x1400  # the first of the vendors' range, §5.3.2
NAME: Final = b"sandbox\0"

BIND_RECEIVER: Final = 0x01
BIND_TRANSMITTER: Final = 0x02
SUBMIT_SM: Final = 0x04
DELIVER_SM_RESP: Final = 0x80000005
UNBIND: Final = 0x06
BIND_TRANSCEIVER: Final = 0x09
ENQUIRE_LINK: Final = 0x15
GENERIC_NACK: Final = 0x80000000
BINDS: Final = frozenset({BIND_RECEIVER, BIND_TRANSMITTER, BIND_TRANSCEIVER})

RINVCMDID, RINVBNDSTS, RALYBND, RINVPASWD, RINVSYSID = 0x03, 0x04, 0x05, 0x0E, 0x0F

STATUSES: Final = {Action.BOUNCE: 0x0B, Action.RCPT: 0x0B, Action.DEFER: 0x08, Action.THROTTLE: 0x58}


@dataclass(frozen=True, slots=True)
class Submitted:
    """A submit_sm, and when it came."""

    pdu: Pdu
    submit: smpp34.SubmitSm
    began_ms: int

    @property
    def reference(self) -> tuple[str | None, int | None]:
        """The message's id and attempt, where the client tells them."""
        told = next((tlv.value for tlv in self.submit.tlvs if tlv.tag == REFERENCE_TLV), b"").decode("utf-8", "replace")
        attempt, _, message_id = told.partition(":")
        return message_id or None, int(attempt) if attempt.isdecimal() else None


class SmscSession:
    """One connection."""

    def __init__(self, stream: SmscStream, server: Smsc) -> None:
        self.stream = stream
        self._server = server
        self._role: int | None = None
        self._account = b""
        self._tasks: set[asyncio.Task[None]] = set()

    async def run(self) -> None:
        """Talk until one side has had enough; answers may overtake each other, as the scripted delays say."""
        try:
            while True:
                self._take(await self.stream.pdu())
        except HungUp as end:
            self.stream.close(politely=end.politely)
        except OSError:  # also the idle time-out
            self.stream.close(politely=False)
        finally:
            self._server.receipts.left(self.stream)
            for task in self._tasks:
                task.cancel()

    def _take(self, pdu: Pdu) -> None:
        if pdu.command_id in BINDS:
            self._bind(pdu)
        elif pdu.command_id == ENQUIRE_LINK:
            self.stream.answer(pdu)
        elif pdu.command_id == UNBIND:
            self.stream.answer(pdu)
            raise HungUp(politely=True)
        elif pdu.command_id == SUBMIT_SM and self._role in {BIND_TRANSMITTER, BIND_TRANSCEIVER}:
            self._submit(pdu)
        elif pdu.command_id == DELIVER_SM_RESP:
            self._server.receipts.answered(self.stream, pdu.sequence, pdu.status)
        elif pdu.command_id == SUBMIT_SM:
            self.stream.answer(pdu, RINVBNDSTS)
        elif not pdu.command_id & RESPONSE:
            self.stream.answer(pdu._replace(command_id=GENERIC_NACK), RINVCMDID)

    def _bind(self, pdu: Pdu) -> None:
        system_id, password, *_ = [*pdu.body.split(b"\0", 2), b"", b""]
        login = self._server.login
        if self._role is not None:
            self.stream.answer(pdu, RALYBND)
        elif login is not None and login[0].encode() != system_id:
            self.stream.answer(pdu, RINVSYSID)
        elif login is not None and login[1].encode() != password:
            self.stream.answer(pdu, RINVPASWD)
        else:
            self._role, self._account = pdu.command_id, system_id
            self.stream.answer(pdu, body=NAME)
            if self._role != BIND_TRANSMITTER:
                self._server.receipts.bound(self.stream, self._account)

    def _submit(self, pdu: Pdu) -> None:
        try:
            submit = smpp34.decode(pdu.raw)
        except smpp34.SmppError:
            raise HungUp from None
        assert isinstance(submit, smpp34.SubmitSm)  # noqa: S101 - for the type checker: its command_id says so
        task = asyncio.create_task(self._answered(Submitted(pdu, submit, now_ms())))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _answered(self, asked: Submitted) -> None:
        try:
            await self._answer(asked)
        except HungUp:
            self.stream.close(politely=False)

    async def _answer(self, asked: Submitted) -> None:
        """Record a message that arrived whole, then answer as scripted."""
        submit, server = asked.submit, self._server
        rule = server.rule(asked)
        if rule.action is Action.DROP_BEFORE_DOT:
            raise HungUp
        status = rule.code if rule.action is Action.ANSWER else STATUSES.get(rule.action, 0)
        whole = server.parts.add(submit) if rule.action in ACCEPTED_BY else None
        if whole is None and status == 0:
            self._accept(asked, server.next_id())  # a part of a message
            return
        entry = _entry(asked, whole)
        number = await server.ledger.record(replace(entry, accepted=rule.action in ACCEPTED_BY, code=f"0x{status:08X}"))
        if rule.delay_ms:
            await asyncio.sleep(rule.delay_ms / 1000)
        if rule.action is Action.DROP_AFTER_DOT:
            raise HungUp
        if status:
            self.stream.answer(asked.pdu, status)
        else:
            self._accept(asked, f"{number:x}")

    def _accept(self, asked: Submitted, smsc_id: str) -> None:
        submit = asked.submit
        self.stream.answer(asked.pdu, body=smsc_id.encode("ascii") + b"\0")
        if self._server.sends_receipts and submit.registered_delivery & 1:  # §5.2.17
            owed = Owed(self._account, smsc_id, submit.source_addr, submit.destination_addr, time.time())
            self._server.receipts.owe(owed)


class Smsc(Listener):
    """Where sessions come from."""

    def __init__(
        self,
        ledger: Ledger,
        behaviour: Behaviour,
        *,
        login: tuple[str, str] | None = None,
        tls: ssl.SSLContext | None = None,
        sends_receipts: bool = True,
    ) -> None:
        super().__init__(encrypted=tls)
        self.ledger = ledger
        self.login = login
        self.sends_receipts = sends_receipts
        self.parts = Parts()
        self.receipts = Receipts()
        self._behaviour = behaviour
        self._ids = 0

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Talk to one client."""
        await SmscSession(SmscStream(reader, writer), self).run()

    def rule(self, asked: Submitted) -> Rule:
        """Return what happens to a message now; the parts after the first are part of what was decided."""
        recipient = f"+{asked.submit.destination_addr}"
        if part_number(asked.submit) > 1:
            rule = self._behaviour.of_recipient(recipient)
            return rule if rule.action in ACCEPTED_BY else ACCEPT
        return self._behaviour.apply([recipient], asked.reference[0] or recipient)

    def next_id(self) -> str:
        """Return an id for a part that ends no message; unlike those in the ledger, which are its numbers."""
        self._ids += 1
        return f"p{self._ids:x}"


def _entry(asked: Submitted, whole: Whole | None) -> Entry:
    """What the ledger says of a message, refused until told otherwise."""
    octets = whole.text.encode("utf-8", "replace") if whole else asked.submit.short_message
    message_id, attempt = asked.reference
    return Entry(
        at_ms=now_ms(),
        first_byte_ms=asked.began_ms,
        protocol="smpp",
        message_id=message_id,
        attempt=attempt,
        recipients=(f"+{asked.submit.destination_addr}",),
        accepted=False,
        code="",
        sha256=sha256(octets).hexdigest(),
        size_bytes=len(octets),
        segments=whole.segments if whole else None,
    )
