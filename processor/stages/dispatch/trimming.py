"""Deletes what lies below the low-water marks: send topics never expire by time."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Final

from confluent_kafka import KafkaException

from processor.core.clock import Clock
from processor.kafka.committed import Place
from processor.kafka.member import Member
from processor.stages.dispatch.partition import SendPartition

if TYPE_CHECKING:
    from concurrent.futures import Future

EVERY_S: Final = 5.0
FRESH_EVERY_S: Final = 0.05


class Trimming:
    """
    Trims now and then; a partition that is new is trimmed before its first call.

    A log that no longer starts at 0 is how a later owner tells a lost journal from a new partition.
    """

    def __init__(self, member: Member, clock: Clock) -> None:
        """Trim with the Admin client of *member*."""
        self._member = member
        self._clock = clock
        self._trimmed: dict[Place, int] = {}
        self._asked: dict[Place, tuple[int, Future[Any]]] = {}
        self._at_s = 0.0

    def run(self, partitions: Mapping[Place, SendPartition]) -> None:
        """Take note of what was trimmed, and ask for more when it is time."""
        self._hear(partitions)
        now_s = self._clock.monotonic_s()
        fresh = any(part.untrimmed and part.journal.mark for part in partitions.values())
        if self._asked or now_s - self._at_s < (FRESH_EVERY_S if fresh else EVERY_S):
            return
        self._at_s = now_s
        marks = {
            place: part.journal.mark
            for place, part in partitions.items()
            if part.journal.mark > self._trimmed.get(place, 0)
        }
        if marks:
            futures = self._member.trim(marks)
            self._asked = {place: (mark, futures[place]) for place, mark in marks.items()}

    def _hear(self, partitions: Mapping[Place, SendPartition]) -> None:
        failed = False
        for place, (mark, future) in [item for item in self._asked.items() if item[1][1].done()]:
            del self._asked[place]
            try:
                future.result()
            except KafkaException:
                failed = True
                continue  # asked again: a broker is away, or the partition has moved
            self._trimmed[place] = mark
            part = partitions.get(place)
            if part is not None:
                part.untrimmed = False
        if failed:
            self._member.trim_failed()
