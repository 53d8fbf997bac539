"""What the core decides of a message at an instant: a closed set of values."""

from dataclasses import dataclass
from typing import NamedTuple

from processor.core.words import Lane, Reason, Status


class Dispatch(NamedTuple):
    """It may go now; the common verdict, and so the cheapest to make (see message.py)."""

    provider: str
    lane: Lane


@dataclass(frozen=True, slots=True)
class Wait:
    """It may not go before *until_ms*; then it is judged again."""

    provider: str
    lane: Lane
    until_ms: int
    reason: Reason


@dataclass(frozen=True, slots=True)
class End:
    """It will not go: a terminal status without a provider call."""

    # EXPIRED, SUPPRESSED, CANCELLED, REJECTED, FAILED for a budget that came in spent, and SENT for a message of whose
    # recipients an earlier attempt has reached some.
    status: Status
    reason: Reason
    field_name: str | None = None  # the field at fault, never its content


Verdict = Dispatch | Wait | End


class Sent(NamedTuple):
    """A settled attempt: the provider has the message; likewise the common one."""

    code: str | None
    provider_message_id: str | None
    refused: tuple[int, ...] = ()  # recipients that the provider would not have, by index
    segments: int | None = None
    encoding: str | None = None
    part_ids: tuple[str, ...] = ()  # as in Accepted


@dataclass(frozen=True, slots=True)
class Again:
    """A settled attempt that failed and will be followed by another, not before *due_at_ms*."""

    due_at_ms: int
    reason: Reason
    charged: int  # the count after this attempt
    code: str | None
    still_open: tuple[int, ...] | None = None  # recipients that the next attempt is for; None is all
    refused: tuple[int, ...] = ()  # recipients that the provider would not have, by index
    provider: str | None = None  # another one that it turns to


@dataclass(frozen=True, slots=True)
class Over:
    """A settled attempt that failed and is the message's last."""

    status: Status  # FAILED, EXPIRED or UNKNOWN
    reason: Reason
    charged: int
    code: str | None


Settlement = Sent | Again | Over
