"""The SMPP adapter: build, submit, parse."""

from __future__ import annotations

import asyncio
import random
from time import monotonic
from typing import TYPE_CHECKING, Final

from processor.core.outcome import Accepted, Deferred, Outcome, Stage, Throttled, Unknown
from processor.core.words import Reason
from processor.providers.adapter import TOO_LATE, Broken
from processor.providers.meaning import Meaning
from processor.providers.smpp.codes import code_of, meaning, refusal
from processor.providers.smpp.config import CHARS_MAX
from processor.providers.smpp.message import Parts, build
from processor.providers.smpp.pdu import Command, message_id
from processor.providers.smpp.pool import Pool
from processor.providers.smpp.session import Session
from processor.providers.trust import trusting

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from processor.providers.adapter import Submission
    from processor.providers.smpp.config import SmppConfig
    from processor.providers.smpp.pdu import Pdu
    from processor.providers.smpp.receipt import Receipt, Receipts

TRIES: Final = 2
"""A link may end between its choice and its use: what was not written then goes to the next one."""

SLOWER_S: Final = 1.0
"""Rates are agreed by the second."""

NOT_WRITTEN: Final = Deferred(Reason.CONNECTION_BROKEN, stage=Stage.PREPARE)
NO_ROOM: Final = Throttled(stage=Stage.PREPARE)  # the window stayed full: the centre is slower than we ask
NO_ANSWER: Final = Unknown(Reason.ANSWER_MISSING, stage=Stage.HAND_OVER)

KINDS: Final = {
    "tls": ("off", "implicit"),
    "bind": ("transceiver", "transmitter_receiver"),
    "payload": ("udh", "message_payload"),
    "receipt_ids": ("same", "decimal", "hexadecimal", "either"),
}


async def unread(receipt: Receipt) -> None:
    """Take a receipt that nobody is interested in."""


class SmppAdapter:
    """Submits on kept binds; as many at once as their windows have room for."""

    def __init__(
        self,
        config: SmppConfig,
        *,
        receipts: Receipts = unread,
        jitter: Callable[[], float] = random.random,
    ) -> None:
        """
        Connect nothing yet.

        *receipts* is given each delivery receipt; only when it has returned is the receipt acknowledged, and
        if it raises, the centre is asked to send the receipt again. It may be called more than once with
        the same receipt, and for several at once.
        """
        _checked(config)
        self._config = config
        tls = None if config.tls == "off" else trusting(config.ca_file)
        self._pool = Pool(config, tls=tls, receipts=receipts, jitter=jitter)

    def open(self) -> None:
        """Begin to bind before the first message, for receipts of earlier ones; needs a running event loop."""
        self._pool.open()

    async def send(self, batch: Sequence[Submission]) -> Sequence[Outcome]:
        """Send each submission; SMPP has no bulk form that answers for each, so they go side by side."""
        if len(batch) == 1:
            return [await self._send(batch[0])]
        return await asyncio.gather(*map(self._send, batch))

    async def close(self) -> None:
        """Unbind."""
        await self._pool.close()

    async def _send(self, submission: Submission) -> Outcome:
        parts = build(submission, self._config)
        if not isinstance(parts, Parts):
            return parts
        outcome: Outcome = NOT_WRITTEN
        for _ in range(TRIES):
            session = await self._pool.session()
            if not isinstance(session, Session):
                return session
            if submission.is_over():
                return TOO_LATE
            outcome = await self._submitted(session, parts, submission)
            if outcome is not NOT_WRITTEN:
                break
        return outcome

    async def _submitted(self, session: Session, parts: Parts, submission: Submission) -> Outcome:
        """
        Submit one part after the other, each once the one before was taken.

        So nothing was sent where the first is refused. Where a later one fails, the recipient has a part of the
        message or will have: that is perhaps sent, and whether it is sent again is the channel's decision.
        """
        loop = asyncio.get_running_loop()
        patience_s = self._config.answer_timeout_ms / 1000
        first, *others = parts.pdus
        room_s = min(patience_s, submission.until_s - monotonic())
        answer = await session.link.submit(
            first, until_s=loop.time() + room_s, answer_s=patience_s, is_over=submission.is_over
        )
        if answer is None and submission.is_over():
            return TOO_LATE
        outcome = parse(answer, parts, self._config)
        until_s = loop.time() + patience_s  # all others together: a call must end
        ids = [outcome.provider_message_id if isinstance(outcome, Accepted) else None]
        for pdu in others:
            if not isinstance(outcome, Accepted):
                return outcome
            outcome = await self._later(session, pdu, parts, until_s)
            if not isinstance(outcome, Accepted):
                return Unknown(Reason.ANSWER_MISSING, outcome.code)
            ids.append(outcome.provider_message_id)
        return _with_parts(outcome, ids) if others else outcome

    async def _later(self, session: Session, pdu: bytes, parts: Parts, until_s: float) -> Outcome:
        """Submit a later part; one that the centre asks to send more slowly was not taken, and goes once more."""
        loop = asyncio.get_running_loop()
        while True:
            answer_s = max(until_s - loop.time(), 0)
            answer = await session.link.submit(pdu, until_s=until_s, answer_s=answer_s, goes_on=True)
            outcome = parse(answer, parts, self._config)
            if not isinstance(outcome, Throttled) or loop.time() + SLOWER_S >= until_s:
                return outcome
            await asyncio.sleep(SLOWER_S)


def parse(answer: Pdu | Broken | None, parts: Parts, config: SmppConfig) -> Outcome:
    """Return what the end of a submit means for the message."""
    if answer is None:
        return NO_ROOM
    if isinstance(answer, Broken):
        return NOT_WRITTEN if answer.stage is Stage.PREPARE else NO_ANSWER
    if meaning(answer.status, config.codes) is not Meaning.ACCEPTED:
        return refusal(answer.status, config.codes)
    if answer.command_id != Command.SUBMIT_SM_RESP:  # §4.3.1: a nack is a refusal, whatever status a centre gives it
        return Unknown(Reason.ANSWER_UNLISTED, code_of(answer.status))
    return Accepted(message_id(answer), code_of(answer.status), parts.segments, parts.encoding.value)


def _with_parts(outcome: Outcome, ids: Sequence[str | None]) -> Outcome:
    """Return *outcome* with the ids of all parts; without any where a part has none: its receipt tells of nothing."""
    known = tuple(each for each in ids if each is not None)
    if isinstance(outcome, Accepted) and len(known) == len(ids):
        return outcome._replace(part_ids=known)
    return outcome


def _checked(config: SmppConfig) -> None:
    """Raise ValueError, with the setting's name, for a configuration that could send nothing."""
    for name, kinds in KINDS.items():
        if getattr(config, name) not in kinds:
            raise ValueError(f"{name}: write one of {', '.join(kinds)}")
    for name, chars_max in CHARS_MAX.items():
        value: str = getattr(config, name)
        if not value.isascii() or (value and not value.isprintable()) or len(value) > chars_max:
            raise ValueError(f"{name}: write at most {chars_max} ASCII characters")
    if not config.system_id:
        raise ValueError("system_id: write the name to log in with")
    for status, word in config.codes.items():
        if word not in set(Meaning):
            raise ValueError(f"codes.{code_of(status)}: write one of {', '.join(Meaning)}")
