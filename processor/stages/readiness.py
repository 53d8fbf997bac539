"""Says whether work is flowing: every loop is in its group, and Kafka answers."""

import threading
from collections.abc import Sequence
from types import TracebackType
from typing import Final, Protocol, Self

from processor.kafka.connection import Connection
from processor.kafka.counts import Counts
from processor.logs import logger
from processor.metrics import Health

log = logger()

_EVERY_S: Final = 0.5
_ANSWER_S: Final = 2.0
_STILL_S: Final = 10.0
"""A loop that waits for Kafka comes round between its tries; one that has not for this long does no work."""


class Joined(Protocol):
    """A loop that is a member of a group."""

    @property
    def joined(self) -> bool:
        """Tell whether its group has given it partitions, be it none."""
        ...


class Readiness:
    """
    A thread that keeps `Health` up to date until *stopping*.

    A broker that has gone is seen within seconds by asking for metadata; the loops' own clients would only
    say so once they have something to do.
    """

    def __init__(
        self, connection: Connection, topic: str, loops: Sequence[Joined], health: Health, stopping: threading.Event
    ) -> None:
        """Watch *loops*; Kafka is asked about *topic*."""
        self._topic = topic
        self._counts = Counts(connection, answer_s=_ANSWER_S)
        self._loops = loops
        self._health = health
        self._stopping = stopping
        self._thread = threading.Thread(target=self._run, name="readiness", daemon=True)

    def __enter__(self) -> Self:
        """Begin."""
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """End; the loops have."""
        self._stopping.set()
        self._thread.join()

    def _run(self) -> None:
        while not self._stopping.is_set():
            ready, why = self._judged()
            self._tell(ready=ready, why=why)
            self._health.set_ready(ready=ready, why=why)
            self._stopping.wait(_EVERY_S)
        self._health.set_ready(ready=False, why="stopping")
        log.info("process.stopping")

    def _tell(self, *, ready: bool, why: str) -> None:
        """Log a line where it changes."""
        if (ready, why) != self._health.ready():
            state = "ready" if ready else why.replace(" ", "-")
            (log.info if ready else log.warning)("process.ready" if ready else "process.not_ready", state=state)

    def _judged(self) -> tuple[bool, str]:
        if not self._counts.answered(self._topic):
            return False, "kafka away"
        if not all(loop.joined for loop in self._loops):
            return False, "joining"
        if max(self._health.beat_ages_s().values(), default=0.0) > _STILL_S:
            return False, "a loop stands still"
        return True, ""
