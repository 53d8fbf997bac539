"""The configuration as the core sees it: frozen values that settings builds once."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import tzinfo
from enum import StrEnum
from typing import Any, Final

from processor.core.message import Head
from processor.core.words import Action, InDoubt, Lane, Purpose, Scope

DAY_MS = 86_400_000


@dataclass(frozen=True, slots=True)
class DailyInterval:
    """
    The part of each day, by the wall clock of *zone*, at which sending is allowed.

    Half open: from *start_ms* to before *end_ms* after midnight; start after end wraps over midnight;
    equal bounds are refused by whoever builds one.
    """

    start_ms: int
    end_ms: int
    zone: tzinfo


class BackoffKind(StrEnum):
    """How the wait between attempts grows."""

    FIXED = "fixed"  # Pool Time Retry
    EXPONENTIAL = "exponential"  # with full jitter


@dataclass(frozen=True, slots=True)
class RetryPolicy:
    """When a failed attempt is tried again; a message may override the budget and the interval."""

    max_attempts: int  # Retry Max Attempt: charged attempts after the first
    interval_ms: int  # Pool Time Retry, or the first step of the exponential wait
    kind: BackoffKind = BackoffKind.FIXED
    cap_ms: int = 3_600_000  # the longest exponential wait


@dataclass(frozen=True, slots=True)
class Form:
    """What a channel asks of the form of its messages, whatever the provider; adapters see to it."""

    country: str | None = None  # ISO 3166-1 alpha-2: of phone numbers that are written without a country code
    segments_max: int = 10  # of a text message
    list_unsubscribe: str | None = None  # an https: or mailto: address; {{ message_id }} stands for the message's id
    tracks_opens: bool = False
    tracks_clicks: bool = False
    unsubscribe_scope: Scope | None = None  # of the unsubscribe links of its marketing messages; None: they have none
    purpose: Purpose | None = None  # of its messages, whatever they say; but a one-time password stays one

    def purpose_of(self, head: Head) -> Purpose:
        """Return what a message on this channel is for."""
        return head.purpose if self.purpose is None or head.purpose is Purpose.OTP else self.purpose


PLAIN_FORM: Final = Form()


@dataclass(frozen=True, slots=True)
class Channel:
    """A business channel."""

    code: str
    name: str
    action: Action
    bus_channel: str
    bus_provider: str
    provider: str  # the default channel provider
    retry: RetryPolicy
    in_doubt: InDoubt = InDoubt.RESEND
    lane: Lane | None = None  # set: wins over the message's priority
    validity_ms: int | None = None  # a message without an end expires this long after its start
    form: Form = PLAIN_FORM
    properties: Mapping[str, Any] | None = None  # JSON Schema of its messages' properties; None: any
    failover: tuple[str, ...] = ()  # providers to turn to, in this order, when one fails; none: it does not
    # Lanes its messages can reach, from which the send topics follow.
    providers: tuple[str, ...] = ()  # every provider of the bus provider, the default one among them


@dataclass(frozen=True, slots=True)
class BreakerPolicy:
    """When a failing provider is left alone, and for how long."""

    share: float = 0.5  # of the calls in the window that failed
    calls_min: int = 10  # fewer in the window tell nothing
    window_s: float = 10.0
    pause_s: float = 5.0  # until the first probe; doubled by each probe that fails
    pause_max_s: float = 60.0


@dataclass(frozen=True, slots=True)
class Provider:
    """A configured instance of an adapter, as far as decisions go; its adapter has its own settings."""

    name: str
    adapter: str  # smtp, http, smpp
    bus_provider: str
    bus_channel: str
    interval: DailyInterval | None = None
    bulk_size: int = 1
    concurrency: int = 20  # calls at once, per process
    rate_per_s: float | None = None  # calls per second over all processes
    express_share: float = 0.2  # of concurrency and rate, kept for the express lane
    call_timeout_ms: int = 60_000
    breaker: BreakerPolicy = field(default_factory=BreakerPolicy)

    @property
    def sends_to_some(self) -> bool:
        """Whether a call can be for some of a message's recipients; only a mail server is told them apart from it."""
        return self.adapter == "smtp"


@dataclass(frozen=True, slots=True)
class LaneSplit:
    """The lowest priority of each lane; below *normal* is bulk."""

    express: int = 9
    high: int = 6
    normal: int = 3


@dataclass(frozen=True, slots=True)
class Plan:
    """Everything that decisions need of the configuration."""

    channels: Mapping[str, Channel]
    providers: Mapping[str, Provider]
    lanes: LaneSplit = field(default_factory=LaneSplit)
    message_bytes_max: int = 1_048_576
