"""One owned partition of a send topic: its journal, and the messages that wait in it."""

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from heapq import heappop, heappush
from typing import Final, TypeVar

from processor.core.words import Lane
from processor.kafka.journal import METADATA_MAX, METADATA_STOP, Journal
from processor.kafka.transactions import Commit
from processor.stages.dispatch.calls import Start

T = TypeVar("T")

HELD_S: Final = 2.0
"""A paused partition takes up to 0.9 s to deliver again, and is resumed when half of this is left."""
HELD_MIN: Final = 500
HELD_MAX: Final = 8_000
HELD_BYTES_MAX: Final = 8_388_608
LEAD_MS: Final = 40
"""
A start is committed this long before its message is due; its call is timed exactly.

That is two ticks of a loaded machine: the one under way when it comes up, and its own. With 10 half of all were
19 ms late and more, with 40 half are 3 to 6 (`bench.lateness` of two minutes, in turns).
"""


@dataclass(slots=True)
class SendPartition:
    """
    What a dispatch loop knows of a partition.

    *waiting* may go now, in offset order; *later* is a heap by due instant of what is not due yet
    (less than the shortest tier ahead). *dirty*: the journal has changed without a start or result.
    """

    provider: str
    lane: Lane
    journal: Journal
    waiting: deque[Start] = field(default_factory=deque)
    later: list[tuple[int, int, Start]] = field(default_factory=list)
    size_bytes: int = 0
    dirty: bool = False
    full: bool = False  # the metadata has come near its limit
    untrimmed: bool = False  # new: nothing is called before its log start has moved, see journal_lost
    asked: int = 0  # of those that wait, from the first on: they cannot turn to another provider
    taken: int = 0  # since the last flow check, to tell the present rate
    rate_per_s: float = 0.0

    def add(self, start: Start, now_ms: int) -> None:
        """Keep a message until it is admitted."""
        self.size_bytes += len(start.record.value or b"")
        if start.facts.due_at_ms - LEAD_MS <= now_ms:
            self.waiting.append(start)
        else:
            heappush(self.later, (start.facts.due_at_ms, start.record.offset, start))

    def ripen(self, now_ms: int) -> None:
        """Move what has come due behind what waits."""
        while self.later and self.later[0][0] - LEAD_MS <= now_ms:
            self.waiting.append(heappop(self.later)[2])

    def take(self) -> Start:
        """Remove and return the first message that may go."""
        start = self.waiting.popleft()
        self.size_bytes -= len(start.record.value or b"")
        self.taken += 1
        self.asked = max(0, self.asked - 1)
        return start

    def moved_by(self, move: Callable[[Start], T | None], most: int) -> list[T]:
        """
        Remove up to *most* that *move* moves elsewhere, and return what it makes of them.

        Each message that waits is asked once, the oldest first.
        """
        done: list[T] = []
        unasked = len(self.waiting) - self.asked
        if not unasked or most <= 0:
            return done
        self.waiting.rotate(-self.asked)
        for _ in range(unasked):
            if len(done) == most:
                break
            start = self.waiting.popleft()
            moved = move(start)
            if moved is None:
                self.waiting.append(start)
                self.asked += 1
            else:
                done.append(moved)
                self.size_bytes -= len(start.record.value or b"")
        self.waiting.rotate(self.asked)
        return done

    def give_back(self, starts: list[Start]) -> None:
        """Return what was taken in a tick that came to nothing."""
        self.waiting.extendleft(reversed(starts))
        self.asked += len(starts)
        self.size_bytes += sum(len(start.record.value or b"") for start in starts)

    def open_for(self) -> int:
        """Return how many messages may be admitted now."""
        return 0 if self.full or self.untrimmed else len(self.waiting)

    def commit(self) -> Commit | None:
        """Return the commit of the journal as it stands, or None where its metadata would not fit."""
        mark = self.journal.next_mark()
        metadata = self.journal.metadata(mark)
        self.full = len(metadata) > METADATA_STOP
        return None if len(metadata) > METADATA_MAX else Commit(mark, metadata)

    def holds_enough(self) -> bool:
        """Tell whether enough work at the present rate is here."""
        return self._held() >= self._enough() or self.size_bytes >= HELD_BYTES_MAX

    def brims(self) -> bool:
        """Tell whether nothing more may be read, whatever the rate: what came is not started for now."""
        return self._held() >= HELD_MAX or self.size_bytes >= HELD_BYTES_MAX

    def wants_more(self) -> bool:
        """Tell whether half of that has gone."""
        return self._held() < self._enough() / 2 and self.size_bytes < HELD_BYTES_MAX / 2

    def _held(self) -> int:
        return len(self.waiting) + len(self.later)

    def _enough(self) -> float:
        return min(HELD_MAX, max(HELD_MIN, self.rate_per_s * HELD_S))

    def oldest_ms(self) -> int | None:
        """Return since when the oldest message that may go has been allowed to."""
        return self.waiting[0].facts.due_at_ms if self.waiting else None
