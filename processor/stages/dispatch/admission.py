"""Chooses the messages that a tick admits: by slots, rate, and the weights of the lanes."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Final

from processor.core.quota import lane_weights, share
from processor.core.words import Lane
from processor.kafka.committed import Place
from processor.stages.dispatch.breaker import Breaker, State
from processor.stages.dispatch.calls import Start
from processor.stages.dispatch.capacity import Rate
from processor.stages.dispatch.pace import Pace
from processor.stages.dispatch.partition import SendPartition

TICK_STARTS_MAX: Final = 2_000
_WEIGHTS: Final[Mapping[Lane, int]] = {**lane_weights, Lane.EXPRESS: 16}


@dataclass(slots=True)
class Gate:
    """What holds for one provider in one dispatch loop."""

    provider: str
    slots: int
    rate: Rate
    express: bool
    breaker: Breaker
    may_turn: bool  # some channel turns from this provider to another
    pace: Pace = field(default_factory=Pace)
    outstanding: int = 0  # started and not yet settled
    settled: int = 0  # calls settled since the last tick
    settled_mean: float = 0.0  # calls settled from one tick to the next, of late
    quiet_until_s: float = 0.0  # of the monotonic clock: it asked us to slow down
    turn: int = 0
    places: set[Place] = field(default_factory=set)

    def note_settled(self) -> None:
        """Take note that a call was settled."""
        self.outstanding -= 1
        self.settled += 1

    def note_tick(self) -> None:
        """Take note that a tick was committed."""
        self.settled_mean += (self.settled - self.settled_mean) * 0.2
        self.settled = 0

    def room(self, now_s: float) -> int:
        """
        Return how many more messages may be started.

        Other lanes than express start about as many ahead as finish during a tick: a slot that falls
        free between two ticks would else stay empty until the next start is committed.
        """
        if now_s < self.quiet_until_s:
            return 0
        slots = self.breaker.room(self.slots, now_s)
        closed = self.breaker.state is State.CLOSED
        ahead = min(self.slots, round(self.settled_mean * 1.5)) if closed and not self.express else 0
        room = min(TICK_STARTS_MAX, slots + ahead - self.outstanding)
        paced = self.pace.room(now_s)
        return room if paced is None else min(room, paced)


def chosen(gate: Gate, partitions: Mapping[Place, SendPartition], *, now_s: float) -> list[Start]:
    """Take from the partitions of *gate* what it admits now; higher lanes first by their weights."""
    room = gate.room(now_s)
    if room <= 0:
        return []
    waiting = _waiting(gate.places, partitions)
    want = min(room, sum(waiting.values()))
    granted = gate.rate.take(want, express=gate.express, now_s=now_s) if want else 0
    if not granted:
        return []
    gate.pace.spent(granted)
    shares = share(_WEIGHTS, waiting, granted, turn=gate.turn)
    gate.turn += granted
    return [start for lane, count in shares.items() if count for start in _from_lane(gate, partitions, lane, count)]


def _waiting(places: Iterable[Place], partitions: Mapping[Place, SendPartition]) -> dict[Lane, int]:
    waiting: dict[Lane, int] = {}
    for place in places:
        part = partitions[place]
        if count := part.open_for():
            waiting[part.lane] = waiting.get(part.lane, 0) + count
    return waiting


def _from_lane(gate: Gate, partitions: Mapping[Place, SendPartition], lane: Lane, count: int) -> list[Start]:
    """Take *count* messages of a lane, evenly from its partitions."""
    parts = [part for place in gate.places if (part := partitions[place]).lane is lane and part.open_for()]
    starts: list[Start] = []
    while parts and len(starts) < count:
        each = max(1, (count - len(starts)) // len(parts))
        for part in parts:
            fair = min(each, len(part.waiting), count - len(starts))
            starts.extend(part.take() for _ in range(fair))
        parts = [part for part in parts if part.waiting]
    return starts
