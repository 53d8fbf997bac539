"""Calls the providers of a dispatch loop, each message as soon as there is a slot for it and its time has come."""

import asyncio
import threading
from collections import deque
from collections.abc import Iterable, Mapping, Sequence
from functools import partial
from math import inf
from typing import Final

from processor.codec.errors import RegistryUnavailable, TooLarge, Unreadable
from processor.codec.outbound import OutboundCodec
from processor.core.clock import Clock, Zones
from processor.core.judge import Judge
from processor.core.message import Head, Message
from processor.core.outcome import Outcome, Unknown
from processor.core.plan import Plan
from processor.core.verdict import Dispatch, End, Wait
from processor.core.words import Lane, Reason
from processor.kafka.committed import Place
from processor.providers.adapter import TOO_LATE, Submission, never
from processor.stages.boundary import Boundary, TooManyErrors
from processor.stages.dispatch.calls import Answered, Lease, Refused, Result, Start, Withdrawn
from processor.stages.dispatch.event_loop import EventLoop
from processor.stages.dispatch.lines import Batch, Due, Line, Worker
from processor.stages.dispatch.schemas import Schemas
from processor.stages.dispatch.stopping import Missing, Stops, reduced, widened
from processor.stages.properties import PropertyChecks

_LEASE_AGAIN_S: Final = 0.01
_NEARLY_DUE_MS: Final = 100  # a verdict this little ahead is waited out here
_SWEEP_S: Final = 0.25
_CALLS_A_TURN: Final = 16  # then whoever else waits for the event loop has a turn
_REGISTRY_AGAIN_MS: Final = 1_000  # less than the shortest tier takes


class Caller:
    """
    Begins the calls of one dispatch loop, as slots come free, and hands back their results.

    The last judgement is made here, right before the call; so is the last look at the lease.
    """

    def __init__(
        self,
        event_loop: EventLoop,
        lines: Mapping[str, Line],
        *,
        plan: Plan,
        codec: OutboundCodec,
        clock: Clock,
        zones: Zones,
        lease: Lease,
        errors_per_minute_max: int,
        stops: Stops | None = None,
    ) -> None:
        """Call the providers of *lines*; *stops* None: nothing is ever suppressed or recalled."""
        self.results: deque[Result] = deque()
        self.awaited = False
        self._arrived = threading.Event()
        self.failed: BaseException | None = None
        self._events = event_loop
        self._lines = lines
        self._plan = plan
        self._codec = codec
        self._clock = clock
        self._schemas = Schemas(event_loop, codec)
        self._judge = Judge(plan, zones)
        self._lease = lease
        self._properties = PropertyChecks(plan)
        self._stops = stops
        self._boundary = Boundary("dispatch", clock, errors_per_minute_max)
        self._leaving: set[Place] | None = set()  # None: every place
        self._later: dict[tuple[Place, int], Start] = {}
        self._workers: set[Worker] = set()
        self._swept = False

    # -- from the tick loop's thread ----------------------------------------------------------------

    def submit(self, starts: Sequence[Start]) -> None:
        """Call these, in order, as slots come free; their starts are committed."""
        self._events.soon(self._submitted, starts)

    def withdraw(self, places: Iterable[Place] | None) -> None:
        """Begin no more calls of *places* (None: of any); what has not begun comes back as withdrawn."""
        self._events.soon(self._withdrawn, None if places is None else set(places))

    def admit(self, places: Iterable[Place]) -> None:
        """Begin calls of *places* again: they have come back."""
        self._events.soon(lambda: None if self._leaving is None else self._leaving.difference_update(places))

    def pause(self, provider: str, seconds: float) -> None:
        """Begin no calls of *provider* for so long; what waits for its slots goes on waiting."""
        self._events.soon(self._sleep, self._lines[provider], seconds)

    def hold(self, provider: str) -> None:
        """Hand back what waits for a slot of *provider*, as withdrawn."""
        self._events.soon(self._held, self._lines[provider])

    def in_flight(self) -> Mapping[str, int]:
        """Return the calls under way, by provider."""
        return {name: line.in_flight for name, line in self._lines.items()}

    def cancel(self) -> None:
        """Give up the calls under way; each is Unknown."""
        self._events.soon(self._cancelled)

    def wait(self, timeout_s: float) -> None:
        """Wait for a result."""
        self.awaited = True
        if not self.results:
            self._arrived.wait(timeout_s)
        self._arrived.clear()
        self.awaited = False

    # -- in the event loop's thread -----------------------------------------------------------------

    def _cancelled(self) -> None:
        for worker in list(self._workers):
            self._give_up(worker)

    def _submitted(self, starts: Sequence[Start]) -> None:
        now_ms = self._clock.now_ms()
        for start in starts:
            if 0 < start.facts.due_at_ms - now_ms <= _NEARLY_DUE_MS:
                self._wait_out(start, start.facts.due_at_ms - now_ms)
            else:  # the clock was set back where it is due later: it is judged in its turn, and gives its slot back
                self._lines[start.provider].queue.append(start)
        for name in {start.provider for start in starts}:
            self._pump(self._lines[name])

    def _wait_out(self, start: Start, wait_ms: int) -> None:
        self._later[start.record.place, start.record.offset] = start
        self._events.loop.call_later((wait_ms + 0.5) / 1_000, self._is_due, start)

    def _is_due(self, start: Start) -> None:
        if self._later.pop((start.record.place, start.record.offset), None) is not None:
            self._lines[start.provider].queue.append(start)
            self._pump(self._lines[start.provider])

    def _withdrawn(self, places: set[Place] | None) -> None:
        self._leaving = None if places is None or self._leaving is None else self._leaving | places
        for line in self._lines.values():
            kept: deque[Start] = deque()
            for start in line.queue:
                self._back(start) if self._leaves(start) else kept.append(start)
            line.queue = kept
        for key, start in [item for item in self._later.items() if self._leaves(item[1])]:
            del self._later[key]
            self._back(start)

    def _held(self, line: Line) -> None:
        held, line.queue = line.queue, deque()
        for start in held:
            self._back(start)

    def _leaves(self, start: Start) -> bool:
        return self._leaving is None or start.record.place in self._leaving

    def _back(self, start: Start) -> None:
        self._hand_in(Withdrawn(start, None, None))

    def _hand_in(self, result: Result) -> None:
        self.results.append(result)
        self._wake_up()

    def _wake_up(self) -> None:
        if self.awaited:  # setting an event costs microseconds, and hardly ever does anyone wait for it
            self._arrived.set()

    def _pump(self, line: Line) -> None:
        """Begin calls while there are slots and messages; a few at a time, so that nobody else waits for them all."""
        for _ in range(_CALLS_A_TURN):
            batch = self._next(line)
            if not batch:
                return
            worker = Worker(line, batch)
            worker.task = self._events.loop.create_task(self._work(worker))
            self._workers.add(worker)
        self._events.loop.call_soon(self._pump, line)

    def _next(self, line: Line) -> Batch:
        """Return what the next call carries, and take its slots; empty where nothing may begin now."""
        batch: Batch = []
        while line.queue and line.in_flight < line.slots and not line.asleep:
            if not self._lease.holds():
                self._sleep(line, _LEASE_AGAIN_S)
                break
            self._fill(line, batch)
            if batch:
                line.in_flight += len(batch)
                break
        return batch

    def _sweep(self) -> None:
        """Cancel the calls that take too long: one look a quarter of a second costs less than a timer for each."""
        now_s = self._clock.monotonic_s()
        for worker in [worker for worker in self._workers if worker.until_s < now_s]:
            self._give_up(worker)
        self._swept = bool(self._workers)
        if self._swept:
            self._events.loop.call_later(_SWEEP_S, self._sweep)

    def _give_up(self, worker: Worker) -> None:
        if worker.task is not None:
            worker.task.cancel()
        if not worker.stepped:  # its task ends before its first step, and nothing was called
            self._workers.discard(worker)
            worker.line.in_flight -= len(worker.batch)
            for due in worker.batch:
                self._back(due.start)

    def _sleep(self, line: Line, seconds: float) -> None:
        until_s = self._events.loop.time() + seconds
        if until_s > line.asleep_until_s:
            line.asleep, line.asleep_until_s = True, until_s
            self._events.loop.call_at(until_s, self._wake, line, until_s)

    def _wake(self, line: Line, until_s: float) -> None:
        if until_s == line.asleep_until_s:  # else something has let it sleep longer
            line.asleep = False
            self._pump(line)

    def _fill(self, line: Line, batch: Batch) -> None:
        # This clock first: what comes between the two, such as a freeze, brings a message's end nearer and not off.
        now_s = self._clock.monotonic_s()
        now_ms = self._clock.now_ms()
        most = min(line.provider.bulk_size, line.slots - line.in_flight)
        while line.queue and len(batch) < most:
            start = line.queue[0]
            if start.lane is Lane.EXPRESS:
                most = 1  # express never waits for company
            try:
                due = self._judged(start, now_ms, now_s)
            except Exception as bug:  # noqa: BLE001 - the boundary, before a provider is called
                self._note(bug, start)
                self._hand_in(Refused(start, None, Reason.INTERNAL, None))
                due = None
            line.queue.popleft()
            if due is not None:
                batch.append(due)

    def _judged(self, start: Start, now_ms: int, now_s: float) -> Due | None:
        """Return the message if it may go at this instant; else hand in why not."""
        if self._leaves(start):
            self._back(start)
            return None
        try:
            message = self._codec.decode_message(start.record.value, ask=False)
            verdict = self._judge(message.head, start.facts, now_ms=now_ms)
        except (Unreadable, TooLarge) as error:
            known = error if isinstance(error, Unreadable) else None
            self._hand_in(Refused(start, self._head(start), Reason.UNREADABLE if known else Reason.TOO_LARGE, known))
            return None
        except RegistryUnavailable:
            self._wait_for_schema(start, now_ms)
            return None
        if isinstance(verdict, Dispatch):
            stopped = self._stopped(message, start, verdict, now_ms)
            if not isinstance(stopped, Wait | End):
                until_ms = self._judge.until_ms(message.head, start.facts, verdict, now_ms=now_ms)
                until_s = inf if until_ms is None else now_s + (until_ms - now_ms) / 1_000
                return Due(start, message, stopped, until_s)
            verdict = stopped
        if isinstance(verdict, Wait) and verdict.until_ms - now_ms < _NEARLY_DUE_MS:
            self._wait_out(start, verdict.until_ms - self._clock.now_ms())
            return None
        self._hand_in(Withdrawn(start, message.head, verdict))
        return None

    def _wait_for_schema(self, start: Start, now_ms: int) -> None:
        """
        Let a start wait beside its line, where what is behind it may well be readable.

        Where the registry could not tell a moment ago it waits in its own send topic: tiers have readers of their own,
        who would stand still for it.
        """
        if self._schemas.may_ask(start.record.value):
            self._later[start.record.place, start.record.offset] = start
            self._schemas.ask(start.record.value, partial(self._looked_up, start))
        else:
            again = Wait(start.provider, start.lane, now_ms + _REGISTRY_AGAIN_MS, Reason.BACKING_OFF)
            self._hand_in(Withdrawn(start, None, again))

    def _looked_up(self, start: Start, error: BaseException | None) -> None:
        if self._later.pop((start.record.place, start.record.offset), None) is None:
            return  # withdrawn meanwhile
        if isinstance(error, Exception) and not isinstance(error, RegistryUnavailable):
            self._note(error, start)
            self._hand_in(Refused(start, None, Reason.INTERNAL, None))
            return
        self._lines[start.provider].queue.append(start)
        self._pump(self._lines[start.provider])

    def _stopped(self, message: Message, start: Start, go: Dispatch, now_ms: int) -> Wait | End | Missing:
        """Return what keeps a message from going whose time it is, else the recipients that it goes without."""
        refused = self._properties.refusal(message.head.channel, message.properties)
        if refused is not None:
            return refused
        return () if self._stops is None else self._stops.of(message, start.facts, go, now_ms)

    def _head(self, start: Start) -> Head | None:
        try:
            return self._codec.decode_head(start.record.value, ask=False)
        except (Unreadable, TooLarge, RegistryUnavailable):
            return None

    async def _work(self, worker: Worker) -> None:
        """Make the call of *worker*, and what waits after it, one after the other."""
        worker.stepped = True
        if not self._swept:
            self._swept = True
            self._events.loop.call_later(_SWEEP_S, self._sweep)
        line, calls = worker.line, 0
        try:
            while worker.batch:
                await self._call(worker)
                line.in_flight -= len(worker.batch)
                calls += 1
                if calls % _CALLS_A_TURN == 0:
                    await asyncio.sleep(0)  # an adapter that never waits would keep everybody else waiting
                worker.batch = self._next(line)
        finally:
            self._workers.discard(worker)

    async def _call(self, worker: Worker) -> None:
        batch, line = worker.batch, worker.line
        called_at_ms, began_s = self._clock.now_ms(), self._clock.monotonic_s()
        worker.until_s = began_s + line.provider.call_timeout_ms / 1_000
        outcomes = await self._outcomes(worker)
        worker.until_s = inf
        took_s = self._clock.monotonic_s() - began_s
        for (start, message, missing, _), answered in zip(batch, outcomes, strict=True):
            if answered is TOO_LATE:
                self.results.append(Withdrawn(start, message.head, self._why_late(start, message)))
                continue
            outcome = widened(answered, message, missing) if missing else answered
            self.results.append(Answered(start, message.head, outcome, called_at_ms, began_s, took_s, missing))
        self._wake_up()

    def _why_late(self, start: Start, message: Message) -> Wait | End | None:
        now_ms = self._clock.now_ms()
        verdict = self._judge(message.head, start.facts, now_ms=now_ms)
        found = self._stopped(message, start, verdict, now_ms) if isinstance(verdict, Dispatch) else verdict
        return found if isinstance(found, Wait | End) else None

    async def _outcomes(self, worker: Worker) -> Sequence[Outcome]:
        batch = worker.batch
        try:
            outcomes = await worker.line.adapter.send([self._submission(due) for due in batch])
        except asyncio.CancelledError:  # it took too long, or we are leaving
            if worker.task is not None:
                worker.task.uncancel()
            outcomes = ()
        except Exception as bug:  # noqa: BLE001 - the boundary, once a provider may have been called
            self._note(bug, batch[0].start)
            return [Unknown(Reason.INTERNAL)] * len(batch)
        if len(outcomes) == len(batch):
            return outcomes
        # An item that the answer does not mention is unknown.
        return [*outcomes, *[Unknown(Reason.ANSWER_MISSING)] * len(batch)][: len(batch)]

    def _submission(self, due: Due) -> Submission:
        facts, message = due.start.facts, due.message
        channel = self._plan.channels[message.head.channel]  # `judge` has seen that there is one
        is_stopped = never if self._stops is None else partial(self._is_stopped, self._stops, due)
        submission = Submission(
            message, facts.attempt + 1, facts.open_recipients, channel.form, due.until_s, is_stopped
        )
        return reduced(submission, due.missing) if due.missing else submission

    def _is_stopped(self, stops: Stops, due: Due) -> bool:
        """Tell whether a message may go no more as it was judged: adapters take time to connect, and ask again."""
        start = due.start
        go = Dispatch(start.provider, start.lane)
        return stops.of(due.message, start.facts, go, self._clock.now_ms()) != due.missing

    def _note(self, bug: Exception, start: Start) -> None:
        try:
            self._boundary.caught(bug, at=start.record.at)
        except TooManyErrors as error:
            self.failed = error
