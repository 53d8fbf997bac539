"""How many calls a loop may begin at a provider: slots, and tokens of the rate."""

import threading
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from processor.core.plan import Provider
from processor.core.quota import Bucket, BucketPolicy, pour, refill, spill, take
from processor.core.words import Lane

BURST_S: Final = 0.1
"""Tokens gather for this long at the most: a burst is a tenth of a second's worth."""


@dataclass(frozen=True, slots=True)
class Slots:
    """Calls at once, for the express loop and for the loop of the other lanes."""

    express: int
    rest: int


def slots_of(provider: Provider, lanes: Sequence[Lane]) -> Slots:
    """Divide a provider's concurrency: express has its share reserved where both kinds of lanes are reached."""
    if Lane.EXPRESS not in lanes:
        return Slots(0, provider.concurrency)
    if len(lanes) == 1:
        return Slots(provider.concurrency, 0)
    express = max(1, round(provider.concurrency * provider.express_share))
    return Slots(express, max(1, provider.concurrency - express))


class Rate:
    """
    A provider's rate in this process: a bucket for express, one for the other lanes.

    A loop's part of the rate is its part of the provider's partitions, so the parts of all processes
    add up to the whole. What overflows from this process's express bucket the other lanes may take, and what
    these have not taken yet goes to express first: its share is what it keeps, not the most it may have.
    Both dispatch loops use it, each from its own thread.
    """

    def __init__(self, provider: Provider, lanes: Sequence[Lane], now_s: float) -> None:
        """Begin with empty buckets and no part of the rate."""
        self._lock = threading.Lock()
        self._rate = provider.rate_per_s
        self._share = _express_share(provider, lanes)
        self._policies = [BucketPolicy(0.0, 1.0), BucketPolicy(0.0, 1.0)]
        self._buckets = [Bucket(now_s), Bucket(now_s)]

    def own(self, *, express: bool, owned: int, total: int, now_s: float) -> None:
        """Take note that the loop owns *owned* of the *total* partitions of its lanes; new tokens start at none."""
        if self._rate is None or total == 0:
            return
        part = self._share if express else 1.0 - self._share
        rate = self._rate * part * min(owned, total) / total  # partitions may have been added since we counted
        with self._lock:
            index = 0 if express else 1
            self._buckets[index] = refill(self._policies[index], self._buckets[index], now_s=now_s)
            self._policies[index] = BucketPolicy(rate, rate * BURST_S)

    def take(self, want: int, *, express: bool, now_s: float) -> int:
        """Return how many of *want* calls may begin now."""
        if self._rate is None:
            return want
        with self._lock:
            if not express:
                self._overflow(now_s)
                return self._from(1, want, now_s)
            granted = self._from(0, want, now_s)
            return granted + self._from(1, want - granted, now_s)

    def _from(self, index: int, want: int, now_s: float) -> int:
        self._buckets[index], granted = take(self._policies[index], self._buckets[index], now_s=now_s, want=want)
        return granted

    def _overflow(self, now_s: float) -> None:
        """Let what ran over from the express bucket into the other: express keeps a full one."""
        self._buckets[0], over = spill(self._policies[0], self._buckets[0], now_s=now_s)
        self._buckets[1] = pour(self._policies[1], self._buckets[1], over)


def _express_share(provider: Provider, lanes: Sequence[Lane]) -> float:
    if Lane.EXPRESS not in lanes:
        return 0.0
    return 1.0 if len(lanes) == 1 else provider.express_share
