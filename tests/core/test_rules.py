"""Decisions against slow, obvious ones that were written from the documents, and share no arithmetic with them."""

from __future__ import annotations

from fractions import Fraction
from math import floor
from typing import TYPE_CHECKING

from hypothesis import event, given, settings
from hypothesis import strategies as st

from processor.core.lanes import lane_of
from processor.core.outcome import Deferred, Rejected, Throttled, Unknown
from processor.core.plan import DAY_MS, BackoffKind, LaneSplit, RetryPolicy
from processor.core.quota import Bucket, BucketPolicy, lane_weights, share, take
from processor.core.retry import backoff_ms, throttled_wait_ms
from processor.core.settle import settle
from processor.core.tiers import HOP_MARGIN_MS, TIERS_S, tier_for
from processor.core.verdict import Again, Over, Settlement
from processor.core.words import InDoubt, Lane, Purpose, Reason, Status
from tests.core.oracle import MINUTE_MS, Daily
from tests.core.worlds import NEARBY_MS, PLANS, POLICIES, channel, facts, heads, own_daily, zones

if TYPE_CHECKING:
    from collections.abc import Mapping

    from processor.core.message import Facts, Head
    from processor.core.plan import Plan

JITTERS = st.floats(0, 1, exclude_max=True)
WAITS = st.none() | st.integers(-5, 2 * DAY_MS)
OUTCOMES = st.one_of(
    st.builds(Deferred, st.just(Reason.PROVIDER_DEFERRED), st.just("451"), WAITS),
    st.builds(Throttled, st.just(Reason.PROVIDER_THROTTLED), st.just("421"), WAITS),
    st.builds(Rejected, st.just(Reason.PROVIDER_REJECTED), st.just("550")),
    st.builds(Unknown, st.just(Reason.ANSWER_MISSING)),
)
KNOWN = st.builds(
    lambda due_at_ms, charged, throttled: facts(due_at_ms=due_at_ms, attempt=charged + throttled, charged=charged),
    NEARBY_MS,
    st.integers(0, 2),
    st.integers(0, 8),
)
LOOKED_AHEAD = 4 * DAY_MS // MINUTE_MS

# -- the next attempt ------------------------------------------------------------------------------


def waited_ms(policy: RetryPolicy, failed: int, jitter: float) -> int:
    """Return the wait after a number of charged attempts, step by step."""
    if policy.kind is BackoffKind.FIXED:
        return policy.interval_ms
    longest_ms = policy.interval_ms
    for _ in range(failed - 1):
        longest_ms = longest_ms + longest_ms
    longest_ms = min(longest_ms, policy.cap_ms)
    return floor(Fraction(jitter) * (longest_ms + 1))


@given(POLICIES, st.integers(1, 30), JITTERS)
def test_a_wait_is_drawn_evenly_from_nothing_to_the_longest(policy: RetryPolicy, failed: int, jitter: float) -> None:
    expected_ms = waited_ms(policy, failed, jitter)

    assert abs(backoff_ms(policy, charged=failed, jitter=jitter) - expected_ms) <= (0 if expected_ms < 2**50 else 1)


@given(st.integers(0, 40), st.none() | st.integers(0, 3_600_000))
def test_waits_after_throttling_are_a_second_four_times_over_and_then_double_up_to_a_minute(
    before: int, left_ms: int | None
) -> None:
    grown_ms = [1_000, 1_000, 1_000, 1_000, 1_000, 2_000, 4_000, 8_000, 16_000, 32_000, 60_000][min(before, 10)]
    half_ms = grown_ms if left_ms is None else max(1_000, left_ms // 2)

    assert throttled_wait_ms(uncharged=before, left_ms=left_ms) == min(grown_ms, half_ms)


def first_legal_ms(of: Head, world: Plan, from_ms: int) -> int | None:
    """Return the first instant from one on at which every clock on a wall allows it, within four days."""
    interval = world.providers[of.provider or world.channels["Email"].provider].interval
    dailies = [*own_daily(of)]
    if interval is not None:
        dailies.append(Daily(interval.start_ms, interval.end_ms, str(interval.zone)))
    if all(daily.allows(from_ms) for daily in dailies):
        return from_ms
    minute_ms = from_ms - from_ms % MINUTE_MS + MINUTE_MS  # hours of these worlds open on whole minutes
    for at_ms in range(minute_ms, minute_ms + LOOKED_AHEAD * MINUTE_MS, MINUTE_MS):
        if all(daily.allows(at_ms) for daily in dailies):
            return at_ms
    return None


def ended(status: Status, reason: Reason, charged: int, code: str | None) -> Over:
    return Over(status, reason, charged, code)


def expected_settlement(
    outcome: Deferred | Throttled | Rejected | Unknown, of: Head, known: Facts, world: Plan, now_ms: int, jitter: float
) -> Settlement | None:
    """Return what docs/events.md and docs/configuration.md say becomes of an attempt; None: beyond four days."""
    its = world.channels["Email"]
    perhaps, slow_down = isinstance(outcome, Unknown), isinstance(outcome, Throttled)
    charged = known.charged + (0 if slow_down else 1)
    if isinstance(outcome, Rejected):
        return ended(Status.FAILED, outcome.reason, charged, outcome.code)
    if perhaps and (its.in_doubt is InDoubt.REPORT or of.purpose is Purpose.OTP):
        return ended(Status.UNKNOWN, outcome.reason, charged, outcome.code)
    tries_left = its.retry.max_attempts - (charged - 1)
    if not slow_down and tries_left <= 0:
        return ended(Status.UNKNOWN if perhaps else Status.FAILED, Reason.RETRIES_EXHAUSTED, charged, outcome.code)
    end_ms = of.end_at_ms
    if end_ms is None and its.validity_ms is not None:
        end_ms = (known.first_seen_ms if of.start_at_ms is None else of.start_at_ms) + its.validity_ms
    asked_ms = None if isinstance(outcome, Unknown) else outcome.retry_after_ms
    if asked_ms is not None:
        asked_ms = min(asked_ms, DAY_MS) if asked_ms > 0 else None
    if slow_down:
        wait_ms = asked_ms
        if wait_ms is None:
            left_ms = None if end_ms is None else end_ms - now_ms
            wait_ms = throttled_wait_ms(uncharged=known.attempt - charged, left_ms=left_ms)
    else:
        wait_ms = max(waited_ms(its.retry, charged, jitter), asked_ms or 0)
    due_ms = now_ms + wait_ms
    if end_ms is not None and due_ms >= end_ms:
        return ended(Status.UNKNOWN if perhaps else Status.EXPIRED, Reason.PAST_END, charged, outcome.code)
    legal_ms = first_legal_ms(of, world, due_ms)
    if legal_ms is None and end_ms is not None and end_ms <= due_ms + 3 * DAY_MS:
        legal_ms = end_ms
    if legal_ms is None:
        return None
    if end_ms is not None and legal_ms >= end_ms:
        return ended(Status.UNKNOWN if perhaps else Status.EXPIRED, Reason.NO_LEGAL_INSTANT, charged, outcome.code)
    return Again(legal_ms, outcome.reason, charged, outcome.code)


@given(OUTCOMES, heads(), KNOWN, PLANS, NEARBY_MS, JITTERS)
@settings(max_examples=300)
def test_an_attempt_is_settled_as_the_documents_say(
    outcome: Deferred | Throttled | Rejected | Unknown, of: Head, known: Facts, world: Plan, now_ms: int, jitter: float
) -> None:
    expected = expected_settlement(outcome, of, known, world, now_ms, jitter)

    found = settle(outcome, of, known, world, now_ms=now_ms, jitter=jitter, zones=zones)

    event(f"{type(outcome).__name__}: {type(found).__name__} {getattr(found, 'status', '')}")
    if expected is None:
        assert found == Over(
            Status.UNKNOWN if isinstance(outcome, Unknown) else Status.EXPIRED,
            Reason.NO_LEGAL_INSTANT,
            found.charged,  # type: ignore[union-attr] # only these two end here
            outcome.code,
        ) or (isinstance(found, Again) and found.due_at_ms > now_ms + 3 * DAY_MS)
    else:
        assert found == expected


# -- lanes and slots -------------------------------------------------------------------------------


@given(st.integers(0, 9), st.builds(LaneSplit, st.integers(0, 10), st.integers(0, 10), st.integers(0, 10)))
def test_a_lane_is_the_most_urgent_whose_least_priority_is_reached(priority: int, split: LaneSplit) -> None:
    least = [(Lane.EXPRESS, split.express), (Lane.HIGH, split.high), (Lane.NORMAL, split.normal), (Lane.BULK, 0)]

    assert lane_of(priority, channel(), split) is next(lane for lane, lowest in least if lowest <= priority)


def fair_parts(waiting: Mapping[Lane, int], free: int) -> dict[Lane, Fraction]:
    """Return each lane's part of *free* slots as water finds its level: by weight, until a lane has all that waits."""
    parts = dict.fromkeys(lane_weights, Fraction(0))
    open_lanes = {lane for lane in lane_weights if waiting.get(lane, 0) > 0}
    left = Fraction(free)
    while open_lanes and left > 0:
        weight = sum(lane_weights[lane] for lane in open_lanes)
        level = min(left / weight, *((waiting[lane] - parts[lane]) / lane_weights[lane] for lane in open_lanes))
        for lane in open_lanes:
            parts[lane] += level * lane_weights[lane]
        left -= level * weight
        open_lanes = {lane for lane in open_lanes if parts[lane] < waiting[lane]}
    return parts


@given(
    st.dictionaries(st.sampled_from(list(lane_weights)), st.integers(0, 500)), st.integers(0, 700), st.integers(0, 99)
)
def test_slots_are_shared_as_water_finds_its_level_but_for_whole_slots(
    waiting: dict[Lane, int], free: int, turn: int
) -> None:
    fair = fair_parts(waiting, free)

    found = share(lane_weights, waiting, free, turn=turn)

    assert all(abs(found[lane] - fair[lane]) < 2 for lane in lane_weights)  # 1.6 is the most in 60,000 draws


# -- rates and waits -------------------------------------------------------------------------------


@given(
    st.builds(BucketPolicy, st.integers(1, 5_000).map(float), st.integers(0, 500).map(float)),
    st.lists(st.tuples(st.integers(0, 5_000), st.integers(0, 2_000)), max_size=40),
)
def test_a_bucket_gives_what_an_exact_one_gives(policy: BucketPolicy, steps: list[tuple[int, int]]) -> None:
    tokens, bucket, at_ms = Fraction(0), Bucket(0.0), 0
    for passed_ms, want in steps:
        at_ms += passed_ms
        tokens = min(Fraction(policy.capacity), tokens + Fraction(passed_ms, 1_000) * Fraction(policy.rate_per_s))
        bucket, granted = take(policy, bucket, now_s=at_ms / 1_000, want=want)
        assert granted in {min(want, floor(tokens + Fraction(off, 10**6))) for off in (-1, 0, 1)}
        tokens -= granted


@given(st.integers(-10_000, 3 * 10**8))
def test_a_tier_is_the_longest_that_leaves_time_for_its_own_transaction(remaining_ms: int) -> None:
    fitting = [tier_s for tier_s in TIERS_S if tier_s * 1_000 <= remaining_ms - HOP_MARGIN_MS]

    assert tier_for(remaining_ms) == (fitting[-1] if fitting else None)
