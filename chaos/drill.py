"""One drill: load, faults as planned, healing, the time until nothing is left, and what the three ledgers say."""

from __future__ import annotations

import time
from collections import Counter
from dataclasses import dataclass, field
from random import Random
from typing import TYPE_CHECKING, Final

from chaos.checks import Findings, findings
from chaos.faults import FAULTS, NOTHING
from chaos.load import Load
from chaos.opens import Opens
from chaos.samples import LONG_MIN, Samples
from chaos.schedule import BEFORE_S, due_now
from processor.core.audit.account import Line
from processor.core.events import DeliveryEvent
from tests.support.eventually import eventually

if TYPE_CHECKING:
    from collections.abc import Sequence
    from contextlib import AbstractContextManager

    from chaos.schedule import Planned
    from chaos.works import Works

AFTER_S: Final = 3.0
"""Load after the last fault is healed."""

DRAINED_WITHIN_S: Final = 420.0  # what a clock that was five minutes wrong has put off waits for that long


@dataclass(slots=True)
class Drill:
    """What is to happen, and what did."""

    name: str
    plan: Sequence[Planned]
    seed: int
    rate_per_s: float
    lasts_s: float = 0.0  # at least
    told: list[str] = field(default_factory=list)  # what happened when

    @property
    def is_certain(self) -> bool:
        """Tell whether nothing of it may bring a call into doubt."""
        return all(FAULTS[each.name].doubt is NOTHING for each in self.plan)

    def run(self, works: Works) -> Findings:
        """Return what came of it."""
        load = Load(works.plant, Random(f"{self.seed}/{self.name}/load"), self.name, self.rate_per_s)
        opens = Opens(works.plant, self.name)
        works.plant.asked = {}
        works.drawn.clear()
        samples = Samples(works.plant.processes)
        threads = (load, opens, samples)
        for each in threads:
            each.start()
        try:
            self._happen(works)
        finally:  # also where a fault cannot be healed: then the run ends here
            for thread in threads:
                thread.stop()
        healed_s = time.monotonic()
        works.asked |= works.plant.asked
        self._drain(works)
        drain_s = time.monotonic() - healed_s
        found = findings(
            self.name,
            works.plant,
            load,
            opens,
            drain_s=drain_s,
            steps=works.steps,
            held=works.held,
            is_certain=self.is_certain,
        )
        if self.lasts_s >= LONG_MIN * 60:
            found.growth = {name: tuple(each) for name, each in samples.growth().items()}
            if grown := samples.grown({f"{stage}/{slot}" for stage, slot in works.watched}):
                found.breaches["grown"] = Line(len(grown), len(grown), grown)
        try:
            works.await_ready()
        except AssertionError as state:
            found.breaches["not ready again"] = Line(1, 1, [str(state)])
        if works.fallen:
            found.breaches["ended by itself"] = Line(len(works.fallen), len(works.fallen), works.fallen)
            works.fallen = []
        return found

    def _happen(self, works: Works) -> None:
        """Begin and heal every fault at its time, or later where another took long: a target has one at a time."""
        began_s = time.monotonic()
        coming = list(self.plan)
        under_way: list[tuple[float, Planned, AbstractContextManager[str]]] = []
        until_s = max(self.lasts_s, BEFORE_S)
        while coming or under_way or time.monotonic() - began_s < until_s:
            now_s = time.monotonic() - began_s
            if under_way and under_way[0][0] <= now_s:
                _, planned, context = under_way.pop(0)
                context.__exit__(None, None, None)
                self._tell(began_s, planned, "healed")
                until_s = max(until_s, time.monotonic() - began_s + AFTER_S)
            elif due := due_now(coming, [each for _, each, _ in under_way], now_s):
                planned = due[0]
                coming.remove(planned)
                context = FAULTS[planned.name].happens(works, Random(planned.seed))
                struck = context.__enter__()
                self._tell(began_s, planned, f"strikes {struck} for {planned.lasts_s} s")
                under_way.append((time.monotonic() - began_s + planned.lasts_s, planned, context))
                under_way.sort(key=lambda each: each[0])
            else:
                works.pick_up()
                time.sleep(0.02)

    def _tell(self, began_s: float, planned: Planned, what: str) -> None:
        line = f"  {time.monotonic() - began_s:6.1f} s  {planned.name} {what}"
        self.told.append(line)
        print(line, flush=True)

    def _drain(self, works: Works) -> None:
        """Return once every record of a message has its result and every unreadable one is buried; nobody helps."""
        ended = Counter(each.message_id for each in works.plant.ledgers().delivery if each.terminal)
        asked = Counter(each.message_id for each in works.plant.asked.values() if each.message_id)

        def over() -> bool:
            works.pick_up()
            new = works.plant.read()
            ended.update(each.message_id for each in new if isinstance(each, DeliveryEvent) and each.terminal)
            return asked <= ended

        try:
            eventually(over, within_s=DRAINED_WITHIN_S)
        except AssertionError:
            print(f"  {(asked - ended).total()} without an end after {DRAINED_WITHIN_S:g} s", flush=True)
