"""How many calls may begin: a rate as a token bucket, and free slots shared among lanes."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from math import floor, inf
from typing import Final

from processor.core.words import Lane

_ROUNDING: Final = 1e-9  # a token that a sum of floats has all but filled counts as full, and is owed back


@dataclass(frozen=True, slots=True)
class BucketPolicy:
    """A rate in tokens per second, and the most that may gather while nobody takes; at least one must fit."""

    rate_per_s: float
    burst: float

    @property
    def capacity(self) -> float:
        """Return the most tokens the bucket holds: below one, nothing would ever pass."""
        return max(1.0, self.burst)


@dataclass(frozen=True, slots=True)
class Bucket:
    """The tokens there were at an instant of the monotonic clock; empty unless told otherwise."""

    at_s: float
    tokens: float = 0.0


def refill(policy: BucketPolicy, bucket: Bucket, *, now_s: float) -> Bucket:
    """Return the bucket at *now_s*; an instant before the bucket's own changes nothing."""
    return spill(policy, bucket, now_s=now_s)[0]


def spill(policy: BucketPolicy, bucket: Bucket, *, now_s: float) -> tuple[Bucket, float]:
    """Return the bucket at *now_s*, and how many tokens ran over since its own instant."""
    elapsed_s = now_s - bucket.at_s
    if elapsed_s <= 0:
        return bucket, 0.0
    tokens = bucket.tokens + elapsed_s * policy.rate_per_s
    return Bucket(now_s, min(policy.capacity, tokens)), max(0.0, tokens - policy.capacity)


def pour(policy: BucketPolicy, bucket: Bucket, tokens: float) -> Bucket:
    """Return the bucket with tokens that ran over from another one; what does not fit is gone."""
    return Bucket(bucket.at_s, min(policy.capacity, bucket.tokens + tokens))


def take(policy: BucketPolicy, bucket: Bucket, *, now_s: float, want: int) -> tuple[Bucket, int]:
    """Return the bucket after taking up to *want* whole tokens at *now_s*, and how many there were."""
    full = refill(policy, bucket, now_s=now_s)
    granted = max(0, min(want, floor(full.tokens + _ROUNDING)))
    return Bucket(full.at_s, full.tokens - granted), granted


def wait_s(policy: BucketPolicy, bucket: Bucket, *, now_s: float) -> float:
    """Return the seconds from *now_s* until a whole token is there; infinite for a rate of 0."""
    missing = 1.0 - _ROUNDING - refill(policy, bucket, now_s=now_s).tokens
    if missing <= 0:
        return 0.0
    return missing / policy.rate_per_s if policy.rate_per_s > 0 else inf


lane_weights: Final[Mapping[Lane, int]] = {Lane.HIGH: 8, Lane.NORMAL: 4, Lane.BULK: 1}
"""How free slots are divided among the lanes that share them; express has its own."""


def share(weights: Mapping[Lane, int], waiting: Mapping[Lane, int], free: int, *, turn: int = 0) -> Mapping[Lane, int]:
    """
    Return how many of *free* slots each lane of *weights* gets, given how many messages of it are *waiting*.

    No lane gets more than it has waiting, and no slot stays free while a message waits. Slots are
    dealt in a fixed order in which each lane comes up as often as its weight says, from position
    *turn* of it on. A caller that counts the slots it has dealt, and passes the count as *turn*,
    starves no lane even where slots come free one at a time.
    """
    left = {lane: count for lane in weights if (count := waiting.get(lane, 0)) > 0}
    given = dict.fromkeys(weights, 0)
    while free > 0 and left:
        order = _dealing_order(tuple((lane, weights[lane]) for lane in left))
        rounds = min(free // len(order), *(left[lane] // weights[lane] for lane in left))
        for lane in left:
            given[lane] += rounds * weights[lane]
            left[lane] -= rounds * weights[lane]
        free -= rounds * len(order)
        for lane in _from(order, turn, free):
            if left[lane] > 0:
                given[lane] += 1
                left[lane] -= 1
                free -= 1
        left = {lane: count for lane, count in left.items() if count > 0}
    return given


def _from(order: tuple[Lane, ...], turn: int, count: int) -> Iterator[Lane]:
    """Yield up to *count* lanes of one round of *order*, beginning at position *turn*."""
    return (order[(turn + step) % len(order)] for step in range(min(count, len(order))))


@cache
def _dealing_order(weights: tuple[tuple[Lane, int], ...]) -> tuple[Lane, ...]:
    """Return one round in which each lane comes up as often as its weight, spread evenly (smooth round robin)."""
    total = sum(weight for _, weight in weights)
    credit = dict.fromkeys((lane for lane, _ in weights), 0)
    order = []
    for _ in range(total):
        for lane, weight in weights:
            credit[lane] += weight
        chosen = max(credit, key=lambda lane: credit[lane])
        credit[chosen] -= total
        order.append(chosen)
    return tuple(order)
