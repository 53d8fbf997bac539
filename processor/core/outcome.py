"""What a provider's answer means: a closed set of values."""

from dataclasses import dataclass
from enum import StrEnum
from typing import NamedTuple

from processor.core.words import Reason


class Stage(StrEnum):
    """Where a call broke; decides between certainly not sent and perhaps sent."""

    CONNECT = "connect"  # before a connection stood
    GREETING = "greeting"  # protocol set-up: greeting, TLS, authentication, bind
    PREPARE = "prepare"  # the envelope or request was on its way, the message not yet handed over
    HAND_OVER = "hand_over"  # the message was (or may have been) handed over whole
    ANSWERED = "answered"  # the provider answered


class Accepted(NamedTuple):
    """The provider took the message; the common outcome, and so the cheapest to make (see message.py)."""

    provider_message_id: str | None = None
    code: str | None = None  # the provider's own code, bounded and printable
    segments: int | None = None  # short messages that a text was split into
    encoding: str | None = None  # of a text message: gsm7 or ucs2
    part_ids: tuple[str, ...] = ()  # the provider's ids of the parts of a text message; empty where there is one part


@dataclass(frozen=True, slots=True)
class Partly:
    """
    Sent to some recipients of a message; never to be sent to those again.

    *still_open* may be tried again, *refused* never will be. Indexes into to, cc, bcc in that order.
    """

    still_open: tuple[int, ...]
    refused: tuple[int, ...]
    reason: Reason  # why those that are open or refused were not taken
    code: str | None = None
    provider_message_id: str | None = None
    retry_after_ms: int | None = None


@dataclass(frozen=True, slots=True)
class Deferred:
    """Not sent; the provider may take it later. Charged."""

    reason: Reason
    code: str | None = None
    retry_after_ms: int | None = None
    stage: Stage = Stage.ANSWERED


@dataclass(frozen=True, slots=True)
class Throttled:
    """Not sent; the provider asks us to slow down. Not charged."""

    reason: Reason = Reason.PROVIDER_THROTTLED
    code: str | None = None
    retry_after_ms: int | None = None
    stage: Stage = Stage.ANSWERED


@dataclass(frozen=True, slots=True)
class Rejected:
    """Not sent, and never will be."""

    reason: Reason
    code: str | None = None
    stage: Stage = Stage.ANSWERED
    field_name: str | None = None  # the field that we refused before any call; never its content


@dataclass(frozen=True, slots=True)
class Unknown:
    """Perhaps sent: handed over, without an answer that tells."""

    reason: Reason
    code: str | None = None
    stage: Stage = Stage.HAND_OVER


Outcome = Accepted | Partly | Deferred | Throttled | Rejected | Unknown
