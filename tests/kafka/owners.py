"""An owner of partitions that writes down what it is told, and a group of such members."""

from __future__ import annotations

import time
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from processor.kafka.member import Member
from tests.support.eventually import eventually

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from processor.kafka.committed import Committed, Place
    from processor.kafka.connection import Connection


@dataclass
class Witness:
    """What a member told its owner, in order: (what, place, offset)."""

    told: list[tuple[str, Place, int]] = field(default_factory=list)
    claims: dict[Place, Committed] = field(default_factory=dict)
    owned: set[Place] = field(default_factory=set)
    held: list[Place] = field(default_factory=list)
    refuse: bool = False  # hold whatever comes
    goes_on: bool = False  # start a partition whose journal is lost at what is left of it

    def claimed(self, place: Place, committed: Committed) -> int | None:
        self.claims[place] = committed
        self.told.append(("claimed", place, committed.offset))
        if self.refuse:
            return None
        self.owned.add(place)
        return committed.offset

    def journal_lost(self, place: Place) -> bool:
        self.held.append(place)
        return self.goes_on

    def revoked(self, places: Sequence[Place]) -> None:
        self.told.extend(("revoked", place, -1) for place in places)
        self.owned.difference_update(places)

    def lost(self, places: Sequence[Place]) -> None:
        self.told.extend(("lost", place, -1) for place in places)
        self.owned.difference_update(places)

    def unreadable(self, place: Place, offset: int) -> None:
        self.told.append(("unreadable", place, offset))

    def reached_end(self, place: Place, offset: int) -> None:
        self.told.append(("end", place, offset))


class Seated:
    """A member and its witness."""

    def __init__(self, connection: Connection, group: str, topics: Sequence[str], instance: str | None) -> None:
        self.witness = Witness()
        self.proving = True
        self.member = Member(
            connection,
            group=group,
            instance=instance,
            topics=topics,
            owner=self.witness,
            monotonic_s=time.monotonic,
        )

    def poll(self, timeout_s: float = 0.02) -> None:
        """Poll once, and write the records down too. What Kafka tells of partitions that came counts as proven."""
        coming = self.member.unproven()
        if self.proving and coming is not None:
            self.member.prove(coming)
        for message in self.member.poll(1_000, timeout_s):
            place = (message.topic() or "", message.partition() or 0)
            self.witness.told.append(("record", place, message.offset() or 0))

    def polled_until(self, condition: Callable[[], object], *, within_s: float = 20.0) -> None:
        """Poll until *condition*."""

        def polled() -> object:
            self.poll()
            return condition()

        eventually(polled, within_s=within_s, what=lambda: self.witness)

    def records(self, place: Place) -> list[int]:
        """Return the offsets of the records read from *place*."""
        return [offset for what, where, offset in self.witness.told if what == "record" and where == place]


@contextmanager
def seated(
    connection: Connection, group: str, topics: Sequence[str], *, instance: str | None = None
) -> Iterator[Seated]:
    """Seat a member in *group*, and let it leave at the end."""
    member = Seated(connection, group, topics, instance)
    try:
        yield member
    finally:
        member.member.close()
