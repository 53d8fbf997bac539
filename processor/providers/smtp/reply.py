"""SMTP replies: read from a buffer, and what each code means."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from enum import StrEnum
from functools import lru_cache
from typing import TYPE_CHECKING, Final, NamedTuple

from processor.core.outcome import Accepted, Deferred, Outcome
from processor.core.words import Reason
from processor.providers.meaning import Meaning, outcome_of

if TYPE_CHECKING:
    from collections.abc import Mapping

REPLY_BYTES_MAX: Final = 4_096  # all lines of one reply; RFC 5321 §4.5.3.1.5 allows 512 a line
LINE_BYTES_MAX: Final = 1_024

REPLY_LINE: Final = re.compile(rb"([0-9]{3})([ -])?(?:([245]\.[0-9]{1,3}\.[0-9]{1,3})(?![^ ]))?")

CODE: Final = re.compile(r"[45][0-9]{2}|[45]\.[0-9]{1,3}\.[0-9]{1,3}")
"""A refusal as configuration names it: a basic code, or an enhanced one (RFC 3463 §2)."""

CLOSING: Final = 421  # RFC 5321 §3.8: the server closes the connection, whatever it was asked
FULL_OR_MANY: Final = 552
NOT_AVAILABLE_NOW: Final = 454


class Step(StrEnum):
    """What a reply answers."""

    SESSION = "session"  # greeting, EHLO, STARTTLS
    AUTH = "auth"
    MAIL = "mail"
    RCPT = "rcpt"
    DATA = "data"
    DOT = "dot"  # the message was handed over


class Reply(NamedTuple):
    """A whole reply; four are read for each mail, so a named tuple. A reply that breaks the syntax has code 0."""

    code: int
    enhanced: str | None = None  # RFC 3463, such as 4.7.1
    lines: tuple[bytes, ...] = ()  # the server's words: for EHLO keywords only

    def __repr__(self) -> str:
        """Leave out the server's words, which may name a recipient."""
        return f"Reply({self})"

    def __str__(self) -> str:
        return f"{self.code:03} {self.enhanced}" if self.enhanced else f"{self.code:03}"


MALFORMED: Final = Reply(0)


EXPECTED: Final = {  # RFC 5321 §4.3.2
    Step.SESSION: frozenset({220, 250}),
    Step.AUTH: frozenset({235}),  # RFC 4954 §6
    Step.MAIL: frozenset({250}),
    Step.RCPT: frozenset({250, 251}),
    Step.DATA: frozenset({354}),
    Step.DOT: frozenset({250}),
}

ACCEPTED: Final = EXPECTED[Step.DOT]

ENHANCED: Final = {  # before the basic code
    "4.3.2": Meaning.THROTTLED,  # RFC 3463 §3.4: not accepting messages: overload, maintenance
    "4.4.5": Meaning.THROTTLED,  # RFC 3463 §3.5: mail system congestion
    "4.7.0": Meaning.THROTTLED,  # RFC 3463 §3.8: policy; with 421 and 450 the form of rate limits (Gmail)
    "4.7.1": Meaning.THROTTLED,  # RFC 3463 §3.8: policy; greylisting and rate limits (Postfix)
    "4.7.28": Meaning.THROTTLED,  # Gmail: unusual rate of mail
    "4.7.500": Meaning.THROTTLED,  # Exchange Online: server busy
    "4.7.12": Meaning.AUTHENTICATION,  # RFC 4954 §6: a password transition is needed
    "5.7.8": Meaning.AUTHENTICATION,  # RFC 4954 §6: credentials invalid
    "5.7.9": Meaning.AUTHENTICATION,  # RFC 4954 §6: mechanism too weak
    "5.7.11": Meaning.AUTHENTICATION,  # RFC 4954 §6: encryption needed
    "5.3.2": Meaning.UNAVAILABLE,  # RFC 3463 §3.4: not accepting messages from this client
}

BASIC: Final = {
    421: Meaning.THROTTLED,  # RFC 5321 §4.2.3: closing; common servers say "slow down" with it
    432: Meaning.AUTHENTICATION,  # RFC 4954 §6
    450: Meaning.DEFERRED,  # RFC 5321 §4.2.3: mailbox busy or blocked for policy reasons
    451: Meaning.DEFERRED,  # RFC 5321 §4.2.3: local error in processing
    452: Meaning.DEFERRED,  # RFC 5321 §4.2.3: insufficient storage
    454: Meaning.AUTHENTICATION,  # RFC 4954 §6: temporary authentication failure
    455: Meaning.DEFERRED,  # RFC 5321 §4.2.3: parameters not possible now
    502: Meaning.UNAVAILABLE,  # RFC 5321 §4.2.3: command not implemented: not a mail server we can use
    503: Meaning.DEFERRED,  # RFC 5321 §4.2.3: bad sequence: the session is confused, not the message bad
    521: Meaning.UNAVAILABLE,  # RFC 7504: host accepts no mail
    530: Meaning.AUTHENTICATION,  # RFC 4954 §6: authentication required; RFC 3207 §4: STARTTLS first
    534: Meaning.AUTHENTICATION,  # RFC 4954 §6
    535: Meaning.AUTHENTICATION,  # RFC 4954 §6
    538: Meaning.AUTHENTICATION,  # RFC 4954 §6, in use by older servers
}

REFUSALS: Final = (
    Meaning.DEFERRED,
    Meaning.THROTTLED,
    Meaning.REJECTED,
    Meaning.AUTHENTICATION,
    Meaning.UNAVAILABLE,
)
"""What a refusal may be said to mean: an answer before the dot is never perhaps sent."""

SEVERITY: Final = {4: Meaning.DEFERRED, 5: Meaning.REJECTED}
"""RFC 5321 §4.2.1: a client that does not know a code acts on its first digit, if the second is 0 to 5."""

SECOND_DIGITS: Final = range(6)


@dataclass(frozen=True, slots=True)
class Tables:
    """What the codes of refusals mean to one provider."""

    enhanced: Mapping[str, Meaning] = field(default_factory=lambda: ENHANCED)
    basic: Mapping[int, Meaning] = field(default_factory=lambda: BASIC)


PACKAGED: Final = Tables()


def tables(codes: Mapping[str, str]) -> Tables:
    """
    Return the packaged rows with *codes* over them; an enhanced code still wins over a basic one.

    Raises ValueError for a code that is no refusal's, or a meaning that there is not.
    """
    if unknown := [code for code in codes if not CODE.fullmatch(code)]:
        raise ValueError(
            f"codes: {unknown[0]!r:.20} is no refusal; write a basic code such as 450, or one such as 4.7.1"
        )
    if senseless := [word for word in codes.values() if word not in REFUSALS]:
        raise ValueError(f"codes: {senseless[0]!r:.20} is no meaning of a refusal; write one of {', '.join(REFUSALS)}")
    meant = {code: Meaning(word) for code, word in codes.items()}
    enhanced = {code: meaning for code, meaning in meant.items() if "." in code}
    basic = {int(code): meaning for code, meaning in meant.items() if "." not in code}
    return Tables(ENHANCED | enhanced, BASIC | basic)


def take_reply(buffer: bytearray) -> Reply | None:
    """
    Take the first whole reply out of *buffer*; None where more bytes are needed.

    A reply that is too long, or whose lines disagree, is MALFORMED, and the connection is of no
    more use. The work is bounded by the caps, whatever the server sends.
    """
    end = buffer.find(b"\n", 0, LINE_BYTES_MAX)
    if end >= 0:  # nearly all replies are one line
        reply = _only_line(bytes(buffer[:end]))
        if reply is not None:
            del buffer[: end + 1]
            return reply
    lines: list[bytes] = []
    at = 0
    while at <= REPLY_BYTES_MAX:
        end = buffer.find(b"\n", at, at + LINE_BYTES_MAX)
        if end < 0:
            return MALFORMED if len(buffer) - at >= LINE_BYTES_MAX else None
        lines.append(bytes(buffer[at:end]).rstrip(b"\r"))
        at = end + 1
        found = REPLY_LINE.match(lines[-1])
        if found is None or lines[0][:3] != found[1]:
            return MALFORMED
        if found[2] != b"-":
            del buffer[:at]
            return _reply(found, tuple(lines))
    return MALFORMED


def meaning(reply: Reply, step: Step, tables: Tables = PACKAGED) -> Meaning | None:
    """Return what a refusal means; None for a code that no table lists."""
    severity, second = divmod(reply.code // 10, 10)
    if severity not in SEVERITY or second not in SECOND_DIGITS:
        return None
    basic = tables.basic.get(reply.code, SEVERITY[severity])
    if reply.code == CLOSING:
        return basic  # whatever else it says, the connection is closed and the message is not at fault
    if step is Step.RCPT and reply.code == FULL_OR_MANY:
        basic = Meaning.DEFERRED  # RFC 5321 §4.5.3.1.10: older servers say so of too many recipients
    if reply.code == NOT_AVAILABLE_NOW and step in {Step.SESSION, Step.AUTH}:
        # With 4.7.0, which elsewhere limits rates, it is the failure of TLS (RFC 3207 §4) or of a login (RFC 4954 §6).
        return basic if step is Step.AUTH else Meaning.UNAVAILABLE
    listed = tables.enhanced.get(reply.enhanced or "", basic)
    if step is Step.AUTH and listed in {Meaning.DEFERRED, Meaning.REJECTED}:
        return Meaning.AUTHENTICATION
    if step is Step.SESSION and listed is Meaning.REJECTED:
        return Meaning.UNAVAILABLE  # RFC 5321 §3.1: 554 instead of a greeting is no word about the message
    return listed


def outcome(reply: Reply, step: Step, tables: Tables = PACKAGED) -> Outcome:
    """Return what *reply* means; a code that no table lists is temporary before the dot, Unknown after it."""
    if step is Step.DOT and reply.code in ACCEPTED:
        return Accepted(code=str(reply))
    means = meaning(reply, step, tables)
    if means is None and step is not Step.DOT:
        return Deferred(Reason.ANSWER_UNLISTED, str(reply))
    return outcome_of(means or Meaning.UNLISTED, code=str(reply))


@lru_cache(256)
def _only_line(raw: bytes) -> Reply | None:
    """Return the reply that is this line alone; servers say the same few lines over and over."""
    line = raw.rstrip(b"\r")
    found = REPLY_LINE.match(line)
    return None if found is None or found[2] == b"-" else _reply(found, (line,))


def _reply(last: re.Match[bytes], lines: tuple[bytes, ...]) -> Reply:
    enhanced = last[3].decode("ascii") if last[3] else None
    # RFC 2034 §4: the class of an enhanced code agrees with the first digit, else it is no such code.
    agrees = enhanced is not None and enhanced[0] == chr(last[1][0])
    return Reply(int(last[1]), enhanced if agrees else None, lines)
