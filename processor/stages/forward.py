"""The loop of intake and delay: read, decide, publish and commit in one transaction."""

import threading
from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import chain
from typing import Final, Protocol

from processor.core.clock import Clock
from processor.kafka.committed import Committed, Place
from processor.kafka.connection import Connection
from processor.kafka.transactions import Commit, Output
from processor.logs import logger
from processor.metrics import TICK, Health
from processor.stages.backlog import ForwardBacklog
from processor.stages.lookahead import Lookahead
from processor.stages.record import Record, record_of
from processor.stages.ticks import OFFSET_GONE, Fate, Seat, Ticks
from processor.stages.trimming import Trimming
from processor.stages.work import Piece, Work, outputs_of

log = logger()

_SUSPECT_RECORDS: Final = 2_000
CLEAN: Final = "clean"
"""Commit metadata of an owner that left on purpose; any other end may have been the fault of a record."""

_LOOKAHEAD_BYTES: Final = 67_108_864
"""Of all partitions together; up to twice as much is held while nothing can be forwarded."""
_POLL_MAX_S: Final = 0.1
_HOLD_MS: Final = 500  # until what could not be decided (the registry is away) is tried again
_UNTIL_KNOWN: Final = 1 << 62  # held, until its stage knows what it has to know
_LEARN_S: Final = 0.01
_PIECE_RECORDS: Final = 100
_SETTLE_S: Final = 1.0  # how often a commit may do nothing but step over transaction markers


class Decider(Protocol):
    """What a forwarding stage does with a record."""

    header: str | None  # the header that carries our facts, where the topics are our own

    def next_tick(self) -> None:
        """Begin another tick."""
        ...

    def decide(self, records: Sequence[Record], *, suspect: bool) -> list[list[Output]]:
        """
        Return the outputs of each record, in order; fewer where one cannot be decided for now.

        *suspect*: a process died while it owned this partition, perhaps of one of these records.
        """
        ...

    def beside(self, place: Place) -> Iterable[Output]:
        """Return what a tick writes beside the outputs of the records of *place*, once these are decided."""
        ...

    def wait_ms(self, topic: str) -> int | None:
        """Return how long records of *topic* wait before they are decided; None for not at all."""
        ...


class Memory(Protocol):
    """What a stage has to know of a partition before it decides anything of it; whoever takes it over reads it anew."""

    def begin(self, place: Place) -> None:
        """Begin to read what has to be known of *place*."""
        ...

    def known(self, place: Place) -> bool:
        """Tell whether that was read; asked between two ticks."""
        ...

    def forget(self, place: Place) -> None:
        """Let go of a partition; what was decided of it last may never have been committed."""
        ...

    def observe(self) -> None:
        """Set its gauges."""
        ...

    def close(self) -> None:
        """End what it has under way."""
        ...


class ForwardLoop:
    """One thread that forwards the records of one group; see the module of the stage for what it decides."""

    def __init__(
        self,
        connection: Connection,
        seat: Seat,
        decider: Decider,
        clock: Clock,
        health: Health,
        *,
        tick_records_max: int,
        linger_s: float = 0.0,
        memory: Memory | None = None,
    ) -> None:
        """Join the group; nothing is read before `run`. A tick begins *linger_s* after the one before it began."""
        self._linger_s = linger_s
        self._ticked_at_s = 0.0
        self._turn = 0  # the partition that a tick begins with
        self._memory = memory
        self._learned = True
        self._most = tick_records_max
        self._seat = seat
        self._decider = decider
        self._clock = clock
        self._partitions: dict[Place, Lookahead] = {}
        self._suspect: dict[Place, int] = {}  # records still to be tried apart
        self._acknowledged: dict[Place, int] = {}  # what Kafka has said that it committed, whatever it tells later
        self._settled_at_s = 0.0
        self._backlog = ForwardBacklog(seat.topics, clock)
        self._ticks = Ticks(connection, seat, self, clock, health)
        self._member = self._ticks.member
        self._trimming = Trimming(self._member, clock)
        self._untrimmed: set[Place] = set()  # of our own topics, since they came

    @property
    def joined(self) -> bool:
        """Tell whether the group has given this loop partitions, be it none, and what has to be known of them is."""
        return self._member.joined and (self._memory is None or (self._learned and not self._member.is_asking))

    def run(self, stopping: threading.Event) -> None:
        """Forward until *stopping*; then commit, and leave."""
        self._ticks.run(stopping, self._round, close=self._close)

    def _close(self) -> None:
        if self._memory is not None:
            self._memory.close()

    # -- one round --------------------------------------------------------------------------------

    def _round(self) -> None:
        self._take_in()
        self._learn()
        self._flow()
        if self._linger_left_s() <= 0:
            self._tick(self._ready())
        self._trim()
        self._ticks.observe(len(self._partitions))
        self._backlog.observe(self._partitions, self._member.end_offsets)

    def _take_in(self) -> None:
        now_ms = self._clock.now_ms()
        if any(part.full and (part.head_ready_ms() or 0) <= now_ms for part in self._partitions.values()):
            return  # what is ready goes first; a pause would cost more than the wait
        self._poll(self._most, self._timeout_s(now_ms))

    def _poll(self, most: int, timeout_s: float) -> None:
        partitions, header = self._partitions, self._decider.header
        for message in self._member.poll(most, timeout_s):
            record = record_of(message, header)
            part = partitions.get(record.place)
            if part is not None:
                part.add(record)
        for place, part in partitions.items():
            if part.brims:
                self._member.pause(place)

    def listen(self, timeout_s: float) -> None:
        """Read a little, and decide nothing."""
        self._poll(self._most // 10 + 1, timeout_s)

    def _learn(self) -> None:
        """Hold the partitions of which it is not known yet what they have seen."""
        if self._memory is None:
            return
        self._learned = True
        for place, part in self._partitions.items():
            if not self._memory.known(place):
                self._learned = False
                part.held_until_ms = _UNTIL_KNOWN
            elif part.held_until_ms == _UNTIL_KNOWN:
                part.held_until_ms = 0
        self._memory.observe()

    def _timeout_s(self, now_ms: int) -> float:
        if any(part.held_until_ms == _UNTIL_KNOWN for part in self._partitions.values()):
            return _LEARN_S
        heads = [ready for part in self._partitions.values() if (ready := part.head_ready_ms()) is not None]
        if not heads:
            return _POLL_MAX_S
        return min(_POLL_MAX_S, max(0.0, (min(heads) - now_ms) / 1_000, self._linger_left_s()))

    def _linger_left_s(self) -> float:
        return self._ticked_at_s + self._linger_s - self._clock.monotonic_s()

    def _flow(self) -> None:
        now_ms = self._clock.now_ms()
        for place, part in self._partitions.items():
            if self._member.paused(place):
                if part.wants_more(now_ms):
                    self._member.resume(place)
            elif part.wants_pause(now_ms):
                self._member.pause(place)

    def _ready(self) -> dict[Place, list[Record]]:
        """Take what a tick has room for: an equal share of each partition, and what is left of the room in turns."""
        now_ms, room = self._clock.now_ms(), self._most
        ready: dict[Place, list[Record]] = {}
        places = list(self._partitions)
        self._turn = (self._turn + 1) % max(1, len(places))
        places = places[self._turn :] + places[: self._turn]
        for share in (room // max(1, len(places)), room):
            for place in places:
                taken = ready.get(place, [])
                most = min(share, room, self._suspect.get(place, self._most) - len(taken))
                records = self._partitions[place].take(now_ms, most)
                if records:
                    ready[place] = taken + records
                    room -= len(records)
        return ready

    def _tick(self, ready: dict[Place, list[Record]]) -> None:
        if not ready:
            self._step_over_markers()
            return
        began_s = self._ticked_at_s = self._clock.monotonic_s()
        self._decider.next_tick()
        self._publish({place: Work(self._decided(place, records)) for place, records in ready.items()})
        TICK.labels(self._seat.loop).observe(self._clock.monotonic_s() - began_s)

    def _decided(self, place: Place, records: list[Record]) -> Iterator[Piece]:
        """Yield the pieces of a tick; suspects are one piece, for to try them apart may take long."""
        part, done = self._partitions[place], 0
        while done < len(records):
            suspect = place in self._suspect
            asked = records[done:] if suspect else records[done : done + _PIECE_RECORDS]
            decided = self._decider.decide(asked, suspect=suspect)
            done += len(decided)
            if suspect:
                self._tried(place, len(decided))
            if len(decided) < len(asked):
                part.put_back(records[done:], self._clock.now_ms() + _HOLD_MS)
                del records[done:]
            outputs = list(chain.from_iterable(decided))
            if done == len(records):
                outputs += self._decider.beside(place)
            if records:
                yield outputs, Commit(records[done - 1].offset + 1)

    def _tried(self, place: Place, count: int) -> None:
        self._suspect[place] -= count
        if self._suspect[place] <= 0:
            del self._suspect[place]

    def _step_over_markers(self) -> None:
        """Commit past what holds no record, so that the lag of an idle group is 0."""
        now_s = self._clock.monotonic_s()
        if now_s - self._settled_at_s < _SETTLE_S:
            return
        self._settled_at_s = now_s
        self._publish(
            {
                place: Work(iter([([], Commit(part.read_to))]))
                for place, part in self._partitions.items()
                if not part.records and part.read_to > part.next_offset
            }
        )

    def _trim(self) -> None:
        """
        Delete what was forwarded, once for each partition of our own that comes.

        Topics of ours expire by time, and long after. Before that a group without offsets, which Kafka forgets a week
        after its last member has gone, looked like a new one, and everything that had ever waited was forwarded again.
        """
        if self._untrimmed:
            marks = {place: self._partitions[place].next_offset for place in self._untrimmed}
            self._untrimmed.difference_update(self._trimming.run(marks))
            if not (self._untrimmed or self._trimming.is_asking):
                self._member.end_trimming()  # a client has threads and connections of its own, and was needed once

    # -- the transaction --------------------------------------------------------------------------

    def _publish(self, work: dict[Place, Work], meanwhile: Callable[[], bool] | None = None) -> None:
        """
        Run the transaction of *work*, again and again for the partitions that are still ours.

        One that went and came back meanwhile is not: it is read again, so its records will be decided again.
        """
        work = {place: each for place, each in work.items() if each.advance()}
        ours = {place: self._partitions.get(place) for place in work}
        while work:
            commits: dict[Place, Commit] = {}
            fate = self._ticks.commit(outputs_of(work, commits), commits, meanwhile)
            if fate is Fate.COMMITTED:
                self._committed(commits)
            if fate is not Fate.ABORTED or meanwhile is not None:
                return
            self._ticks.wait()
            work = {place: each for place, each in work.items() if self._partitions.get(place, self) is ours[place]}

    def _committed(self, commits: dict[Place, Commit]) -> None:
        for place, commit in commits.items():
            self._acknowledged[place] = commit.offset
            if place in self._partitions:
                self._partitions[place].next_offset = commit.offset

    # -- what the member tells --------------------------------------------------------------------

    def claimed(self, place: Place, committed: Committed) -> int | None:
        """Start where the last owner stopped; with care, unless it stopped on purpose."""
        if committed.fresh:
            self._acknowledged.pop(place, None)  # of a topic that was deleted, and made anew
        known = self._acknowledged.get(place, 0)
        offset = max(committed.offset, known)
        if offset > committed.offset:
            self._ticks.commit_lost(place)
        part = self._partitions[place] = Lookahead(self._decider.wait_ms(place[0]), _LOOKAHEAD_BYTES, offset)
        self._share_memory()
        if self._decider.header is not None:
            self._untrimmed.add(place)
            if committed.fresh:
                self._trimming.begin(place)
        if self._memory is not None:
            self._learned, part.held_until_ms = False, _UNTIL_KNOWN
            self._memory.begin(place)
        if not committed.fresh and committed.metadata != CLEAN:
            self._suspect[place] = max(_SUSPECT_RECORDS, self._most)
        return offset

    def journal_lost(self, place: Place) -> None:
        """Hold a partition whose offsets are gone: to skip would lose, to replay would double."""
        self._ticks.hold(place, OFFSET_GONE)

    def revoked(self, places: Sequence[Place]) -> None:
        """Say that we leave on purpose, and forget the partitions."""
        if self._ticks.may_commit:
            self._leave(places)
        self.forget(places)

    def lost(self, places: Sequence[Place]) -> None:
        """Forget the partitions."""
        self.forget(places)

    def reached_end(self, place: Place, offset: int) -> None:
        """Remember the end; markers before it are stepped over when the partition is idle."""
        if place in self._partitions:
            part = self._partitions[place]
            part.read_to = offset
            # What comes after this end, no process that is dead by now has read.
            left = min(self._suspect.pop(place, 0), len(part.records))
            if left:
                self._suspect[place] = left

    def unreadable(self, place: Place, offset: int) -> int | None:
        """Take an offset of a batch that nobody can unpack as a record without a value: it ends as a dead letter."""
        part = self._partitions.get(place)
        if part is None:
            return None
        record = Record(place, max(offset, part.next_offset, part.read_to), None, None, self._clock.now_ms(), None)
        log.error("batch.unreadable", loop=self._seat.loop, at=record.at)
        part.add(record)
        return record.offset + 1

    def _leave(self, places: Sequence[Place]) -> None:
        tries = iter(range(5))
        clean = {place: Work(iter([([], Commit(self._partitions[place].next_offset, CLEAN))])) for place in places}
        self._publish(clean, lambda: next(tries, None) is not None)

    def forget(self, places: Sequence[Place]) -> None:
        """Forget partitions."""
        for place in places:
            self._partitions.pop(place, None)
            self._suspect.pop(place, None)
            self._untrimmed.discard(place)
            if self._memory is not None:
                self._memory.forget(place)
        self._share_memory()

    def _share_memory(self) -> None:
        for part in self._partitions.values():
            part.bytes_max = _LOOKAHEAD_BYTES // len(self._partitions)
