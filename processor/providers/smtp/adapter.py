"""The SMTP adapter: build, exchange, parse."""

from __future__ import annotations

import ssl
from typing import TYPE_CHECKING, Final

from processor.core.outcome import Deferred, Outcome, Stage, Unknown
from processor.core.words import Reason
from processor.providers.adapter import Broken
from processor.providers.content import is_address, is_line
from processor.providers.smtp.mail import Mail, build
from processor.providers.smtp.pool import Pool
from processor.providers.smtp.reply import outcome

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from processor.providers.adapter import Submission
    from processor.providers.smtp.config import SmtpConfig
    from processor.providers.smtp.session import Answer

TLS_KINDS: Final = ("off", "starttls", "implicit")

BROKEN: Final[Mapping[Stage, Outcome]] = {  # FAULTS trap 11: where the line broke decides
    Stage.CONNECT: Deferred(Reason.PROVIDER_UNAVAILABLE, stage=Stage.CONNECT),
    Stage.GREETING: Deferred(Reason.PROVIDER_UNAVAILABLE, stage=Stage.GREETING),
    Stage.PREPARE: Deferred(Reason.CONNECTION_BROKEN, stage=Stage.PREPARE),
    Stage.HAND_OVER: Unknown(Reason.ANSWER_MISSING, stage=Stage.HAND_OVER),
}


class SmtpAdapter:
    """Sends mails one after the other on kept sessions; as many at once as dispatch asks for and the pool has."""

    def __init__(self, config: SmtpConfig, *, now_ms: Callable[[], int]) -> None:
        _checked(config)
        self._config = config
        self._now_ms = now_ms
        self._pool = Pool(config, ssl.create_default_context(cafile=config.ca_file))

    def open(self) -> None:
        """Do nothing: the first call connects."""

    async def send(self, batch: Sequence[Submission]) -> Sequence[Outcome]:
        """Send each submission; SMTP has no bulk form, so they follow one another."""
        return [await self._send(submission) for submission in batch]

    async def close(self) -> None:
        """Say goodbye on kept sessions."""
        await self._pool.close()

    async def _send(self, submission: Submission) -> Outcome:
        mail = build(submission, self._config, now_ms=self._now_ms())
        if not isinstance(mail, Mail):
            return mail
        answer = await self._pool.exchange(mail)
        return parse(answer)


def parse(answer: Answer | Broken) -> Outcome:
    """Return what the end of an exchange means for the message."""
    if isinstance(answer, Broken):
        return BROKEN[answer.stage]
    return outcome(answer.reply, answer.step)


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
