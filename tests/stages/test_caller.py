"""What is handed over is called in its time, and what cannot be called now keeps nobody else waiting."""

from __future__ import annotations

import asyncio
import socket
import threading
from collections import deque
from contextlib import contextmanager
from typing import TYPE_CHECKING, Final

import pytest

from processor.codec.assembly import Codecs, open_codecs
from processor.codec.framing import Framing, registry_prefix
from processor.codec.registry import Registry
from processor.core.control import RECALL, control_key
from processor.core.controls import Controls
from processor.core.events import Control
from processor.core.message import Message
from processor.core.outcome import Accepted
from processor.core.tiers import tier_for
from processor.core.verdict import End, Wait
from processor.core.words import Lane, Reason, Status
from processor.providers.adapter import TOO_LATE
from processor.stages.clock import SystemClock
from processor.stages.dispatch.caller import Caller
from processor.stages.dispatch.calls import Answered, Lease, Start, Withdrawn
from processor.stages.dispatch.event_loop import EventLoop
from processor.stages.dispatch.lines import Line
from processor.stages.dispatch.stopping import Stops
from processor.stages.record import Record
from tests.core.worlds import facts, head, plan, zones
from tests.support.eventually import eventually

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from processor.core.outcome import Outcome
    from processor.providers.adapter import Submission
    from processor.stages.dispatch.calls import Result

PLACE: Final = ("comm.send.first.normal", 0)
OURS: Final = open_codecs()
STEP_MS: Final = 300_000


class SetBack(SystemClock):
    """A wall clock that somebody sets back."""

    back_ms = 0

    def now_ms(self) -> int:
        return super().now_ms() - self.back_ms


class Frozen(SystemClock):
    """Two clocks of a process that is frozen for five seconds whenever it has looked at the wall clock."""

    frozen_s = 0.0

    def now_ms(self) -> int:
        now_ms = super().now_ms()
        self.frozen_s += 5
        return now_ms

    def monotonic_s(self) -> float:
        return super().monotonic_s() + self.frozen_s


class Accepting:
    """A provider that takes everything, and notes when, and until when it might have."""

    def __init__(self, clock: SystemClock) -> None:
        self._clock = clock
        self.called_at_ms: deque[int] = deque()
        self.until_s: deque[float] = deque()

    def open(self) -> None:
        pass

    async def close(self) -> None:
        pass

    async def send(self, batch: Sequence[Submission]) -> Sequence[Outcome]:
        self.called_at_ms.extend(self._clock.now_ms() for _ in batch)
        self.until_s.extend(each.until_s for each in batch)
        return [Accepted("250") for _ in batch]


class Connecting(Accepting):
    """One that takes its time to connect, and then asks once more, as adapters do."""

    def __init__(self, clock: SystemClock) -> None:
        super().__init__(clock)
        self.is_connecting, self.is_connected = threading.Event(), threading.Event()

    async def send(self, batch: Sequence[Submission]) -> Sequence[Outcome]:
        self.is_connecting.set()
        await asyncio.to_thread(self.is_connected.wait)
        going = [each for each in batch if not each.is_over()]
        await super().send(going)
        return [TOO_LATE if each.is_over() else Accepted("250") for each in batch]


@contextmanager
def calling(
    clock: SystemClock, codecs: Codecs = OURS, provider: Accepting | None = None, stops: Stops | None = None
) -> Iterator[tuple[Caller, Accepting]]:
    """Have a caller of one provider at work."""
    events, lease, provider = EventLoop(), Lease(clock.monotonic_s), provider or Accepting(clock)
    lease.renew(clock.monotonic_s() + 60)
    world = plan()
    caller = Caller(
        events,
        {"first": Line(world.providers["first"], provider, 2)},
        plan=world,
        codec=codecs.outbound,
        clock=clock,
        zones=zones,
        lease=lease,
        errors_per_minute_max=0,
        stops=stops,
    )
    try:
        yield caller, provider
    finally:
        events.close()


def start(offset: int, due_at_ms: int, *, schema_id: int | None = None, **fields: object) -> Start:
    value = OURS.outbound.encode_message(Message(head(**fields), "ann@example.org"))
    if schema_id is not None:
        value = registry_prefix(schema_id) + value[len(OURS.prefixes["OutboundMessage"]) :]
    return Start(Record(PLACE, offset, b"m-1", value, 0, None), facts(due_at_ms=due_at_ms), "first", Lane.NORMAL)


RECALL_OF_SPRING: Final = Control(RECALL, "campaign", None, None, "spring", None, None, 1, "operator")


def results(caller: Caller, count: int, *, within_s: float = 5.0) -> dict[int, Result]:
    eventually(lambda: len(caller.results) >= count, within_s=within_s, what=lambda: list(caller.results))
    return {each.start.record.offset: each for each in caller.results}


def answered(caller: Caller) -> set[int]:
    return {each.start.record.offset for each in caller.results if isinstance(each, Answered)}


def asking(port: socket.socket, *, timeout_s: float) -> Codecs:
    """Return codecs that ask a registry at *port*."""
    registry = Registry(f"http://127.0.0.1:{port.getsockname()[1]}", timeout_s=timeout_s)
    return open_codecs(registry=registry, framing=Framing.SINGLE_OBJECT)


def test_a_message_that_is_nearly_due_is_called_once_it_is() -> None:
    clock = SystemClock()
    due_at_ms = clock.now_ms() + 60
    with calling(clock) as (caller, provider):
        caller.submit([start(7, due_at_ms)])
        assert isinstance(results(caller, 1)[7], Answered)

    assert provider.called_at_ms[0] >= due_at_ms


def test_what_a_clock_that_was_set_back_makes_due_much_later_gives_its_slot_back_at_once() -> None:
    clock = SetBack()
    due_at_ms = clock.now_ms()
    clock.back_ms = STEP_MS
    with calling(clock) as (caller, provider):
        caller.submit([start(7, due_at_ms), start(8, clock.now_ms())])
        told = results(caller, 2)

    assert isinstance(told[7], Withdrawn)
    assert isinstance(told[7].verdict, Wait)
    assert told[7].verdict.until_ms == due_at_ms
    assert isinstance(told[8], Answered)
    assert len(provider.called_at_ms) == 1


def test_a_freeze_between_two_looks_at_the_clocks_puts_no_end_off() -> None:
    clock = Frozen()
    with calling(clock) as (caller, provider):
        now_ms, before_s = clock.now_ms(), clock.monotonic_s()
        caller.submit([start(7, now_ms, end_at_ms=now_ms + 10_000)])
        assert isinstance(results(caller, 1)[7], Answered)

    assert provider.until_s[0] < before_s + 5 + 10 + 1  # a freeze as it was handed over was before it was judged


def test_what_is_recalled_while_its_adapter_connects_is_not_handed_over() -> None:
    clock, controls = SystemClock(), Controls()
    controls.whole = True
    provider = Connecting(clock)
    with calling(clock, provider=provider, stops=Stops(controls, plan(), b"key")) as (caller, _):
        caller.submit([start(7, clock.now_ms(), campaign_id="spring"), start(8, clock.now_ms())])
        assert provider.is_connecting.wait(5)
        controls.take(control_key(RECALL_OF_SPRING), RECALL_OF_SPRING)
        provider.is_connected.set()
        told = results(caller, 2)

    assert isinstance(told[7], Withdrawn)
    assert told[7].verdict == End(Status.CANCELLED, Reason.RECALLED)
    assert isinstance(told[8], Answered)
    assert len(provider.called_at_ms) == 1


@pytest.mark.parametrize("hangs", [False, True], ids=["refuses", "hangs"])
def test_a_message_that_only_the_registry_can_read_keeps_nobody_waiting_while_it_is_away(*, hangs: bool) -> None:
    clock = SystemClock()
    with socket.socket() as port:
        port.bind(("127.0.0.1", 0))
        if hangs:
            port.listen()
        with calling(clock, asking(port, timeout_s=1.0)) as (caller, _):
            began_s = clock.monotonic_s()
            caller.submit([start(offset, clock.now_ms(), schema_id=offset) for offset in range(4)])
            caller.submit([start(offset, clock.now_ms()) for offset in range(10, 20)])
            eventually(lambda: answered(caller) == set(range(10, 20)), within_s=5)
            took_s = clock.monotonic_s() - began_s
            told = results(caller, 14)

    assert took_s < 0.5  # half of what the registry is given
    for offset in range(4):
        withdrawn = told[offset]
        assert isinstance(withdrawn, Withdrawn)
        assert isinstance(withdrawn.verdict, Wait)
        assert (
            tier_for(withdrawn.verdict.until_ms - clock.now_ms()) is None
        )  # who reads a tier would stand still for it


def test_a_message_that_waits_for_the_registry_can_be_withdrawn() -> None:
    clock = SystemClock()
    with socket.create_server(("127.0.0.1", 0)) as port, calling(clock, asking(port, timeout_s=2.0)) as (caller, _):
        caller.submit([start(7, clock.now_ms(), schema_id=7)])
        question, _ = port.accept()
        with question:
            caller.withdraw([PLACE])
            told = results(caller, 1, within_s=1)

    assert told[7] == Withdrawn(told[7].start, None, None)
