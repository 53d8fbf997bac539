"""The loop of intake and delay: read, decide, publish and commit in one transaction."""

import threading
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from itertools import chain
from math import inf
from typing import Final, Protocol

from processor.core.clock import Clock
from processor.kafka.committed import Committed, Place
from processor.kafka.connection import Connection
from processor.kafka.member import Member
from processor.kafka.transactions import Abandoned, Aborted, Commit, Fenced, Output, Transactions
from processor.logs import logger
from processor.metrics import (
    PARTITIONS_ASSIGNED,
    PARTITIONS_HELD,
    PARTITIONS_UNSTABLE,
    TICK,
    TRANSACTIONS_ABORTED,
    Health,
)
from processor.stages.backlog import ForwardBacklog
from processor.stages.lookahead import Lookahead
from processor.stages.record import Record, record_of

log = logger()

_SUSPECT_RECORDS: Final = 2_000
CLEAN: Final = "clean"
"""Commit metadata of an owner that left on purpose; any other end may have been the fault of a record."""

_LOOKAHEAD_BYTES: Final = 67_108_864
_POLL_MAX_S: Final = 0.1
_MEANWHILE_S: Final = 0.05
_LEAVE_S: Final = 5.0  # a loop that is to stop waits this long for a Kafka that does not answer
_HOLD_MS: Final = 500  # until what could not be decided (the registry is away) is tried again
_SETTLE_S: Final = 1.0  # how often a commit may do nothing but step over transaction markers


class Decider(Protocol):
    """What a forwarding stage does with a record."""

    header: str | None  # the header that carries our facts, where the topics are our own

    def decide(self, records: Sequence[Record], *, suspect: bool) -> list[list[Output]]:
        """
        Return the outputs of each record, in order; fewer where one cannot be decided for now.

        *suspect*: a process died while it owned this partition, perhaps of one of these records.
        """
        ...

    def wait_ms(self, topic: str) -> int | None:
        """Return how long records of *topic* wait before they are decided; None for not at all."""
        ...


@dataclass(frozen=True, slots=True)
class Seat:
    """Where a loop sits: its name in metrics, its group, and its slot in it (None: a passing member)."""

    loop: str
    group: str
    slot: str
    topics: tuple[str, ...]

    @property
    def identity(self) -> str:
        """Return the id that the same slot always has, as a member and as a producer."""
        return f"{self.group}.{self.slot}"


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
    ) -> None:
        """Join the group; nothing is read before `run`."""
        self._most = tick_records_max
        self._seat = seat
        self._decider = decider
        self._clock = clock
        self._health = health
        self._partitions: dict[Place, Lookahead] = {}
        self._suspect: dict[Place, int] = {}  # records still to be tried apart
        self._acknowledged: dict[Place, int] = {}  # what Kafka has said that it committed, whatever it tells later
        self._in_tick: set[Place] = set()
        self._stopping = threading.Event()
        self._leave_by_s = inf
        self._broken = ""  # why the outcome of the last tick is not known: nothing is committed until it was read
        self._settled_at_s = 0.0
        self._backlog = ForwardBacklog(seat.topics, clock)
        self._transactions = Transactions(connection, seat.identity)
        self._member = Member(
            connection,
            group=seat.group,
            instance=seat.identity,
            topics=seat.topics,
            owner=self,
            monotonic_s=clock.monotonic_s,
        )

    @property
    def joined(self) -> bool:
        """Tell whether the group has given this loop its partitions, be it none."""
        return self._member.joined

    def run(self, stopping: threading.Event) -> None:
        """Forward until *stopping*; then commit, and leave."""
        self._stopping = stopping
        try:
            self._transactions.start(self._meanwhile)
            while not stopping.is_set():
                self._health.beat(self._seat.loop)
                if self._broken:
                    self._begin_again()
                self._take_in()
                self._flow()
                self._tick(self._ready())
                self._observe()
        except Abandoned:
            log.warning("loop.abandoned", loop=self._seat.loop)
        self._member.close()  # revokes, and so commits that we leave on purpose
        self._health.stopped(self._seat.loop)

    # -- one round --------------------------------------------------------------------------------

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

    def _timeout_s(self, now_ms: int) -> float:
        heads = [ready for part in self._partitions.values() if (ready := part.head_ready_ms()) is not None]
        return min(_POLL_MAX_S, max(0.0, (min(heads) - now_ms) / 1_000)) if heads else _POLL_MAX_S

    def _flow(self) -> None:
        now_ms = self._clock.now_ms()
        for place, part in self._partitions.items():
            if self._member.paused(place):
                if part.wants_more(now_ms):
                    self._member.resume(place)
            elif part.wants_pause(now_ms):
                self._member.pause(place)

    def _ready(self) -> dict[Place, list[Record]]:
        now_ms, room = self._clock.now_ms(), self._most
        ready = {}
        for place, part in self._partitions.items():
            records = part.take(now_ms, min(room, self._suspect.get(place, room)))
            if records:
                ready[place] = records
                room -= len(records)
        return ready

    def _tick(self, ready: dict[Place, list[Record]]) -> None:
        if not ready:
            self._step_over_markers()
            return
        began_s = self._clock.monotonic_s()
        work = {}
        for place, records in ready.items():
            outputs = self._decided(place, records)
            if outputs:
                work[place] = (list(chain.from_iterable(outputs)), Commit(records[len(outputs) - 1].offset + 1))
        self._publish(work)
        TICK.labels(self._seat.loop).observe(self._clock.monotonic_s() - began_s)

    def _decided(self, place: Place, records: list[Record]) -> list[list[Output]]:
        outputs = self._decider.decide(records, suspect=place in self._suspect)
        if len(outputs) < len(records):
            until_ms = self._clock.now_ms() + _HOLD_MS
            self._partitions[place].put_back(records[len(outputs) :], until_ms)
        if place in self._suspect:
            self._suspect[place] -= len(outputs)
            if self._suspect[place] <= 0:
                del self._suspect[place]
        return outputs

    def _step_over_markers(self) -> None:
        """Commit past what holds no record, so that the lag of an idle group is 0."""
        now_s = self._clock.monotonic_s()
        if now_s - self._settled_at_s < _SETTLE_S:
            return
        self._settled_at_s = now_s
        self._publish(
            {
                place: ([], Commit(part.read_to))
                for place, part in self._partitions.items()
                if not part.records and part.read_to > part.next_offset
            }
        )

    # -- the transaction --------------------------------------------------------------------------

    def _publish(
        self, work: dict[Place, tuple[list[Output], Commit]], meanwhile: Callable[[], bool] | None = None
    ) -> None:
        """Run the transaction of *work*, again and again for the partitions that are still ours."""
        while work:
            commits = {place: commit for place, (_, commit) in work.items()}
            outputs: Iterable[Output] = chain.from_iterable(made for made, _ in work.values())
            self._in_tick = set(work)
            try:
                self._transactions.run(outputs, commits, self._member.metadata(), meanwhile or self._meanwhile)
            except Aborted as aborted:
                TRANSACTIONS_ABORTED.labels(self._seat.loop).inc()
                log.warning("tick.aborted", loop=self._seat.loop, error=aborted.reason)
                if meanwhile is not None:
                    return
                if not self._meanwhile():
                    raise Abandoned from aborted
            except (Fenced, Abandoned) as unknown:
                self._break(unknown)
                return
            else:
                for place, commit in commits.items():
                    self._acknowledged[place] = commit.offset
                    if place in self._partitions:
                        self._partitions[place].next_offset = commit.offset
                return
            finally:
                self._in_tick = set()
            work = {place: made for place, made in work.items() if place in self._partitions}

    def _meanwhile(self) -> bool:
        """Poll while Kafka takes its time; tell whether there is time to wait longer."""
        self._health.beat(self._seat.loop)
        self._poll(self._most // 10 + 1, _MEANWHILE_S)
        now_s = self._clock.monotonic_s()
        if self._stopping.is_set():
            self._leave_by_s = min(self._leave_by_s, now_s + _LEAVE_S)
        return now_s < self._leave_by_s

    def _break(self, unknown: Fenced | Abandoned) -> None:
        """Commit nothing more until the group's commits were read again: whether the last tick counts is not known."""
        self._broken = str(unknown) or "abandoned"
        log.warning("producer.fenced", loop=self._seat.loop, error=self._broken)
        self._drop(tuple(self._partitions))

    def _begin_again(self) -> None:
        """Take a new producer, and read again what the group has committed."""
        self._transactions.renew(self._meanwhile)
        self._broken = ""
        self._drop(tuple(self._partitions))  # what was claimed meanwhile, too
        self._member.claim_again(tuple(self._member.places))

    # -- what the member tells --------------------------------------------------------------------

    def claimed(self, place: Place, committed: Committed) -> int | None:
        """Start where the last owner stopped; with care, unless it stopped on purpose."""
        known = 0 if committed.fresh else self._acknowledged.get(place, 0)  # fresh: the topic was made anew
        offset = max(committed.offset, known)
        if offset > committed.offset:  # a marker was lost: see Holdings.remembered
            log.error("commit.lost", loop=self._seat.loop, topic=place[0], partition=place[1])
        share = _LOOKAHEAD_BYTES // max(1, len(self._seat.topics))
        self._partitions[place] = Lookahead(self._decider.wait_ms(place[0]), share, offset)
        if not committed.fresh and committed.metadata != CLEAN:
            self._suspect[place] = max(_SUSPECT_RECORDS, self._most)
        return offset

    def journal_lost(self, place: Place) -> None:
        """Hold a partition whose offsets are gone: to skip would lose, to replay would double."""
        log.error("partition.held", loop=self._seat.loop, topic=place[0], partition=place[1])
        PARTITIONS_HELD.labels(place[0]).inc()

    def revoked(self, places: Sequence[Place]) -> None:
        """Say that we leave on purpose, and forget the partitions."""
        if not self._in_tick and not self._broken:
            self._leave(places)
        self._drop(places)

    def lost(self, places: Sequence[Place]) -> None:
        """Forget the partitions."""
        self._drop(places)

    def reached_end(self, place: Place, offset: int) -> None:
        """Remember the end; markers before it are stepped over when the partition is idle."""
        if place in self._partitions:
            part = self._partitions[place]
            part.read_to = offset
            # What comes after this end, no process that is dead by now has read.
            left = min(self._suspect.pop(place, 0), len(part.records))
            if left:
                self._suspect[place] = left

    def _leave(self, places: Sequence[Place]) -> None:
        tries = iter(range(5))
        clean: dict[Place, tuple[list[Output], Commit]] = {
            place: ([], Commit(self._partitions[place].next_offset, CLEAN)) for place in places
        }
        self._publish(clean, lambda: next(tries, None) is not None)

    def _drop(self, places: Sequence[Place]) -> None:
        for place in places:
            self._partitions.pop(place, None)
            self._suspect.pop(place, None)

    def _observe(self) -> None:
        PARTITIONS_ASSIGNED.labels(self._seat.loop).set(len(self._partitions))
        PARTITIONS_UNSTABLE.labels(self._seat.loop).set(self._member.unstable_s())
        self._backlog.observe(self._partitions, self._member.end_offsets)
