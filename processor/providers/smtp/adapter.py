"""The SMTP adapter: build, exchange, parse."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Final, assert_never

from processor.core.outcome import Accepted, Deferred, Outcome, Partly, Rejected, Stage, Throttled, Unknown
from processor.core.words import Reason
from processor.providers.adapter import TOO_LATE, Broken
from processor.providers.content import is_address, is_line
from processor.providers.smtp.dkim import Signer
from processor.providers.smtp.mail import Mail, build
from processor.providers.smtp.pool import Pool
from processor.providers.smtp.reply import PACKAGED, Step, Tables, outcome, tables
from processor.providers.smtp.session import Answer, Unfit
from processor.providers.trust import trusting

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from processor.providers.adapter import Submission
    from processor.providers.smtp.config import SmtpConfig
    from processor.providers.smtp.pool import Ended
    from processor.providers.smtp.reply import Reply

TLS_KINDS: Final = ("off", "opportunistic", "starttls", "implicit")

BROKEN: Final[Mapping[Stage, Outcome]] = {  # FAULTS trap 11: where the line broke decides
    Stage.CONNECT: Deferred(Reason.PROVIDER_UNAVAILABLE, stage=Stage.CONNECT),
    Stage.GREETING: Deferred(Reason.PROVIDER_UNAVAILABLE, stage=Stage.GREETING),
    Stage.PREPARE: Deferred(Reason.CONNECTION_BROKEN, stage=Stage.PREPARE),
    Stage.HAND_OVER: Unknown(Reason.ANSWER_MISSING, stage=Stage.HAND_OVER),
}


UNFIT: Final[Mapping[Unfit, Outcome]] = {
    Unfit.LATE: TOO_LATE,
    Unfit.SIZE: Rejected(Reason.TOO_LARGE, stage=Stage.PREPARE),
    Unfit.UTF8: Rejected(Reason.INVALID_RECIPIENT, stage=Stage.PREPARE),
    # A pool of servers that offer different things by turns; the next attempt is written anew.
    Unfit.EIGHT_BIT: Deferred(Reason.PROVIDER_UNAVAILABLE, stage=Stage.PREPARE),
}


class SmtpAdapter:
    """Sends mails on kept sessions; as many at once as dispatch asks for and the pool has."""

    def __init__(self, config: SmtpConfig, *, now_ms: Callable[[], int]) -> None:
        _checked(config)
        self._config = config
        self._now_ms = now_ms
        self._tables = tables(config.codes)
        self._signer = signer_of(config)
        self._pool = Pool(config, trusting(config.ca_file))

    def open(self) -> None:
        """Do nothing: the first call connects."""

    async def send(self, batch: Sequence[Submission]) -> Sequence[Outcome]:
        """
        Send each submission; SMTP has no bulk form, so they go side by side, each on a session of its own.

        One after the other they would take longer than a call may: cut off, all would be perhaps sent.
        """
        if len(batch) == 1:
            return [await self._send(batch[0])]
        return await asyncio.gather(*map(self._send, batch))

    async def close(self) -> None:
        """Say goodbye on kept sessions."""
        await self._pool.close()

    async def _send(self, submission: Submission) -> Outcome:
        mail = self._built(submission, eight_bit=self._pool.offer.eight_bit)
        if not isinstance(mail, Mail):
            return mail
        ended = await self._pool.exchange(mail)
        if ended is Unfit.EIGHT_BIT:  # what the last server offered, this one does not
            mail = self._built(submission, eight_bit=False)
            if not isinstance(mail, Mail):
                return mail
            ended = await self._pool.exchange(mail)
        return parse(ended, mail.indexes, self._tables)

    def _built(self, submission: Submission, *, eight_bit: bool) -> Mail | Rejected:
        now_ms = self._now_ms()
        return build(submission, self._config, now_ms=now_ms, eight_bit=eight_bit, signer=self._signer)


def signer_of(config: SmtpConfig) -> Signer | None:
    """Return what signs this provider's mails. Raises ValueError for a key that cannot, or that is another domain's."""
    if not config.dkim:
        return None
    domain = config.from_address.rpartition("@")[2].lower()
    keys = [key for key in config.dkim if key.domain.lower() == domain]
    if not keys:
        raise ValueError("dkim: write a key for the domain of from_address; those of other domains sign nothing here")
    return Signer(keys[0])


def parse(ended: Ended, indexes: Sequence[tuple[int, ...]], tables: Tables = PACKAGED) -> Outcome:
    """Return what the end of an exchange means for the message, whose recipients on the envelope have *indexes*."""
    match ended:
        case Answer() if ended.step is not Step.RCPT:
            found = outcome(ended.reply, ended.step, tables)
            return _partly(found, ended.refused, indexes, tables) if ended.refused else found
        case Answer():
            replies = [reply for _, reply in ended.refused] or [ended.reply]
            # Refused by each: never again only if nobody is left who may take it later.
            return min((outcome(reply, Step.RCPT, tables) for reply in replies), key=_finality)
        case Broken():
            return BROKEN[ended.stage]
        case Unfit():
            return UNFIT[ended]
        case _:
            assert_never(ended)


def _finality(of: Outcome) -> int:
    """Rank answers to RCPT; asked to slow down is the least final, for it is not charged."""
    return {Throttled: 0, Deferred: 1}.get(type(of), 2)


def _partly(
    found: Outcome, refused: Sequence[tuple[int, Reply]], indexes: Sequence[tuple[int, ...]], tables: Tables
) -> Outcome:
    """Return the outcome of a mail that some recipients were refused; taken by nobody, it is as if it had not been."""
    if not isinstance(found, Accepted):
        return found
    outcomes = [(indexes[at], outcome(reply, Step.RCPT, tables)) for at, reply in refused]
    decisive = min((of for _, of in outcomes), key=_finality)
    return Partly(
        still_open=tuple(sorted(i for of_one, of in outcomes if not isinstance(of, Rejected) for i in of_one)),
        refused=tuple(sorted(i for of_one, of in outcomes if isinstance(of, Rejected) for i in of_one)),
        reason=decisive.reason if isinstance(decisive, Deferred | Throttled | Rejected) else Reason.ANSWER_UNLISTED,
        code=decisive.code,
    )


def _checked(config: SmtpConfig) -> None:
    """Raise ValueError, with the setting's name, for a configuration that could send nothing."""
    if config.tls not in TLS_KINDS:
        raise ValueError(f"tls: write one of {', '.join(TLS_KINDS)}")
    if not is_address(config.from_address):
        raise ValueError("from_address: write one mail address, such as service@example.com")
    if config.reply_to is not None and not is_address(config.reply_to):
        raise ValueError("reply_to: write one mail address, such as help@example.com")
    if not is_address(f"id@{config.message_id_domain}"):
        raise ValueError("message_id_domain: write a domain name, such as example.com")
    if config.from_name is not None and not is_line(config.from_name):
        raise ValueError("from_name: write one line of text")
    if not is_address(f"helo@{config.helo_name}"):
        raise ValueError("helo_name: write this machine's domain name")
