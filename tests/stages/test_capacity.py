"""A provider's slots and its rate, divided between express and the other lanes, and among instances."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from processor.core.words import Lane
from processor.stages.dispatch.capacity import Rate, Slots, slots_of
from tests.core.worlds import plan

PROVIDER = replace(plan().providers["first"], rate_per_s=100.0, express_share=0.2, concurrency=20)
ALL = tuple(Lane)
STEP_S = 0.05


def taken(rate: Rate, *, express: bool, want: int, seconds: float, from_s: float = 0.0) -> int:
    """How many calls may begin in so many seconds, when as many are wanted all the time."""
    steps = round(seconds / STEP_S)
    return sum(rate.take(want, express=express, now_s=from_s + (step + 1) * STEP_S) for step in range(steps))


def owning(*, express: int, rest: int, total: int = 4) -> Rate:
    rate = Rate(PROVIDER, ALL, 0.0)
    rate.own(express=True, owned=express, total=total, now_s=0.0)
    rate.own(express=False, owned=rest, total=total, now_s=0.0)
    return rate


@pytest.mark.parametrize(
    ("lanes", "slots"),
    [
        (ALL, Slots(4, 16)),
        ((Lane.NORMAL, Lane.BULK), Slots(0, 20)),
        ((Lane.EXPRESS,), Slots(20, 0)),
    ],
)
def test_express_has_slots_of_its_own_where_other_lanes_are_reached(lanes: tuple[Lane, ...], slots: Slots) -> None:
    assert slots_of(PROVIDER, lanes) == slots


def test_express_keeps_its_share_of_the_rate_however_much_else_waits() -> None:
    rate = owning(express=4, rest=4)
    express = rest = 0
    for step in range(1, 201):
        rest += rate.take(1_000, express=False, now_s=step * STEP_S)
        express += rate.take(1_000, express=True, now_s=step * STEP_S)

    assert 195 <= express <= 202  # a fifth of 100 a second, for ten seconds
    assert express + rest <= 1_000 + 10


def test_what_express_leaves_unused_the_others_take_and_no_more() -> None:
    used = taken(owning(express=4, rest=4), express=False, want=1_000, seconds=10)

    assert 990 <= used <= 1_000 + 10  # 800 are its own; a full bucket stays with express


def test_express_may_have_the_whole_rate_where_nothing_else_waits() -> None:
    used = taken(owning(express=4, rest=4), express=True, want=1_000, seconds=10)

    assert 990 <= used <= 1_000 + 10  # 200 are its own


@given(st.lists(st.tuples(st.integers(0, 4), st.integers(0, 4)), min_size=1, max_size=6))
def test_the_parts_of_all_instances_never_exceed_the_rate(parts: list[tuple[int, int]]) -> None:
    total = (max(1, sum(part[0] for part in parts)), max(1, sum(part[1] for part in parts)))
    began = 0
    for express, rest in parts:
        rate = Rate(PROVIDER, ALL, 0.0)
        rate.own(express=True, owned=express, total=total[0], now_s=0.0)
        rate.own(express=False, owned=rest, total=total[1], now_s=0.0)
        began += taken(rate, express=True, want=1_000, seconds=5)
        began += taken(rate, express=False, want=1_000, seconds=5)

    assert began <= 5 * 100 + 2 * len(parts) + 10  # and a whole token, or a tenth of a second's worth, for each bucket


def test_a_partition_that_comes_brings_no_tokens() -> None:
    rate = owning(express=0, rest=1)
    rate.take(1_000, express=False, now_s=60.0)
    rate.own(express=False, owned=4, total=4, now_s=60.0)

    assert rate.take(1_000, express=False, now_s=60.0) == 0
