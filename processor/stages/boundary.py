"""The one place that catches a defect at a record, and stops the process when there are too many."""

from collections import deque
from collections.abc import Callable
from typing import Final, TypeVar

from processor.codec.errors import RegistryUnavailable
from processor.core.clock import Clock
from processor.kafka.transactions import Fenced
from processor.logs import logger
from processor.metrics import INTERNAL_ERRORS

log = logger()
T = TypeVar("T")

PER_MINUTE_MAX: Final = 20
"""More defects than this in a minute stop the process: a bad release must not dead-letter a backlog."""


class TooManyErrors(Exception):
    """Records fail one after the other: the fault is ours, and not theirs."""


class Boundary:
    """Runs a step on one record; a defect becomes the fallback's result."""

    def __init__(self, stage: str, clock: Clock) -> None:
        """Count the defects of *stage*."""
        self._stage = stage
        self._clock = clock
        self._caught: deque[float] = deque(maxlen=PER_MINUTE_MAX)

    def run(self, step: Callable[[], T], fallback: Callable[[], T], *, at: str) -> T:
        """Return what *step* returns, or what *fallback* does where it raises what no one expects."""
        try:
            return step()
        except (Fenced, RegistryUnavailable, TooManyErrors):
            raise
        except Exception as bug:  # noqa: BLE001 - the only one
            self.caught(bug, at=at)
            return fallback()

    def caught(self, bug: BaseException, *, at: str) -> None:
        """Count a defect; raises `TooManyErrors` where it is one too many."""
        # Class and place only: the text may hold a body.
        log.error("record.failed", stage=self._stage, at=at, error=bug)
        INTERNAL_ERRORS.labels(self._stage).inc()
        now_s = self._clock.monotonic_s()
        self._caught.append(now_s)
        if len(self._caught) == PER_MINUTE_MAX and now_s - self._caught[0] < 60:  # noqa: PLR2004 - a minute
            raise TooManyErrors(self._stage) from bug
