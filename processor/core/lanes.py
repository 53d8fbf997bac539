"""Which lane a message travels in, and which lanes a provider needs topics for."""

from collections.abc import Mapping
from typing import Final

from processor.core.plan import Channel, LaneSplit, Plan
from processor.core.words import DelayClass, Lane

PRIORITY_MAX: Final = 9
"""The most urgent; 0 is the least and 4 the default, as in JMS (`Message.setJMSPriority`)."""

PRIORITIES: Final = range(PRIORITY_MAX + 1)

BY_URGENCY: Final = (Lane.EXPRESS, Lane.HIGH, Lane.NORMAL, Lane.BULK)

DELAY_CLASSES: Final[Mapping[Lane, DelayClass]] = {
    Lane.EXPRESS: DelayClass.URGENT,
    Lane.HIGH: DelayClass.URGENT,
    Lane.NORMAL: DelayClass.REST,
    Lane.BULK: DelayClass.REST,
}


def lane_of(priority: int, channel: Channel, split: LaneSplit) -> Lane:
    """Return the lane of a message: its channel's own where it names one, else that of *priority*, 0 to 9."""
    return channel.lane or _lane_of_priority(priority, split)


def claims_more(priority: int, channel: Channel, split: LaneSplit) -> bool:
    """Tell whether *priority* alone would have been a more urgent lane than the one its channel names."""
    if channel.lane is None:
        return False
    return BY_URGENCY.index(_lane_of_priority(priority, split)) < BY_URGENCY.index(channel.lane)


def lanes_reached(plan: Plan) -> Mapping[str, tuple[Lane, ...]]:
    """Return, for each provider of *plan* by name, the lanes that its channels can reach, the most urgent first."""
    by_priority = {_lane_of_priority(priority, plan.lanes) for priority in PRIORITIES}
    reached: dict[str, set[Lane]] = {name: set() for name in plan.providers}
    for channel in plan.channels.values():
        for name in channel.providers:
            reached[name] |= by_priority if channel.lane is None else {channel.lane}
    return {name: tuple(lane for lane in BY_URGENCY if lane in lanes) for name, lanes in reached.items()}


def delay_class(lane: Lane) -> DelayClass:
    """Return the class of delay tiers in which messages of *lane* wait."""
    return DELAY_CLASSES[lane]


def _lane_of_priority(priority: int, split: LaneSplit) -> Lane:
    if priority >= split.express:
        return Lane.EXPRESS
    if priority >= split.high:
        return Lane.HIGH
    return Lane.NORMAL if priority >= split.normal else Lane.BULK
