"""What a provider's code means: the words of every table of codes, packaged or configured, and the outcome of each."""

from __future__ import annotations

from enum import StrEnum

from processor.core.outcome import Accepted, Deferred, Outcome, Rejected, Throttled, Unknown
from processor.core.words import Reason


class Meaning(StrEnum):
    """The words that configuration uses, and `unlisted` for a code that no table lists."""

    ACCEPTED = "accepted"
    DEFERRED = "deferred"
    THROTTLED = "throttled"
    REJECTED = "rejected"
    UNKNOWN = "unknown"
    UNLISTED = "unlisted"
    AUTHENTICATION = "authentication"
    UNAVAILABLE = "unavailable"  # the provider, or how we are set up for it, whatever the message


def outcome_of(
    means: Meaning,
    *,
    code: str,
    retry_after_ms: int | None = None,
    provider_message_id: str | None = None,
    segments: int | None = None,
) -> Outcome:
    """Return the outcome of an answer to a message that was handed over; an unlisted one may follow its sending."""
    match means:
        case Meaning.ACCEPTED:
            return Accepted(provider_message_id, code, segments)
        case Meaning.DEFERRED:
            return Deferred(Reason.PROVIDER_DEFERRED, code, retry_after_ms)
        case Meaning.THROTTLED:
            return Throttled(code=code, retry_after_ms=retry_after_ms)
        case Meaning.REJECTED:
            return Rejected(Reason.PROVIDER_REJECTED, code)
        case Meaning.AUTHENTICATION:
            return Deferred(Reason.AUTHENTICATION_FAILED, code, retry_after_ms)
        case Meaning.UNAVAILABLE if retry_after_ms is not None:
            return Throttled(code=code, retry_after_ms=retry_after_ms)  # it says when: slow down, charge nothing
        case Meaning.UNAVAILABLE:
            return Deferred(Reason.PROVIDER_UNAVAILABLE, code)
        case Meaning.UNKNOWN:
            return Unknown(Reason.ANSWER_MISSING, code)
        case Meaning.UNLISTED:
            return Unknown(Reason.ANSWER_UNLISTED, code)
