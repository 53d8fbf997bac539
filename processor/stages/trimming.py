"""Deletes what lies below the low-water marks of our own topics."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Final

from confluent_kafka import KafkaException

from processor.core.clock import Clock
from processor.kafka.committed import Place
from processor.kafka.member import Member

if TYPE_CHECKING:
    from concurrent.futures import Future

EVERY_S: Final = 5.0
HURRY_EVERY_S: Final = 0.05


class Trimming:
    """
    Trims now and then, as far as marks have moved.

    A log that no longer starts at 0 is how a later owner tells a lost journal from a new partition.
    """

    def __init__(self, member: Member, clock: Clock) -> None:
        """Trim with the Admin client of *member*."""
        self._member = member
        self._clock = clock
        self._trimmed: dict[Place, int] = {}
        self._asked: dict[Place, tuple[int, Future[Any]]] = {}
        self._at_s = 0.0

    def begin(self, place: Place) -> None:
        """Take note that a topic is new: it may have been made anew, and trimmed further before."""
        self._trimmed.pop(place, None)

    @property
    def is_asking(self) -> bool:
        """Tell whether an answer is awaited."""
        return bool(self._asked)

    def run(self, marks: Mapping[Place, int], *, hurry: bool = False) -> list[Place]:
        """Return the partitions that were trimmed since the last time, and ask for more when it is time."""
        trimmed = self._heard()
        now_s = self._clock.monotonic_s()
        if self._asked or now_s - self._at_s < (HURRY_EVERY_S if hurry else EVERY_S):
            return trimmed
        self._at_s = now_s
        moved = {place: mark for place, mark in marks.items() if mark > self._trimmed.get(place, 0)}
        if moved:
            futures = self._member.trim(moved)
            self._asked = {place: (mark, futures[place]) for place, mark in moved.items()}
        return trimmed

    def _heard(self) -> list[Place]:
        trimmed, failed = [], False
        for place, (mark, future) in [item for item in self._asked.items() if item[1][1].done()]:
            del self._asked[place]
            try:
                future.result()
            except KafkaException:
                failed = True
                continue  # asked again: a broker is away, or the partition has moved
            self._trimmed[place] = mark
            trimmed.append(place)
        if failed:
            self._member.end_trimming()
        return trimmed
