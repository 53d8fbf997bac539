"""When a failed attempt is tried again, and when no more."""

from typing import Final

from processor.core.message import Facts, Head
from processor.core.plan import BackoffKind, Channel, RetryPolicy

MIGRATED_ERROR: Final = "ERROR"
"""The message_status of a message whose attempts in the older system have failed so far."""

THROTTLED_WAIT_MS: Final = 1_000
THROTTLED_ALIKE: Final = 4  # waits before the first that is longer
THROTTLED_LONGEST_MS: Final = 60_000

_DOUBLINGS_MAX: Final = 40  # 2**40 ms is 35 years: beyond any cap, and a bound on the integer a hostile count makes


def policy_for(head: Head, channel: Channel) -> RetryPolicy:
    """Return the channel's policy with the message's own budget and interval; its own interval is a fixed one."""
    policy = channel.retry
    if head.retry_max_attempts is None and head.retry_interval_s is None:
        return policy
    own_interval = head.retry_interval_s is not None
    return RetryPolicy(
        max_attempts=policy.max_attempts if head.retry_max_attempts is None else head.retry_max_attempts,
        interval_ms=policy.interval_ms if head.retry_interval_s is None else head.retry_interval_s * 1000,
        kind=BackoffKind.FIXED if own_interval else policy.kind,
        cap_ms=policy.cap_ms,
    )


def longest_backoff_ms(policy: RetryPolicy, *, charged: int) -> int:
    """Return the longest wait after *charged* charged attempts (at least 1)."""
    if policy.kind is BackoffKind.FIXED:
        return policy.interval_ms
    return min(policy.cap_ms, policy.interval_ms << min(charged - 1, _DOUBLINGS_MAX))


def backoff_ms(policy: RetryPolicy, *, charged: int, jitter: float) -> int:
    """
    Return the wait after *charged* charged attempts (at least 1), with *jitter* drawn from [0, 1).

    Exponential waits have full jitter, uniform from 0 to the longest: callers that failed together
    spread over the whole wait (M. Brooker, "Exponential Backoff And Jitter", AWS Architecture Blog, 2015).
    """
    longest_ms = longest_backoff_ms(policy, charged=charged)
    if policy.kind is BackoffKind.FIXED:
        return longest_ms
    return int(jitter * (longest_ms + 1))


def throttled_wait_ms(*, uncharged: int, left_ms: int | None) -> int:
    """
    Return the wait after a throttling answer that names none, *uncharged* attempts having gone before.

    A second, a few times over; then twice as long each time, up to a minute: an answer that one message gets each time
    (450 4.7.1 to its recipient, say) costs no attempt, and would else hold the whole provider at a slow pace for ever.
    Never more than half of what is *left_ms* until the message's end: it must not expire of our patience.
    """
    grown_ms = min(THROTTLED_LONGEST_MS, THROTTLED_WAIT_MS << min(max(0, uncharged - THROTTLED_ALIKE), _DOUBLINGS_MAX))
    return grown_ms if left_ms is None else min(grown_ms, max(THROTTLED_WAIT_MS, left_ms // 2))


def budget_spent(policy: RetryPolicy, *, charged: int) -> bool:
    """Tell whether no attempt is left: the budget counts charged attempts after the first."""
    return charged > policy.max_attempts


def inherited_attempts(head: Head) -> int:
    """Return the attempts that a migrated ERROR message brings along, all charged; one that names none had one."""
    if head.message_status != MIGRATED_ERROR:
        return 0
    return max(1, head.retry_attempt or 0)


def inherit(head: Head, facts: Facts) -> Facts:
    """Return the first *facts* of a message with the attempts it brings along, so that no number is used twice."""
    inherited = inherited_attempts(head)
    if not inherited:
        return facts
    return facts._replace(attempt=max(facts.attempt, inherited), charged=max(facts.charged, inherited))
