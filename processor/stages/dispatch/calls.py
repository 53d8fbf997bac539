"""What passes between the tick loop and the calls."""

from collections.abc import Callable
from typing import Final, NamedTuple

from processor.codec.errors import Unreadable
from processor.core.message import Facts, Head
from processor.core.outcome import Outcome
from processor.core.verdict import End, Wait
from processor.core.words import Lane, Reason
from processor.stages.record import Record

LEASE_S: Final = 1.0


class Start(NamedTuple):
    """A message that is admitted: its start is committed before its call begins."""

    record: Record
    facts: Facts
    provider: str
    lane: Lane


class Answered(NamedTuple):
    """A call that ended."""

    start: Start
    head: Head
    outcome: Outcome
    called_at_ms: int
    began_s: float  # of the monotonic clock
    took_s: float
    missing: tuple[int, ...] = ()  # suppressed recipients that it went without, by index


class Withdrawn(NamedTuple):
    """A start that was not called: what the last judgement said, or None where we are leaving."""

    start: Start
    head: Head | None
    verdict: Wait | End | None


class Refused(NamedTuple):
    """A start whose content nobody can read, or at which we have a defect; not called."""

    start: Start
    head: Head | None
    reason: Reason
    error: Unreadable | None


Result = Answered | Withdrawn | Refused


class Lease:
    """
    How long a committed tick entitles to begin calls.

    A tick that was committed proves that we were a member after it began. A process that freezes
    wakes up with an old lease and begins nothing until another tick is committed; the clock is
    monotonic and goes on while a process is stopped.
    """

    def __init__(self, monotonic_s: Callable[[], float]) -> None:
        """Begin without a lease."""
        self._monotonic_s = monotonic_s
        self._from_s = float("-inf")

    def renew(self, from_s: float) -> None:
        """Take a lease from the instant at which a committed tick began."""
        self._from_s = max(self._from_s, from_s)

    def age_s(self) -> float:
        """Return how old the lease is."""
        return self._monotonic_s() - self._from_s

    def holds(self) -> bool:
        """Tell whether a call may begin."""
        return self.age_s() <= LEASE_S
