"""What waits for a provider and what is under way there; used in the event loop's thread only."""

from collections import deque
from math import inf
from typing import TYPE_CHECKING, NamedTuple

from processor.core.message import Message
from processor.core.plan import Provider
from processor.providers.adapter import Adapter
from processor.stages.dispatch.calls import Start
from processor.stages.dispatch.stopping import Missing

if TYPE_CHECKING:
    import asyncio


class Line:
    """The queue of one provider, and its slots; used in the event loop's thread only."""

    def __init__(self, provider: Provider, adapter: Adapter, slots: int) -> None:
        """Begin empty."""
        self.provider = provider
        self.adapter = adapter
        self.slots = slots
        self.queue: deque[Start] = deque()
        self.in_flight = 0
        self.asleep = False  # a wake-up is scheduled
        self.asleep_until_s = 0.0  # of the event loop's clock


class Due(NamedTuple):
    """A message that may go now."""

    start: Start
    message: Message
    missing: Missing  # suppressed recipients that it goes without
    until_s: float  # of the monotonic clock: then it may go no more


Batch = list[Due]


class Worker:
    """A task that makes one call of a line after the other; most calls cost no task of their own."""

    __slots__ = ("batch", "line", "stepped", "task", "until_s")

    def __init__(self, line: Line, batch: Batch) -> None:
        """Begin with the call that carries *batch*."""
        self.line = line
        self.batch = batch
        self.until_s = inf  # when the call under way has taken too long
        self.stepped = False
        self.task: asyncio.Task[None] | None = None
