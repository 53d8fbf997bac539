"""What becomes of a message after an attempt: sent, once more, or over."""

from dataclasses import replace
from typing import Final, assert_never

from processor.core.clock import Zones
from processor.core.judge import charged_so_far, effective_end_ms, intervals_of, provider_of, turn_to
from processor.core.message import Facts, Head
from processor.core.outcome import Accepted, Deferred, Outcome, Partly, Rejected, Throttled, Unknown
from processor.core.plan import DAY_MS, Plan
from processor.core.refusal import refusal
from processor.core.retry import backoff_ms, budget_spent, policy_for, throttled_wait_ms
from processor.core.verdict import Again, Over, Sent, Settlement
from processor.core.windows import next_legal_ms
from processor.core.words import PERHAPS_SENT, InDoubt, Purpose, Reason, Status

CURABLE: Final = frozenset({Reason.PROVIDER_UNAVAILABLE, Reason.CONNECTION_BROKEN, Reason.AUTHENTICATION_FAILED})
"""Certain failures that another provider could cure: they are the provider's, not the message's."""

RETRY_AFTER_MAX_MS: Final = DAY_MS
"""The longest wait a provider may ask for: one wrong answer must not hold a message for years."""


def settle(
    outcome: Outcome,
    head: Head,
    facts: Facts,
    plan: Plan,
    *,
    now_ms: int,
    jitter: float,
    zones: Zones,
) -> Settlement:
    """
    Return what follows from the *outcome* of attempt ``facts.attempt + 1``; *jitter* is drawn from [0, 1).

    A message that may be sent again gets the next legal instant after its back-off; one that may
    not is over. Perhaps sent and not tried again is always UNKNOWN, never FAILED or EXPIRED. One that has reached
    some of its recipients in an earlier attempt is SENT, whatever becomes of the others: those are told as refused.
    """
    match outcome:
        case Accepted():
            return Sent(
                outcome.code,
                outcome.provider_message_id,
                segments=outcome.segments,
                encoding=outcome.encoding,
                part_ids=outcome.part_ids,
            )
        case Partly():
            return _partly(outcome, head, facts, plan, now_ms=now_ms, jitter=jitter, zones=zones)
        case Rejected() if facts.open_recipients is not None:
            return Sent(outcome.code, None, facts.open_recipients)
        case Rejected():
            return Over(Status.FAILED, outcome.reason, charged_so_far(head, facts) + 1, outcome.code)
        case Unknown() if not _may_resend(head, plan):
            return Over(Status.UNKNOWN, outcome.reason, charged_so_far(head, facts) + 1, outcome.code)
        case Deferred() | Throttled() | Unknown():
            return _again_or_over(outcome, head, facts, plan, now_ms=now_ms, jitter=jitter, zones=zones)
        case _:
            assert_never(outcome)


def settle_in_doubt(head: Head, facts: Facts, plan: Plan, *, now_ms: int, jitter: float, zones: Zones) -> Settlement:
    """Return what follows from an attempt whose process died: perhaps sent, and nobody will ever know."""
    return settle(Unknown(Reason.IN_DOUBT), head, facts, plan, now_ms=now_ms, jitter=jitter, zones=zones)


def after(facts: Facts, settlement: Again, provider: str) -> Facts:
    """Return the facts with which the next attempt is judged, after one at *provider* settled as *settlement*."""
    return facts._replace(
        attempt=facts.attempt + 1,
        charged=settlement.charged,
        due_at_ms=settlement.due_at_ms,
        last_reason=facts.last_reason if facts.last_reason in PERHAPS_SENT else settlement.reason,
        tried=facts.tried if settlement.provider is None else (*facts.tried, provider),
        open_recipients=facts.open_recipients if settlement.still_open is None else settlement.still_open,
    )


def _partly(
    outcome: Partly, head: Head, facts: Facts, plan: Plan, *, now_ms: int, jitter: float, zones: Zones
) -> Settlement:
    """Return another attempt for the open recipients; a message that reached somebody is SENT, never FAILED."""
    sent = Sent(outcome.code, outcome.provider_message_id, outcome.refused)
    if not outcome.still_open:
        return sent
    deferred = Deferred(outcome.reason, outcome.code, outcome.retry_after_ms)
    facts = facts._replace(open_recipients=outcome.still_open)
    settled = _again_or_over(deferred, head, facts, plan, now_ms=now_ms, jitter=jitter, zones=zones)
    if isinstance(settled, Again):
        return replace(settled, still_open=outcome.still_open, refused=outcome.refused)
    return sent._replace(refused=outcome.refused + outcome.still_open)


def _may_resend(head: Head, plan: Plan) -> bool:
    """Tell whether a message that was perhaps sent may be sent again; a one-time password never may (DESIGN §2.3)."""
    channel = plan.channels.get(head.channel)
    return (
        channel is not None and channel.in_doubt is InDoubt.RESEND and channel.form.purpose_of(head) is not Purpose.OTP
    )


def _again_or_over(
    outcome: Deferred | Throttled | Unknown,
    head: Head,
    facts: Facts,
    plan: Plan,
    *,
    now_ms: int,
    jitter: float,
    zones: Zones,
) -> Settlement:
    charged = charged_so_far(head, facts) + (0 if isinstance(outcome, Throttled) else 1)
    perhaps_sent = isinstance(outcome, Unknown)

    def over(status: Status, reason: Reason) -> Sent | Over:
        if facts.open_recipients is not None and not perhaps_sent:
            return Sent(outcome.code, None, facts.open_recipients)
        return Over(Status.UNKNOWN if perhaps_sent else status, reason, charged, outcome.code)

    refused = refusal(head, plan, zones)
    if refused is None and not isinstance(outcome, Unknown) and outcome.reason in CURABLE:
        elsewhere = _elsewhere(outcome, head, facts, plan, now_ms=now_ms, zones=zones)
        if elsewhere is not None:
            return elsewhere
    if refused is not None:  # the configuration has lost its channel or provider since the attempt began
        return over(Status.FAILED, refused.reason)
    channel = plan.channels[head.channel]
    policy = policy_for(head, channel)
    if not isinstance(outcome, Throttled) and budget_spent(policy, charged=charged):
        return over(Status.FAILED, Reason.RETRIES_EXHAUSTED)

    end_ms = effective_end_ms(head, facts, channel)
    if isinstance(outcome, Throttled):
        left_ms = None if end_ms is None else end_ms - now_ms
        wait_ms = throttled_wait_ms(uncharged=facts.attempt - charged, left_ms=left_ms)
    else:
        wait_ms = backoff_ms(policy, charged=charged, jitter=jitter)
    due_ms = now_ms + _asked_wait_ms(outcome, wait_ms)
    if end_ms is not None and due_ms >= end_ms:
        return over(Status.EXPIRED, Reason.PAST_END)
    provider = plan.providers[provider_of(head, facts, channel)]
    legal_ms = next_legal_ms(intervals_of(head, provider, zones), not_before_ms=due_ms, end_ms=end_ms)
    if legal_ms is None:
        return over(Status.EXPIRED, Reason.NO_LEGAL_INSTANT)
    return Again(legal_ms, outcome.reason, charged, outcome.code)


def _elsewhere(
    outcome: Deferred | Throttled, head: Head, facts: Facts, plan: Plan, *, now_ms: int, zones: Zones
) -> Again | None:
    """Return the attempt at the next provider of a channel that opted in; uncharged, for each is tried only once."""
    channel = plan.channels[head.channel]
    provider = turn_to(head, facts, plan, provider_of(head, facts, channel))
    if provider is None:
        return None
    legal_ms = next_legal_ms(
        intervals_of(head, plan.providers[provider], zones),
        not_before_ms=now_ms,
        end_ms=effective_end_ms(head, facts, channel),
    )
    if legal_ms is None:
        return None
    return Again(legal_ms, outcome.reason, charged_so_far(head, facts), outcome.code, provider=provider)


def _asked_wait_ms(outcome: Deferred | Throttled | Unknown, wait_ms: int) -> int:
    """
    Return the wait that the provider asks for, within bounds, else *wait_ms*; a back-off is never shortened.

    One of nothing, such as until an instant that is over by our clock, asks for no wait that we could keep to: it would
    bring the message back at once, again and again.
    """
    if isinstance(outcome, Unknown) or outcome.retry_after_ms is None or outcome.retry_after_ms <= 0:
        return wait_ms
    asked_ms = min(outcome.retry_after_ms, RETRY_AFTER_MAX_MS)
    return asked_ms if isinstance(outcome, Throttled) else max(wait_ms, asked_ms)
