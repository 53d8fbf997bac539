"""
The tick loop of dispatch.

A tick is one transaction. It publishes the results that came in since the last one, and commits for
each partition that changed the low-water mark, with metadata that says what has started and what has
finished above it; what is admitted now is marked started. Only when that commit has returned are the
calls of what was admitted begun.
"""

import threading
from collections.abc import Callable, Sequence
from functools import partial
from itertools import chain, islice
from typing import Final

from processor.core.clock import Clock
from processor.core.outcome import Throttled
from processor.kafka.committed import Committed, Place
from processor.kafka.connection import Connection
from processor.kafka.journal import Entry, Journal, JournalUnreadable, decode
from processor.kafka.topics import Names
from processor.kafka.transactions import Commit
from processor.logs import logger
from processor.metrics import BREAKER, IN_FLIGHT, PACE, TICK, Health
from processor.stages.backlog import SendBacklog
from processor.stages.dispatch.admission import Gate, chosen
from processor.stages.dispatch.breaker import State, is_ours
from processor.stages.dispatch.caller import Caller
from processor.stages.dispatch.calls import Answered, Lease, Start
from processor.stages.dispatch.holdings import Holdings
from processor.stages.dispatch.partition import LEAD_MS, SendPartition
from processor.stages.dispatch.reading import Reading
from processor.stages.dispatch.settling import Done, Settling
from processor.stages.routes import Routes
from processor.stages.ticks import BATCH_UNREADABLE, METADATA_UNREADABLE, OFFSET_GONE, Fate, Seat, Ticks
from processor.stages.trimming import Trimming

log = logger()

POLL_RECORDS_MAX: Final = 2_000
_BUSY_POLL_S: Final = 0.002
_IDLE_POLL_S: Final = 0.05
_SETTLE_WAIT_S: Final = 0.05
_RENEW_AFTER_S: Final = 0.3  # a lease with starts that have not begun is renewed by a tick
_ABORT_PAUSE_S: Final = 0.05  # an aborted tick is not tried again at once: the polls between may tell why
_FLOW_EVERY_S: Final = 0.5
_REVOKE_GRACE_S: Final = 8.0
_TURNS_MAX: Final = 2_000  # what is moved stays in memory, and in every tick that is tried, until one is committed


class DispatchLoop:
    """One thread that dispatches the messages of one group of send topics."""

    def __init__(
        self,
        connection: Connection,
        seat: Seat,
        *,
        names: Names,
        gates: dict[str, Gate],
        totals: dict[str, int],
        caller: Caller,
        settling: Settling,
        routes: Routes,
        lease: Lease,
        clock: Clock,
        health: Health,
        linger_s: float,
        stop_grace_s: float,
    ) -> None:
        """Join the group; *totals* are the partitions of each provider's topics in this group."""
        self._seat, self._names, self._gates, self._totals = seat, names, gates, totals
        self._caller, self._settling, self._routes, self._lease = caller, settling, routes, lease
        self._clock, self._linger_s, self._stop_grace_s = clock, linger_s, stop_grace_s
        self._holdings = Holdings()
        self._reading = Reading(self._holdings, settling, clock)
        self._stopping = False
        self._ticked_at_s = self._flowed_at_s = 0.0
        self._backlog = SendBacklog(seat.topics, names, clock)
        self._ticks = Ticks(connection, seat, self, clock, health, leave_s=stop_grace_s)
        self._member = self._ticks.member
        self._trimming = Trimming(self._member, clock)

    @property
    def joined(self) -> bool:
        """Tell whether the group has given this loop its partitions, be it none."""
        return self._member.joined

    def run(self, stopping: threading.Event) -> None:
        """Dispatch until *stopping*; then finish what is under way, and leave."""
        self._ticks.run(stopping, self._round, finish=self._finish)

    def _round(self) -> None:
        self.listen(self._timeout_s())
        self._collect()
        if self._caller.failed is not None:
            raise self._caller.failed
        self._tick()
        self._flow()
        self._trim()
        self._observe()

    def _finish(self) -> None:
        """
        Begin nothing more; wait for what is under way, within the grace, and settle it.

        Where it is not known what the last tick came to, that is found out first: results of partitions that are still
        ours would be in doubt for their next owner.
        """
        self._stopping = True
        self._caller.withdraw(None)
        deadline_s = self._clock.monotonic_s() + self._stop_grace_s
        while self._owes() and self._clock.monotonic_s() < deadline_s:
            self._ticks.recover()
            self.listen(_BUSY_POLL_S)
            self._collect()
            self._tick()
        self._caller.cancel()
        self._settle_rest(self._holdings.owes_any)

    def _owes(self) -> bool:
        """Tell whether anything is under way, or has ended and may still be published by us."""
        unclear = not self._ticks.may_commit or self._member.is_asking
        return self._holdings.owes_any() or self._holdings.remembers(None if unclear else self._member.places)

    # -- records in ---------------------------------------------------------------------------------

    def _timeout_s(self) -> float:
        held, parts = self._holdings, self._holdings.partitions.values()
        if held.in_flight or held.done or any(part.waiting for part in parts):
            return _BUSY_POLL_S
        heads = [part.later[0][0] for part in parts if part.later]
        if not heads:
            return _IDLE_POLL_S
        return min(_IDLE_POLL_S, max(0.0, (min(heads) - LEAD_MS - self._clock.now_ms()) / 1_000))

    def listen(self, timeout_s: float) -> None:
        """Read records into their partitions; nothing begins before the next tick."""
        self._reading.take_in(self._member.poll(POLL_RECORDS_MAX, timeout_s))
        for place, part in self._holdings.partitions.items():
            if part.brims():
                self._member.pause(place)

    # -- results in ---------------------------------------------------------------------------------

    def _collect(self) -> None:
        """Settle what the calls have brought; results for partitions that went away wait for their return."""
        results = self._caller.results
        while results:
            result = results.popleft()
            self._gates[result.start.provider].note_settled()
            if isinstance(result, Answered):
                result = self._heard(result)
            self._holdings.settle(self._settling.done(result))
        self._reading.decide_undecided()

    def _heard(self, result: Answered) -> Answered:
        """Learn from an answer how its provider fares; return it as it is to be settled."""
        provider, outcome = result.start.provider, result.outcome
        gate, now_s = self._gates[provider], self._clock.monotonic_s()
        if not is_ours(outcome):
            gate.pace.ended(now_s, throttled=isinstance(outcome, Throttled))
        if isinstance(outcome, Throttled) and outcome.retry_after_ms:
            quiet_s = outcome.retry_after_ms / 1_000
            gate.quiet_until_s = max(gate.quiet_until_s, now_s + quiet_s)
            self._caller.pause(provider, quiet_s)
        was = gate.breaker.state
        softened = gate.breaker.softened(outcome)
        if gate.breaker.note(outcome, began_s=result.began_s, now_s=now_s, most=gate.slots):
            log.error("breaker.opened", loop=self._seat.loop, provider=provider, reason=gate.breaker.why)
            self._caller.hold(provider)
        elif gate.breaker.state is State.CLOSED and was is not State.CLOSED:
            log.info("breaker.closed", loop=self._seat.loop, provider=provider)
        return result if softened is outcome else result._replace(outcome=softened)

    def _turn_elsewhere(self) -> None:
        """Move what waits for a provider that is left alone to the next one, where its channel wants that."""
        done = self._holdings.done
        for gate in self._gates.values():
            if gate.may_turn and gate.breaker.state is not State.CLOSED:
                for place in gate.places:
                    done += self._holdings.partitions[place].moved_by(self._settling.moved, _TURNS_MAX - len(done))

    # -- the tick -----------------------------------------------------------------------------------

    def _tick(self, meanwhile: Callable[[], bool] | None = None) -> None:
        """Run one transaction, if there is something to commit."""
        began_s = self._clock.monotonic_s()
        if not self._ticks.may_commit or (began_s - self._ticked_at_s < self._linger_s and not self._stopping):
            return
        starts = [] if self._stopping else self._admitted(began_s)
        if not self._stopping:
            self._turn_elsewhere()
        done = self._holdings.take_done()
        changed = self._holdings.mark(done, starts) or self._renewing()
        if not changed:
            return
        commits, done, starts = self._fitting(changed, done, starts)
        if not commits or not self._committed(commits, done, starts, meanwhile):
            self._holdings.undo(set(commits), done, starts)
            return
        self._ticked_at_s = self._clock.monotonic_s()
        TICK.labels(self._seat.loop).observe(self._ticked_at_s - began_s)
        self._holdings.apply(commits)
        for gate in self._gates.values():
            gate.note_tick()
        self._lease.renew(began_s)
        self._begin(starts)

    def _admitted(self, now_s: float) -> list[Start]:
        return [
            start
            for gate in self._gates.values()
            if gate.places
            for start in chosen(gate, self._holdings.partitions, now_s=now_s)
        ]

    def _renewing(self) -> set[Place]:
        """Return a partition to commit as it is, where starts may be waiting for a younger lease."""
        waits = self._holdings.in_flight and self._lease.age_s() > _RENEW_AFTER_S
        return set(islice(self._holdings.partitions, 1)) if waits else set()

    def _fitting(
        self, changed: set[Place], done: list[Done], starts: list[Start]
    ) -> tuple[dict[Place, Commit], list[Done], list[Start]]:
        """Return the tick without the partitions whose metadata would not fit; those are undone."""
        commits = self._holdings.commits(changed)
        over = changed - commits.keys()
        if over:
            log.error("journal.full", loop=self._seat.loop, count=len(over))
            left_done = [each for each in done if each.place in over]
            left_starts = [start for start in starts if start.record.place in over]
            self._holdings.undo(over, left_done, left_starts)
            done = [each for each in done if each.place not in over]
            starts = [each for each in starts if each.record.place not in over]
        return commits, done, starts

    def _committed(
        self,
        commits: dict[Place, Commit],
        done: Sequence[Done],
        starts: Sequence[Start],
        meanwhile: Callable[[], bool] | None,
    ) -> bool:
        """
        Return whether the tick is committed.

        Where that is not known its results are kept as orphans: those that the journal says are finished are
        dropped, the others are published when their offsets are met again.
        """
        outputs = chain.from_iterable(each.outputs for each in done)
        self._routes.next_tick()
        fate = self._ticks.commit(outputs, commits, meanwhile)
        if fate is Fate.ABORTED:
            self._ticked_at_s = self._clock.monotonic_s() + _ABORT_PAUSE_S
        elif fate is Fate.UNKNOWN:
            self._holdings.never_begun(starts, self._member.places)
        return fate is Fate.COMMITTED

    def _begin(self, starts: Sequence[Start]) -> None:
        """Hand over what was admitted, unless its partition went away while the tick was committed."""
        ours = self._holdings.begun(starts)
        for start in ours:
            self._gates[start.provider].outstanding += 1
        if ours:
            self._caller.submit(ours)

    # -- partitions come and go -----------------------------------------------------------------------

    def claimed(self, place: Place, committed: Committed) -> int | None:
        """Take over a partition as its last owner left it; hold it where that cannot be known."""
        try:
            entry = (
                Entry(0, frozenset(), frozenset()) if committed.fresh else decode(committed.offset, committed.metadata)
            )
        except JournalUnreadable:
            self._ticks.hold(place, METADATA_UNREADABLE)
            return None
        if committed.fresh:
            self._holdings.begin(place)
            self._trimming.begin(place)
        known = self._holdings.remembered(place, entry)
        if known != entry:
            self._ticks.commit_lost(place)
            entry = known
        provider, lane = self._names.send_parts(place[0])
        part = SendPartition(provider, lane, Journal.restored(entry), untrimmed=committed.fresh)
        self._holdings.take(place, part, entry)
        self._gates[provider].places.add(place)
        self._share_rate(provider)
        self._caller.admit([place])
        return entry.mark

    def journal_lost(self, place: Place) -> None:
        """Hold a partition: nothing is called, nothing is skipped, until an operator decides."""
        self._ticks.hold(place, OFFSET_GONE)

    def revoked(self, places: Sequence[Place]) -> None:
        """Admit nothing more of them, finish what is under way within bounds, commit, let go; the others go on."""
        self._caller.withdraw(places)
        self._holdings.disown(places)
        if self._ticks.may_commit:
            for gate in self._gates.values():
                gate.places.difference_update(places)
            self._settle_rest(partial(self._holdings.owes, frozenset(places)))
        self.forget(places)

    def lost(self, places: Sequence[Place]) -> None:
        """Commit nothing for them; remember what is under way, for they may come back."""
        self._caller.withdraw(places)
        self._holdings.disown(places)
        self.forget(places)

    def unreadable(self, place: Place, offset: int) -> None:
        """Hold a partition that only we write, and that its broker has damaged."""
        self._ticks.hold(place, BATCH_UNREADABLE)

    def reached_end(self, place: Place, offset: int) -> None:
        """Take note that what lies before the end holds no record that we have not read."""
        part = self._holdings.partitions.get(place)
        if part is not None and offset > part.journal.position:
            part.journal.read_to(offset)
            part.dirty = True

    def _settle_rest(self, unsettled: Callable[[], bool]) -> None:
        """Tick without polling until nothing is unsettled; for the end of a run and for revocations."""
        deadline_s = self._clock.monotonic_s() + _REVOKE_GRACE_S
        while True:
            self._collect()
            self._tick(lambda: self._clock.monotonic_s() < deadline_s)
            if self._clock.monotonic_s() >= deadline_s or not unsettled():
                break
            self._caller.wait(_SETTLE_WAIT_S)

    def forget(self, places: Sequence[Place]) -> None:
        """Let partitions go; what is under way for them goes on."""
        for part in self._holdings.let_go(places):
            self._gates[part.provider].places.difference_update(places)
            self._share_rate(part.provider)
        self._reading.forget(places)

    def _share_rate(self, provider: str) -> None:
        gate = self._gates[provider]
        owned, total = len(gate.places), self._totals[provider]
        gate.rate.own(express=gate.express, owned=owned, total=total, now_s=self._clock.monotonic_s())

    # -- flow and figures -----------------------------------------------------------------------------

    def _flow(self) -> None:
        for place, part in self._holdings.partitions.items():
            if self._member.paused(place):
                if part.wants_more():
                    self._member.resume(place)
            elif part.holds_enough():
                self._member.pause(place)
        now_s = self._clock.monotonic_s()
        elapsed_s = now_s - self._flowed_at_s
        if elapsed_s >= _FLOW_EVERY_S:
            self._flowed_at_s = now_s
            for part in self._holdings.partitions.values():
                part.rate_per_s, part.taken = part.taken / elapsed_s, 0

    def _trim(self) -> None:
        """Delete what is done: send topics never expire by time. A new partition is trimmed before its first call."""
        parts = self._holdings.partitions
        new = any(part.untrimmed and part.journal.mark for part in parts.values())
        for place in self._trimming.run({place: part.journal.mark for place, part in parts.items()}, hurry=new):
            if place in parts:
                parts[place].untrimmed = False

    def _observe(self) -> None:
        self._ticks.observe(len(self._holdings.partitions))
        for provider, count in self._caller.in_flight().items():
            gate = self._gates[provider]
            IN_FLIGHT.labels(self._seat.loop, provider).set(count)
            BREAKER.labels(self._seat.loop, provider).set(gate.breaker.state is not State.CLOSED)
            PACE.labels(self._seat.loop, provider).set(gate.pace.limit_per_s or 0)
        self._backlog.observe(self._holdings.partitions, self._member.end_offsets)
