"""Rates are never exceeded, and no lane starves."""

from __future__ import annotations

from math import inf

from hypothesis import example, given
from hypothesis import strategies as st

from processor.core.quota import Bucket, BucketPolicy, lane_weights, refill, share, take, wait_s
from processor.core.words import Lane

BUCKETS = st.builds(BucketPolicy, rate_per_s=st.floats(0.1, 5000), burst=st.floats(0, 500))
STEPS = st.lists(st.tuples(st.floats(-0.5, 5), st.integers(0, 2000)), max_size=60)
WAITING = st.dictionaries(st.sampled_from(list(lane_weights)), st.integers(0, 3000))
SLOTS = st.integers(0, 4000)


@given(BUCKETS, STEPS)
def test_over_any_stretch_of_time_no_more_is_granted_than_rate_times_time_and_burst(
    policy: BucketPolicy, steps: list[tuple[float, int]]
) -> None:
    bucket, now_s, latest_s = Bucket(100.0), 100.0, 100.0
    grants: list[tuple[float, int]] = []
    for passed_s, want in steps:
        now_s += passed_s
        latest_s = max(latest_s, now_s)
        bucket, granted = take(policy, bucket, now_s=now_s, want=want)
        assert 0 <= granted <= want
        grants.append((latest_s, granted))

    assert sum(granted for _, granted in grants) <= policy.rate_per_s * (latest_s - 100.0) + 1e-6
    for first, (from_s, _) in enumerate(grants):
        granted = sum(granted for _, granted in grants[first:])
        assert granted <= policy.rate_per_s * (latest_s - from_s) + policy.capacity + 1e-6


@given(BUCKETS, st.floats(0, 1e6))
def test_a_fresh_bucket_is_empty(policy: BucketPolicy, now_s: float) -> None:
    assert take(policy, Bucket(now_s), now_s=now_s, want=5)[1] == 0


@given(BUCKETS, st.floats(0, 1e4), st.integers(0, 50))
@example(BucketPolicy(0.1, 0), 9999.9, 1)
def test_a_token_is_there_after_the_wait_and_not_before(policy: BucketPolicy, now_s: float, want: int) -> None:
    bucket, _ = take(policy, Bucket(0.0), now_s=now_s, want=want)

    pause_s = wait_s(policy, bucket, now_s=now_s)

    assert take(policy, bucket, now_s=now_s + pause_s + 1e-9, want=1)[1] == 1
    if pause_s > 1e-6:
        assert take(policy, bucket, now_s=now_s + 0.99 * pause_s, want=1)[1] == 0


def test_a_clock_that_stands_or_goes_back_gives_nothing() -> None:
    policy, bucket = BucketPolicy(10, 5), Bucket(100.0, 2.0)

    assert refill(policy, bucket, now_s=90.0) == bucket
    assert refill(policy, bucket, now_s=100.0) == bucket


def test_a_rate_of_nothing_waits_for_ever() -> None:
    assert wait_s(BucketPolicy(0, 5), Bucket(0.0), now_s=1e9) == inf


@given(WAITING, SLOTS, st.integers(0, 1000))
def test_no_slot_stays_free_while_a_message_waits(waiting: dict[Lane, int], free: int, turn: int) -> None:
    given_slots = share(lane_weights, waiting, free, turn=turn)

    assert sum(given_slots.values()) == min(free, sum(waiting.values()))
    assert all(0 <= slots <= waiting.get(lane, 0) for lane, slots in given_slots.items())


@given(st.integers(1, 300), st.integers(0, 12), st.integers(0, 1000))
def test_lanes_that_all_have_plenty_get_slots_by_weight(rounds: int, more: int, turn: int) -> None:
    total = sum(lane_weights.values())

    given_slots = share(lane_weights, dict.fromkeys(lane_weights, 10**6), rounds * total + more, turn=turn)

    for lane, weight in lane_weights.items():
        assert rounds * weight <= given_slots[lane] <= (rounds + 1) * weight


@given(st.lists(st.integers(1, 5), min_size=40, max_size=40), st.sets(st.sampled_from(list(lane_weights)), min_size=2))
def test_slots_that_come_free_a_few_at_a_time_reach_every_waiting_lane(chunks: list[int], lanes: set[Lane]) -> None:
    waiting, dealt, total = dict.fromkeys(lanes, 10**6), 0, dict.fromkeys(lane_weights, 0)
    for free in chunks:
        for lane, slots in share(lane_weights, waiting, free, turn=dealt).items():
            total[lane] += slots
        dealt += free

    cycle = sum(lane_weights[lane] for lane in lanes)
    for lane in lanes:
        assert total[lane] >= dealt // cycle * lane_weights[lane]


def test_what_a_lane_leaves_over_goes_to_the_others_by_weight() -> None:
    waiting = {Lane.HIGH: 1, Lane.NORMAL: 1000, Lane.BULK: 1000}

    given_slots = share(lane_weights, waiting, 101)

    assert given_slots == {Lane.HIGH: 1, Lane.NORMAL: 80, Lane.BULK: 20}


def test_a_lane_without_a_weight_has_no_part() -> None:
    assert share(lane_weights, {Lane.EXPRESS: 5}, 5) == dict.fromkeys(lane_weights, 0)
