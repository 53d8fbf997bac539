"""What waits in this process's partitions, as gauges: how much, and since when."""

from collections.abc import Callable, Collection, Mapping
from typing import Final

from processor.core.clock import Clock
from processor.kafka.committed import Place
from processor.kafka.topics import Names
from processor.metrics import (
    DELAY_BACKLOG,
    DELAY_OVERDUE,
    INBOUND_BACKLOG,
    INBOUND_OLDEST,
    SEND_BACKLOG,
    SEND_OLDEST,
)
from processor.stages.dispatch.partition import SendPartition
from processor.stages.lookahead import Lookahead

Ends = Callable[[], Mapping[Place, int]]
"""What the client last heard of the ends of the owned partitions; it asks nobody."""

EVERY_S: Final = 1.0


class ForwardBacklog:
    """Sets the gauges of intake's and delay's topics; a loop calls it each round, and it works once a second."""

    def __init__(self, topics: Collection[str], clock: Clock) -> None:
        """Report on *topics*, owned or not."""
        self._topics = topics
        self._clock = clock
        self._at_s = 0.0

    def observe(self, partitions: Mapping[Place, Lookahead], ends: Ends) -> None:
        """Report how many records are not forwarded yet, and how long the oldest one has been ready."""
        now_s = self._clock.monotonic_s()
        if now_s - self._at_s < EVERY_S:
            return
        self._at_s, now_ms, known = now_s, self._clock.now_ms(), ends()
        for topic in self._topics:
            owned = {place: part for place, part in partitions.items() if place[0] == topic}
            count = sum(_not_forwarded(part, known.get(place, 0)) for place, part in owned.items())
            late_s = max((_late_ms(part, now_ms) for part in owned.values()), default=0) / 1_000
            _, _, tier = topic.rpartition(".")
            if tier.isdecimal():
                delay_class = topic.split(".")[-2]
                DELAY_BACKLOG.labels(delay_class, tier).set(count)
                DELAY_OVERDUE.labels(delay_class, tier).set(late_s)
            else:
                INBOUND_BACKLOG.labels(topic).set(count)
                INBOUND_OLDEST.labels(topic).set(late_s)


class SendBacklog:
    """Sets the gauges of the send topics; a dispatch loop calls it each round, and it works once a second."""

    def __init__(self, topics: Collection[str], names: Names, clock: Clock) -> None:
        """Report on *topics*, owned or not."""
        self._topics = topics
        self._names = names
        self._clock = clock
        self._at_s = 0.0

    def observe(self, partitions: Mapping[Place, SendPartition], ends: Ends) -> None:
        """Report how many messages have no result yet, and since when the oldest one not under way may be sent."""
        now_s = self._clock.monotonic_s()
        if now_s - self._at_s < EVERY_S:
            return
        self._at_s, now_ms, known = now_s, self._clock.now_ms(), ends()
        for topic in self._topics:
            owned = {place: part for place, part in partitions.items() if place[0] == topic}
            provider, lane = self._names.send_parts(topic)
            count = sum(_without_result(part, known.get(place, 0)) for place, part in owned.items())
            since_ms = [at_ms for part in owned.values() if (at_ms := part.oldest_ms()) is not None]
            SEND_BACKLOG.labels(provider, lane).set(count)
            SEND_OLDEST.labels(provider, lane).set(max(0, now_ms - min(since_ms, default=now_ms)) / 1_000)


def _not_forwarded(part: Lookahead, end: int) -> int:
    """Return the records that were read and wait, and those that were not read: what lies between holds no record."""
    read_to = part.records[-1].offset + 1 if part.records else part.next_offset
    return len(part.records) + max(0, end - max(read_to, part.read_to))


def _late_ms(part: Lookahead, now_ms: int) -> int:
    """Return how long ago the oldest record might have been forwarded; a producer's timestamp may lie ahead."""
    return max(0, now_ms - part.records[0].timestamp_ms - (part.wait_ms or 0)) if part.records else 0


def _without_result(part: SendPartition, end: int) -> int:
    position = part.journal.position
    under_way = sum(offset < position for offset in part.journal.in_doubt())  # the others are read again first
    return len(part.waiting) + len(part.later) + under_way + max(0, end - position)
