"""One drill: load, faults as planned, healing, the time until nothing is left, and what the three ledgers say."""

from __future__ import annotations

import time
from collections import Counter
from dataclasses import dataclass, field
from random import Random
from typing import TYPE_CHECKING, Final, NamedTuple

from chaos.checks import Findings, findings
from chaos.faults import FAULTS, NOTHING
from chaos.load import Load
from chaos.opens import Opens
from chaos.samples import BURST, REST_S, Course, Samples
from chaos.schedule import BEFORE_S, due_now
from chaos.strikes import Strike, unmet
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


class UnderWay(NamedTuple):
    """A fault that has struck and is to be healed."""

    until_s: float
    at_s: float
    planned: Planned
    whom: str
    context: AbstractContextManager[str]
    before: float  # what has to move, as it struck


@dataclass(slots=True)
class Drill:
    """What is to happen, and what did."""

    name: str
    plan: Sequence[Planned]
    seed: int
    rate_per_s: float
    lasts_s: float = 0.0  # at least
    is_long: bool = False  # enough to tell growth from what comes and goes
    strikes: list[Strike] = field(default_factory=list)

    @property
    def is_certain(self) -> bool:
        """Tell whether nothing of it may bring a call into doubt."""
        return all(FAULTS[each.name].doubt is NOTHING for each in self.plan)

    def run(self, works: Works) -> Findings:
        """Return what came of it."""
        at_once = BURST if self.is_long else 0
        load = Load(works.plant, Random(f"{self.seed}/{self.name}/load"), self.name, self.rate_per_s, at_once)
        opens = Opens(works.plant, self.name)
        works.plant.asked = {}
        works.drawn.clear()
        works.load, works.opens = load, opens
        with Samples(works.plant.processes) as samples:
            struck_s = samples.now_s() + min((each.at_s for each in self.plan), default=0.0)
            for each in (load, opens):
                each.start()
            try:
                self._happen(works)
            finally:  # also where a fault cannot be healed: then the run ends here
                for thread in (load, opens):
                    thread.stop()
            healed_s = samples.now_s()
            works.asked |= works.plant.asked
            self._drain(works)
            course = Course(struck_s, healed_s, samples.now_s())
            if self.is_long:
                time.sleep(REST_S)  # is what is measured
        found = findings(
            self.name,
            works.plant,
            load,
            opens,
            drain_s=course.done_s - course.healed_s,
            steps=works.steps,
            held=works.held,
            is_certain=self.is_certain,
        )
        if self.is_long:
            samples.keep(works.folder / f"{self.name}.samples.tsv")
            found.growth = {name: tuple(each) for name, each in samples.growth(course).items()}
            if grown := samples.grown({f"{stage}/{slot}" for stage, slot in works.watched}, course):
                found.breaches["grown"] = Line(len(grown), len(grown), grown)
        if missed := unmet(self.strikes):
            found.breaches["did not strike"] = Line(len(missed), len(missed), missed)
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
        under_way: list[UnderWay] = []
        until_s = max(self.lasts_s, BEFORE_S)
        while coming or under_way or time.monotonic() - began_s < until_s:
            now_s = time.monotonic() - began_s
            if under_way and under_way[0].until_s <= now_s:
                self._heal(works, under_way.pop(0), began_s)
                until_s = max(until_s, time.monotonic() - began_s + AFTER_S)
            elif due := due_now(coming, [each.planned for each in under_way], now_s):
                coming.remove(due[0])
                under_way.append(_struck(works, due[0], began_s))
                under_way.sort(key=lambda each: each.until_s)
            else:
                works.pick_up()
                time.sleep(0.02)

    def _heal(self, works: Works, each: UnderWay, began_s: float) -> None:
        fault = FAULTS[each.planned.name]
        moved = fault.moved(works) - each.before if fault.moved else None
        each.context.__exit__(None, None, None)
        self.strikes.append(Strike(each.planned.name, each.at_s, each.whom, each.planned.lasts_s, moved))
        _tell(began_s, each.planned, "healed" if self.strikes[-1].is_met else "healed; NOTHING SHOWS THAT IT STRUCK")

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


def _struck(works: Works, planned: Planned, began_s: float) -> UnderWay:
    fault = FAULTS[planned.name]
    before = fault.moved(works) if fault.moved else 0
    context = fault.happens(works, Random(planned.seed))
    whom = context.__enter__()
    _tell(began_s, planned, f"strikes {whom} for {planned.lasts_s} s")
    now_s = time.monotonic() - began_s
    return UnderWay(now_s + planned.lasts_s, round(now_s, 1), planned, whom, context, before)


def _tell(began_s: float, planned: Planned, what: str) -> None:
    print(f"  {time.monotonic() - began_s:6.1f} s  {planned.name} {what}", flush=True)
