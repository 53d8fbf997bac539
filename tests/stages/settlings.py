"""What settles results, put together as a dispatch loop has it."""

from __future__ import annotations

import random
from typing import TYPE_CHECKING, Final

from processor.codec.facts import encode_facts
from processor.kafka.topics import Names
from processor.stages.clock import SystemClock
from processor.stages.dispatch.settling import Settling
from processor.stages.publish import Publisher
from processor.stages.routes import Routes
from tests.core.worlds import plan, zones

if TYPE_CHECKING:
    from processor.codec.assembly import Codecs

NAMES: Final = Names()


def settling(codecs: Codecs) -> Settling:
    """Return what settles results of the plan of these tests."""
    clock, world = SystemClock(), plan()
    return Settling(
        plan=world,
        codec=codecs.outbound,
        publisher=Publisher(world, NAMES, codecs.events, clock.now_ms),
        routes=Routes(NAMES, {}, encode_facts, clock.now_ms),
        clock=clock,
        zones=zones,
        chance=random.Random(1),
    )
