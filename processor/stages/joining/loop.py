"""The loop that joins: receipts of its partitions with the results of all messages, in transactions."""

import threading
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Final, NamedTuple, Protocol

from processor.codec.errors import RegistryUnavailable, TooLarge, Unreadable
from processor.core.clock import Clock
from processor.kafka.committed import Committed, Place
from processor.kafka.connection import Connection
from processor.kafka.replay import Replay
from processor.kafka.transactions import Abandoned, Commit, Output
from processor.logs import logger
from processor.metrics import MESSAGES_KNOWN, RECEIPTS_WAITING, TICK, Health
from processor.stages.boundary import Boundary
from processor.stages.joining.join import Join
from processor.stages.joining.part import Part
from processor.stages.joining.progress import Progress, progress_of
from processor.stages.record import Record, record_of
from processor.stages.ticks import BATCH_UNREADABLE, Fate, Seat, Ticks

log = logger()

_POLL_S: Final = 0.02
_SETTLE_S: Final = 1.0  # how often a commit may do nothing but move on
_AHEAD: Final = 20_000  # receipts beyond the last commit that are read before a partition has caught up
_LADEN: Final = 20_000  # receipts and events that wait: nothing more is read before they have gone


class End(NamedTuple):
    """The end of a partition, in its turn among the records."""

    place: Place
    offset: int


class Defects(Protocol):
    """Makes the dead letter of a record that nobody can read."""

    def buried(self, record: Record, error: Unreadable | TooLarge | None) -> Output:
        """Return the dead letter; *error* None: a defect of ours."""
        ...


class JoinLoop:
    """
    One thread; see `Join` for what is joined, and docs/architecture.md for why nothing is lost or doubled.

    A tick publishes what was joined since the last one, and commits, for each partition that moved, how far its
    receipts were read and which results were applied. An aborted tick's outputs go into the next one.
    """

    def __init__(
        self,
        connection: Connection,
        seat: Seat,
        join: Join,
        replay: Replay,
        defects: Defects,
        clock: Clock,
        health: Health,
        *,
        tick_records_max: int,
        errors_per_minute_max: int,
    ) -> None:
        """Join the group; nothing is read before `run`."""
        self._seat = seat
        self._join = join
        self._replay = replay
        self._defects = defects
        self._clock = clock
        self._most = tick_records_max
        self._boundary = Boundary("tracking", clock, errors_per_minute_max)
        self._inbox: deque[Record | End] = deque()
        self._acknowledged: dict[Place, Progress] = {}  # see Holdings.remembered
        self._settled_at_s = 0.0
        self._ticks = Ticks(connection, seat, self, clock, health)
        self._member = self._ticks.member

    @property
    def joined(self) -> bool:
        """Tell whether the group has given this loop its partitions, be it none."""
        return self._member.joined

    def run(self, stopping: threading.Event) -> None:
        """Join until *stopping*; then commit, and leave."""
        self._ticks.run(stopping, self._round, close=self._close)

    def _close(self) -> None:
        self._replay.close()
        self._join.close()

    # -- one round --------------------------------------------------------------------------------

    def _round(self) -> None:
        self._take_in()
        self._follow()
        self._tick()
        self._observe()

    def _take_in(self) -> None:
        self._poll(self._most, 0.0 if self._inbox or not self._replay.current else _POLL_S)
        while self._inbox:
            record = self._inbox.popleft()
            part = self._join.parts.get(record.place)
            if part is not None and isinstance(record, End):
                part.skip_to(record.offset)
            elif part is not None and isinstance(record, Record) and record.offset >= part.read_to:
                self._patiently(partial(self._receive, part, record))

    def _receive(self, part: Part, record: Record) -> None:
        if self._join.parts.get(record.place) is not part:
            return  # lost while the registry was away

        def buried(record: Record, error: Unreadable | TooLarge | None = None) -> None:
            if record.offset >= part.done.read_to:
                part.outputs.append(self._defects.buried(record, error))

        def step(record: Record) -> None:
            try:
                part.receive(record)
            except (Unreadable, TooLarge) as error:
                log.warning("record.unreadable", stage="tracking", at=record.at)
                buried(record, error)

        self._boundary.run(step, record, buried)
        part.passed(record)

    def _follow(self) -> None:
        """Take in results; what is read here belongs to nobody, so one that cannot be read is passed over."""
        for message in self._replay.poll(self._most, _POLL_S):
            place = message.partition() or 0, message.offset() or 0
            self._patiently(partial(self._join.apply, *place, message.value()))

    def _patiently(self, step: Callable[[], None]) -> None:
        """Repeat *step* while the registry is away: nothing may be passed over for that."""
        while True:
            try:
                return step()
            except RegistryUnavailable as away:
                log.warning("registry.unavailable", stage="tracking")
                if not self._ticks.meanwhile():
                    raise Abandoned from away

    def _tick(self) -> None:
        now_s = self._clock.monotonic_s()
        settles = now_s - self._settled_at_s >= _SETTLE_S
        applied = dict(self._replay.positions)
        self._join.catch_up(self._replay, self._most)
        if settles and not self._is_laden():
            self._settled_at_s = now_s
            if not self._join.expire(self._clock.now_ms(), self._most, current=self._replay.current):
                self._settled_at_s = 0.0
        moved = {
            place: part
            for place, part in self._join.parts.items()
            if not part.behind and (part.outputs or (settles and part.read_to > part.done.read_to))
        }
        self._flow()
        if moved:
            self._publish(moved, applied)
            TICK.labels(self._seat.loop).observe(self._clock.monotonic_s() - now_s)

    def _flow(self) -> None:
        """Read no further in a partition that is still behind, and in none while too much waits."""
        laden = self._is_laden()
        for place, part in self._join.parts.items():
            if laden or (part.behind and part.read_to > part.done.read_to + _AHEAD):
                self._member.pause(place)
            else:
                self._member.resume(place)

    def _observe(self) -> None:
        self._ticks.observe(len(self._join.parts))
        MESSAGES_KNOWN.set(len(self._join.messages))
        for provider, count in self._join.waiting.by_provider.items():
            RECEIPTS_WAITING.labels(provider).set(count)

    # -- the transaction --------------------------------------------------------------------------

    def _publish(
        self, moved: Mapping[Place, Part], applied: Mapping[int, int], meanwhile: Callable[[], bool] | None = None
    ) -> None:
        work = {place: (part, part.taken(), part.progress(applied)) for place, part in moved.items()}
        outputs = [output for _, made, _ in work.values() for output in made]
        commits: dict[Place, Commit] = {place: progress.commit() for place, (_, _, progress) in work.items()}
        fate = self._ticks.commit(outputs, commits, meanwhile)
        if fate is Fate.COMMITTED:
            for place, (part, _, progress) in work.items():
                self._acknowledged[place] = progress
                part.done = progress
        elif fate is Fate.ABORTED:
            for part, made, _ in work.values():
                part.outputs[:0] = made
            if meanwhile is None:
                self._ticks.wait()

    def _poll(self, most: int, timeout_s: float) -> None:
        self._inbox.extend(record_of(message, None) for message in self._member.poll(most, timeout_s))

    def listen(self, timeout_s: float) -> None:
        """Read a little, and join nothing."""
        self._poll(self._most // 10 + 1, timeout_s)
        if self._is_laden():
            for place in self._join.parts:
                self._member.pause(place)

    def _is_laden(self) -> bool:
        return len(self._inbox) + sum(len(part.outputs) for part in self._join.parts.values()) >= _LADEN

    # -- what the member tells --------------------------------------------------------------------

    def claimed(self, place: Place, committed: Committed) -> int | None:
        """Read a partition again from its oldest receipt that is not over."""
        done = progress_of(committed) if not committed.fresh else Progress(0, 0)
        known = self._acknowledged.get(place)
        if known is not None and not committed.fresh and known.order() > done.order():
            self._ticks.commit_lost(place)
            done = known
        self._join.own(place, done)
        return done.since

    def journal_lost(self, place: Place) -> bool:
        """Start at the first record that is left: what is gone joins nothing any more."""
        log.warning("partition.restarted", loop=self._seat.loop, topic=place[0], partition=place[1])
        if place not in self._join.parts:
            self._join.own(place, Progress(0, 0))
        return True

    def revoked(self, places: Sequence[Place]) -> None:
        """Publish what was joined, and forget the partitions."""
        if self._ticks.may_commit:
            mine = {place: part for place in places if (part := self._join.parts.get(place)) and not part.behind}
            tries = iter(range(5))  # and no poll: this is called by one
            if mine:
                self._publish(mine, dict(self._replay.positions), lambda: next(tries, None) is not None)
        self.forget(places)

    def lost(self, places: Sequence[Place]) -> None:
        """Forget the partitions."""
        self.forget(places)

    def forget(self, places: Sequence[Place]) -> None:
        """Forget partitions, and what was read of them and not yet received: its next owner may be this loop."""
        self._join.drop(places)
        left = [each for each in self._inbox if each.place not in places]
        self._inbox.clear()
        self._inbox.extend(left)  # in place: this may be called while a poll is about to add to it

    def unreadable(self, place: Place, offset: int) -> None:
        """Hold a partition that only we write, and that its broker has damaged."""
        self._ticks.hold(place, BATCH_UNREADABLE)

    def reached_end(self, place: Place, offset: int) -> None:
        """Remember the end, once what lies before it was taken in."""
        self._inbox.append(End(place, offset))
