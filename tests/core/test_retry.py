"""Retry policies: how long, how often, and whose word counts."""

from __future__ import annotations

from hypothesis import example, given
from hypothesis import strategies as st

from processor.core.plan import BackoffKind, RetryPolicy
from processor.core.retry import backoff_ms, budget_spent, inherit, longest_backoff_ms, policy_for
from tests.core.worlds import POLICIES, channel, facts, head

JITTERS = st.floats(0, 1, exclude_max=True)


@given(POLICIES, st.integers(1, 10_000), JITTERS)
@example(RetryPolicy(5, 1, BackoffKind.EXPONENTIAL, cap_ms=10**12), 10_000, 0.9999999999999999)
def test_a_wait_stays_within_the_bounds_of_its_policy(policy: RetryPolicy, charged: int, jitter: float) -> None:
    wait_ms = backoff_ms(policy, charged=charged, jitter=jitter)

    if policy.kind is BackoffKind.FIXED:
        assert wait_ms == policy.interval_ms
    else:
        assert 0 <= wait_ms <= min(policy.cap_ms, policy.interval_ms * 2 ** (charged - 1))


@given(POLICIES, st.integers(1, 20))
def test_the_longest_wait_never_shrinks_and_jitter_reaches_both_its_ends(policy: RetryPolicy, charged: int) -> None:
    longest_ms = longest_backoff_ms(policy, charged=charged)

    assert longest_ms <= longest_backoff_ms(policy, charged=charged + 1)
    assert backoff_ms(policy, charged=charged, jitter=1 - 2**-53) == longest_ms
    if policy.kind is BackoffKind.EXPONENTIAL:
        assert backoff_ms(policy, charged=charged, jitter=0.0) == 0


def test_exponential_waits_double_up_to_their_cap() -> None:
    policy = RetryPolicy(9, 1000, BackoffKind.EXPONENTIAL, cap_ms=5000)

    assert [longest_backoff_ms(policy, charged=charged) for charged in (1, 2, 3, 4, 5)] == [
        1000,
        2000,
        4000,
        5000,
        5000,
    ]


def test_the_budget_counts_charged_attempts_after_the_first() -> None:
    assert [budget_spent(RetryPolicy(2, 1), charged=charged) for charged in range(5)] == [False] * 3 + [True] * 2
    assert budget_spent(RetryPolicy(0, 1), charged=1)


def test_a_message_overrides_the_budget_and_the_interval_of_its_channel() -> None:
    policy = RetryPolicy(3, 1000, BackoffKind.EXPONENTIAL, cap_ms=7000)
    its = channel(retry=policy)

    assert policy_for(head(), its) is policy
    assert policy_for(head(retry_max_attempts=0), its) == RetryPolicy(0, 1000, BackoffKind.EXPONENTIAL, 7000)
    assert policy_for(head(retry_interval_s=9), its) == RetryPolicy(3, 9000, BackoffKind.FIXED, 7000)
    assert policy_for(head(retry_interval_s=0), its).interval_ms == 0


def test_attempts_of_the_older_system_are_counted_once() -> None:
    of = head(message_status="ERROR", retry_attempt=2)

    first = inherit(of, facts())

    assert (first.attempt, first.charged) == (2, 2)
    assert inherit(of, first) == first
    assert inherit(head(retry_attempt=2), facts()) == facts()
