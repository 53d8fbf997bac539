"""Lanes: a channel's own wins over the priority that its messages claim."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from processor.core.lanes import BY_URGENCY, claims_more, delay_class, lane_of, lanes_reached
from processor.core.plan import LaneSplit
from processor.core.words import DelayClass, Lane
from tests.core.worlds import channel, plan

SPLITS = st.builds(LaneSplit, express=st.integers(0, 10), high=st.integers(0, 10), normal=st.integers(0, 10))


@pytest.mark.parametrize(
    ("priority", "lane"),
    [
        (9, Lane.EXPRESS),
        (8, Lane.HIGH),
        (6, Lane.HIGH),
        (5, Lane.NORMAL),
        (4, Lane.NORMAL),
        (3, Lane.NORMAL),
        (2, Lane.BULK),
        (0, Lane.BULK),
    ],
)
def test_nine_is_the_most_urgent_and_four_is_normal(priority: int, lane: Lane) -> None:
    assert lane_of(priority, channel(), LaneSplit()) is lane


@given(st.integers(0, 9), st.sampled_from(Lane), SPLITS)
def test_a_channels_own_lane_wins(priority: int, lane: Lane, split: LaneSplit) -> None:
    assert lane_of(priority, replace(channel(), lane=lane), split) is lane


@given(st.integers(0, 8), SPLITS)
def test_a_higher_priority_is_never_a_less_urgent_lane(priority: int, split: LaneSplit) -> None:
    lanes = [BY_URGENCY.index(lane_of(p, channel(), split)) for p in (priority, priority + 1)]

    assert lanes == sorted(lanes, reverse=True)


def test_a_message_claims_more_only_where_its_channel_holds_it_back() -> None:
    bulk, express = (replace(channel(), lane=lane) for lane in (Lane.BULK, Lane.EXPRESS))

    assert claims_more(9, bulk, LaneSplit())
    assert not claims_more(0, bulk, LaneSplit())
    assert not claims_more(9, express, LaneSplit())
    assert not claims_more(0, express, LaneSplit())
    assert not claims_more(9, channel(), LaneSplit())


def test_a_provider_has_the_lanes_that_its_channels_can_reach() -> None:
    passwords = replace(channel(), code="EmailOTP", lane=Lane.EXPRESS, provider="elsewhere", providers=("elsewhere",))
    campaign = replace(channel(), code="News", lane=Lane.BULK, provider="second", providers=("second", "elsewhere"))
    world = replace(plan(replace(channel(), providers=("first",))), lanes=LaneSplit(express=10, high=6, normal=0))
    world = replace(world, channels={**world.channels, "EmailOTP": passwords, "News": campaign})

    assert lanes_reached(world) == {
        "first": (Lane.HIGH, Lane.NORMAL),
        "second": (Lane.BULK,),
        "elsewhere": (Lane.EXPRESS, Lane.BULK),
    }


def test_a_provider_that_no_channel_names_is_reached_by_none() -> None:
    assert lanes_reached(plan())["elsewhere"] == ()


@given(st.integers(0, 9), SPLITS)
def test_every_lane_a_message_can_get_is_among_those_its_provider_has(priority: int, split: LaneSplit) -> None:
    world = replace(plan(), lanes=split)

    assert lane_of(priority, world.channels["Email"], split) in lanes_reached(world)["first"]


def test_express_and_high_wait_apart_from_the_rest() -> None:
    assert [delay_class(lane) for lane in BY_URGENCY] == [*[DelayClass.URGENT] * 2, *[DelayClass.REST] * 2]
