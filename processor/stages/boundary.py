"""The one place that catches a defect at a record, and stops the process when there are too many."""

from collections import deque
from collections.abc import Callable
from typing import Final, TypeVar

from processor.codec.errors import RegistryUnavailable
from processor.core.clock import Clock
from processor.kafka.transactions import Fenced
from processor.logs import logger
from processor.metrics import INTERNAL_ERRORS
from processor.stages.record import Record

log = logger()
T = TypeVar("T")

PER_MINUTE_MAX: Final = 20
_MINUTE_S: Final = 60.0


class Undecided(Exception):
    """A record that cannot be decided for now: it is held, and taken again."""


class TooManyErrors(Exception):
    """Records fail one after the other: the fault is ours, and not theirs."""


class Boundary:
    """
    Runs a step on one record; a defect becomes the fallback's result.

    More than *per_minute_max* of them in a minute stop the process: a bad release must not
    dead-letter a backlog.
    """

    def __init__(self, stage: str, clock: Clock, per_minute_max: int = PER_MINUTE_MAX) -> None:
        """Count the defects of *stage*."""
        self._most = per_minute_max
        self._stage = stage
        self._clock = clock
        self._caught: deque[float] = deque(maxlen=per_minute_max + 1)

    def run(self, step: Callable[[Record], T], record: Record, fallback: Callable[[Record], T]) -> T:
        """Return what *step* makes of *record*, or what *fallback* does where it raises what no one expects."""
        try:
            return step(record)
        except (Fenced, RegistryUnavailable, TooManyErrors, Undecided):
            raise
        except Exception as bug:  # noqa: BLE001 - the only one
            self.caught(bug, at=record.at)
            return fallback(record)

    def caught(self, bug: BaseException, *, at: str) -> None:
        """Count a defect; raises `TooManyErrors` where it is one too many."""
        # Class and place only: the text may hold a body.
        log.error("record.failed", stage=self._stage, at=at, error=bug)
        INTERNAL_ERRORS.labels(self._stage).inc()
        now_s = self._clock.monotonic_s()
        self._caught.append(now_s)
        if len(self._caught) > self._most and now_s - self._caught[0] < _MINUTE_S:
            raise TooManyErrors(self._stage) from bug
