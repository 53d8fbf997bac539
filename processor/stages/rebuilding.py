"""Reads what a partition has seen, before anything more of it is decided."""

import threading
from collections.abc import Callable
from typing import NamedTuple

from processor.codec.ids import Ids, decode_ids
from processor.core.clock import Clock
from processor.core.seen import Seen
from processor.kafka.connection import Connection
from processor.kafka.since import Since

_SLACK_MS = 3_600_000
"""The topic of ids is looked up by the broker's clock, what lies on it is judged by ours: they may differ by that."""


class Known(NamedTuple):
    """What a partition of a topic of so many *partitions* has seen."""

    partitions: int
    seen: Seen


class Rebuilding:
    """
    Makes the sets of one inbound topic from its topic of ids; several threads may use it.

    What an owner needs lies in the partition of the same number. Unless the topic has grown within the horizon: then an
    id may have been seen in any other partition, while fewer were counted; its hash says whether it belongs here now.
    """

    def __init__(self, connection: Connection, inbound: str, ids: str, clock: Clock, horizon_ms: int) -> None:
        """Read *ids*, which goes back *horizon_ms*."""
        self._connection = connection
        self._inbound = inbound
        self._ids = ids
        self._clock = clock
        self._horizon_ms = horizon_ms
        self._looking = threading.Lock()
        self._older: tuple[int, tuple[int, ...]] | None = None  # partitions with ids of a lower count than this one

    def known(self, partition: int, wanted: Callable[[], bool]) -> Known:
        """Return what *partition* has seen up to now; raises as `Since` does, and `Strange`."""
        since_ms = self._clock.now_ms() - self._horizon_ms
        with Since(self._connection, self._ids, since_ms - _SLACK_MS, wanted) as since:
            count = since.partitions_of(self._inbound)
            known = Known(count, Seen(self._horizon_ms // 1_000))
            for each in {partition, *self._with_older(since, count)}:
                for value in since.values(each):
                    ids = decode_ids(value)
                    if ids.at_s * 1_000 > since_ms and (each == partition or ids.partitions < count):
                        _take(known, partition, ids)
        return known

    def _with_older(self, since: Since, count: int) -> tuple[int, ...]:
        """Return the partitions that begin with ids of a lower count: it never falls, so the first record tells."""
        with self._looking:
            if self._older is None or self._older[0] != count:
                self._older = (count, tuple(each for each in range(count) if _begins_below(since, each, count)))
            return self._older[1]


def _begins_below(since: Since, partition: int, count: int) -> bool:
    first = next((decode_ids(value) for value in since.values(partition)), None)
    return first is not None and first.partitions < count


def _take(known: Known, partition: int, ids: Ids) -> None:
    if ids.partitions == known.partitions:
        known.seen.extend((mark for mark, _ in ids.marks), ids.at_s)
    else:
        ours = (mark for mark, hashed in ids.marks if hashed % known.partitions == partition)
        known.seen.extend(ours, ids.at_s)
