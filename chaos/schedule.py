"""When which fault happens: a pure function of a seed, so that a run can be repeated."""

from __future__ import annotations

from dataclasses import dataclass
from random import Random
from typing import TYPE_CHECKING, Final

from chaos.faults import FAULTS

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

BEFORE_S: Final = 3.0
"""Load without a fault, so that there is something to disturb."""

PAUSE_S: Final = (1.0, 8.0)
"""Between two faults of one target."""


@dataclass(frozen=True, slots=True)
class Planned:
    """A fault that will happen."""

    at_s: float
    name: str
    lasts_s: float
    seed: int  # of what it draws itself


def alone(name: str, seed: int) -> list[Planned]:
    """Return one fault, after a while, and again where it strikes one of many."""
    chance = Random(f"{seed}/{name}")
    found: list[Planned] = []
    at_s = BEFORE_S
    for _ in range(FAULTS[name].strikes):
        found.append(_planned(name, at_s, chance))
        at_s += found[-1].lasts_s + PAUSE_S[0]
    return found


def mixed(names: Iterable[str], seed: int, within_s: float, *, from_s: float = BEFORE_S) -> list[Planned]:
    """
    Return faults that begin between two times, one at a time for each target and in an order that is drawn.

    All of a target come once before any comes again: of faults that are drawn by themselves, a mix leaves out many.
    """
    chance = Random(seed)
    by_target: dict[str, list[str]] = {}
    for name in names:
        by_target.setdefault(FAULTS[name].target, []).append(name)
    return sorted(
        (each for group in by_target.values() for each in _in_turn(group, chance, from_s, within_s)),
        key=lambda each: each.at_s,
    )


def _in_turn(names: Sequence[str], chance: Random, from_s: float, within_s: float) -> list[Planned]:
    found: list[Planned] = []
    bag: list[str] = []
    at_s = from_s + chance.uniform(*PAUSE_S)
    while at_s < within_s:
        bag = bag or chance.sample(names, len(names))
        found.append(_planned(bag.pop(), at_s, chance))
        at_s += found[-1].lasts_s + chance.uniform(*PAUSE_S)
    return found


def _planned(name: str, at_s: float, chance: Random) -> Planned:
    return Planned(round(at_s, 1), name, round(chance.uniform(*FAULTS[name].lasts_s), 1), chance.randrange(1 << 32))


def due_now(coming: Iterable[Planned], under_way: Iterable[Planned], now_s: float) -> list[Planned]:
    """Return what of *coming* may begin: its time has come, and the fault before it at the same target is healed."""
    struck = {FAULTS[each.name].target for each in under_way}
    return [each for each in coming if each.at_s <= now_s and FAULTS[each.name].target not in struck]
