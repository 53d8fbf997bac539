"""Puts the loops of a process together, and runs them until they are asked to stop."""

import random
import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final, Protocol

from processor.codec.assembly import Codecs
from processor.codec.facts import encode_facts
from processor.core.clock import Clock, Zones
from processor.core.controls import Controls
from processor.core.lanes import lanes_reached
from processor.core.plan import Plan
from processor.core.tiers import TIERS_S
from processor.core.words import DelayClass, Lane
from processor.kafka.connection import Connection
from processor.kafka.replay import Replay
from processor.kafka.topics import Names
from processor.logs import logger
from processor.metrics import Health
from processor.providers.adapter import Adapter
from processor.stages.boundary import PER_MINUTE_MAX
from processor.stages.clock import SystemClock
from processor.stages.control import ControlLoop
from processor.stages.dispatch.admission import Gate
from processor.stages.dispatch.breaker import Breaker
from processor.stages.dispatch.caller import Caller
from processor.stages.dispatch.calls import Lease
from processor.stages.dispatch.capacity import Rate, slots_of
from processor.stages.dispatch.event_loop import EventLoop
from processor.stages.dispatch.lines import Line
from processor.stages.dispatch.loop import DispatchLoop
from processor.stages.dispatch.settling import Settling
from processor.stages.dispatch.stopping import Stops
from processor.stages.duplicates import Duplicates
from processor.stages.forward import Decider, ForwardLoop, Memory
from processor.stages.heap import calm_collector, wait_for
from processor.stages.intake import Intake
from processor.stages.joining.defects import Burials
from processor.stages.joining.join import Join
from processor.stages.joining.loop import JoinLoop
from processor.stages.joining.policy import ReceiptPolicy
from processor.stages.joining.receipts import Reports
from processor.stages.judging import Delay, Judging
from processor.stages.publish import Publisher
from processor.stages.routes import Routes
from processor.stages.ticks import Seat
from processor.stages.trial import Trial
from processor.stages.zones import zones

log = logger()

TRACKING: Final = "tracking"
"""The stage that serves links and webhooks, and joins receipts; it has no part in the way of a message."""

STAGES: Final = ("intake", "delay", "dispatch", TRACKING)
LINGER_S: Final = 0.02
"""Loops through which no express message comes begin a tick this long after the last one: fewer transactions."""


class Loop(Protocol):
    """Something that runs in a thread until it is asked to stop."""

    @property
    def joined(self) -> bool:
        """Tell whether its group has given it its partitions, be it none."""
        ...

    def run(self, stopping: threading.Event) -> None:
        """Run until *stopping* is set, then leave cleanly."""
        ...


@dataclass(frozen=True, slots=True)
class Parts:
    """What the loops of a process are made of."""

    connection: Connection
    names: Names
    plan: Plan
    partitions: Mapping[str, int]  # of every topic
    open_codecs: Callable[[], Codecs]  # each loop has its own; pickles, for trials in a child process
    slot: str
    health: Health
    clock: Clock = field(default_factory=SystemClock)
    zones: Zones = zones
    stop_grace_s: float = 25.0
    tick_records_max: int = 2_000
    errors_per_minute_max: int = PER_MINUTE_MAX
    controls: Controls | None = None  # None: nothing is suppressed or recalled
    hash_key: bytes = field(default=b"", repr=False)  # of suppressed addresses
    receipts: ReceiptPolicy = field(default_factory=ReceiptPolicy)
    ids_horizon_ms: int = 0  # how long a message id is known once it was seen; 0: not at all

    def publisher(self) -> Publisher:
        """Return what makes events."""
        return Publisher(self.plan, self.names, self.open_codecs().events, self.clock.now_ms)

    def routes(self) -> Routes:
        """Return what moves messages on; each loop has its own, for each has its own ticks."""
        return Routes(self.names, self.partitions, encode_facts, self.clock.now_ms)

    def seat(self, loop: str, stage: str, part: str, topics: Sequence[str]) -> Seat:
        """Return the seat of one loop."""
        read = {topic: self.partitions[topic] for topic in topics}
        return Seat(loop, self.names.group(stage, part), self.slot, read, (self.names.control, 0))

    def forward_loop(
        self, seat: Seat, decider: Decider, *, linger_s: float, memory: Memory | None = None
    ) -> ForwardLoop:
        """Return a loop of intake or delay."""
        return ForwardLoop(
            self.connection,
            seat,
            decider,
            self.clock,
            self.health,
            tick_records_max=self.tick_records_max,
            linger_s=linger_s,
            memory=memory,
        )

    def judging(self, stage: str) -> Judging:
        """Return what intake and delay judge with."""
        return Judging(
            stage,
            plan=self.plan,
            codec=self.open_codecs().outbound,
            publisher=self.publisher(),
            routes=self.routes(),
            clock=self.clock,
            zones=self.zones,
            errors_per_minute_max=self.errors_per_minute_max,
        )


def intake_loops(parts: Parts) -> list[Loop]:
    """Return the two loops of intake: express has its own consumer, group and producer."""
    return [
        _intake_loop(parts, parts.seat("intake.express", "intake", "express", [parts.names.express]), 0.0),
        _intake_loop(parts, parts.seat("intake", "intake", "rest", [parts.names.outbound]), LINGER_S),
    ]


def _intake_loop(parts: Parts, seat: Seat, linger_s: float) -> Loop:
    duplicates = None
    if parts.ids_horizon_ms:
        (topic,) = seat.topics
        ids, horizon_ms = parts.names.ids(topic), parts.ids_horizon_ms
        duplicates = Duplicates(seat.loop, parts.connection, topic, ids, parts.clock, horizon_ms=horizon_ms)
    intake = Intake(seat.loop, parts.judging("intake"), Trial(parts.open_codecs), duplicates)
    return parts.forward_loop(seat, intake, linger_s=linger_s, memory=duplicates)


def delay_loops(parts: Parts) -> list[Loop]:
    """Return a loop for each class of delay tiers."""
    return [
        parts.forward_loop(
            parts.seat(f"delay.{each}", "delay", each, [parts.names.delay(each, seconds) for seconds in TIERS_S]),
            Delay(parts.judging("delay"), parts.names),
            linger_s=0.0 if each is DelayClass.URGENT else LINGER_S,
        )
        for each in DelayClass
    ]


def control_loops(parts: Parts) -> list[Loop]:
    """Return the loop that keeps the controls of a dispatcher up to date, where it has any."""
    if parts.controls is None:
        return []
    topic = parts.names.control
    return [
        ControlLoop(
            parts.connection,
            topic,
            parts.partitions[topic],
            controls=parts.controls,
            codec=parts.open_codecs().events,
            clock=parts.clock,
            health=parts.health,
        )
    ]


def dispatch_loops(parts: Parts, adapters: Mapping[str, Adapter], events: EventLoop) -> list[Loop]:
    """Return the two loops of dispatch; they share each provider's rate, and its adapter's connections."""
    reached = {name: lanes for name, lanes in lanes_reached(parts.plan).items() if lanes}
    now_s = parts.clock.monotonic_s()
    rates = {name: Rate(parts.plan.providers[name], lanes, now_s) for name, lanes in reached.items()}
    loops: list[Loop] = []
    for express in (True, False):
        lanes_of = {
            name: [lane for lane in lanes if (lane is Lane.EXPRESS) is express] for name, lanes in reached.items()
        }
        lanes_of = {name: lanes for name, lanes in lanes_of.items() if lanes}
        if lanes_of:
            loops.append(_dispatch_loop(parts, adapters, events, reached, lanes_of, rates, express=express))
    return loops


def tracking_loops(parts: Parts) -> list[Loop]:
    """Return the loop that joins receipts with the messages that they are about."""
    names, policy = parts.names, parts.receipts
    since_ms = parts.clock.now_ms() - policy.horizon_ms - policy.patience_ms
    return [
        JoinLoop(
            parts.connection,
            parts.seat("receipts", "tracking", "receipts", [names.receipts, names.parts]),
            Join(Reports(names, parts.open_codecs().events, parts.plan), policy),
            Replay(parts.connection, names.delivery, parts.partitions[names.delivery], since_ms),
            Burials(parts.publisher(), parts.clock.now_ms),
            parts.clock,
            parts.health,
            tick_records_max=parts.tick_records_max,
            errors_per_minute_max=parts.errors_per_minute_max,
        )
    ]


def _dispatch_loop(
    parts: Parts,
    adapters: Mapping[str, Adapter],
    events: EventLoop,
    reached: Mapping[str, Sequence[Lane]],
    lanes_of: Mapping[str, Sequence[Lane]],
    rates: Mapping[str, Rate],
    *,
    express: bool,
) -> DispatchLoop:
    gates: dict[str, Gate] = {}
    lines: dict[str, Line] = {}
    for name in lanes_of:
        provider = parts.plan.providers[name]
        slots = slots_of(provider, reached[name])
        gates[name] = Gate(
            name,
            slots.express if express else slots.rest,
            rates[name],
            express,
            Breaker(provider.breaker),
            may_turn=any(channel.failover and name in channel.providers for channel in parts.plan.channels.values()),
        )
        lines[name] = Line(provider, adapters[name], gates[name].slots)
    topics = [parts.names.send(name, lane) for name, lanes in lanes_of.items() for lane in lanes]
    totals = {
        name: sum(parts.partitions[parts.names.send(name, lane)] for lane in lanes) for name, lanes in lanes_of.items()
    }
    lease = Lease(parts.clock.monotonic_s)
    routes = parts.routes()
    return DispatchLoop(
        parts.connection,
        parts.seat("dispatch.express" if express else "dispatch", "dispatch", "express" if express else "rest", topics),
        names=parts.names,
        gates=gates,
        totals=totals,
        caller=Caller(
            events,
            lines,
            plan=parts.plan,
            codec=parts.open_codecs().outbound,
            clock=parts.clock,
            zones=parts.zones,
            lease=lease,
            errors_per_minute_max=parts.errors_per_minute_max,
            stops=None if parts.controls is None else Stops(parts.controls, parts.plan, parts.hash_key),
        ),
        settling=Settling(
            plan=parts.plan,
            codec=parts.open_codecs().outbound,
            publisher=parts.publisher(),
            routes=routes,
            clock=parts.clock,
            zones=parts.zones,
            chance=random.Random(),  # noqa: S311 - jitter is no secret
        ),
        routes=routes,
        lease=lease,
        clock=parts.clock,
        health=parts.health,
        linger_s=0.0 if express else LINGER_S,
        stop_grace_s=parts.stop_grace_s,
    )


def run_loops(loops: Sequence[Loop], stopping: threading.Event) -> None:
    """Run each loop in a thread; when one fails all stop, and its error is raised."""
    calm_collector()
    failures: list[BaseException] = []

    def guarded(loop: Loop) -> None:
        try:
            loop.run(stopping)
        except BaseException as error:  # noqa: BLE001 - raised again below, in the thread that can end the process
            failures.append(error)
            stopping.set()

    threads = [threading.Thread(target=guarded, args=(loop,), name=type(loop).__name__) for loop in loops]
    for thread in threads:
        thread.start()
    wait_for(threads)
    if failures:
        raise failures[0]
