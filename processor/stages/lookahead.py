"""The records of one partition that were read and may not be forwarded yet."""

from collections import deque
from dataclasses import dataclass, field
from typing import Final

from processor.stages.record import Record

RECORDS_MAX: Final = 10_000
# A paused partition takes 0.3 to 0.9 s to deliver again, so it is resumed this long before it has to.
RESUME_AHEAD_MS: Final = 2_000
# Nearer than this, a pause would cost more than it saves.
PAUSE_BEYOND_MS: Final = 5_000
_ALWAYS: Final = (1 << 63) - 1  # the last timestamp that a record can have


@dataclass(slots=True)
class Lookahead:
    """
    A queue in due order: the records of a tier all wait the same time, so only its head counts.

    *next_offset* is the first offset that has not been forwarded, *read_to* the first that has not been read.
    """

    wait_ms: int | None  # after the record's timestamp; None: no wait, whatever a producer's timestamp says
    bytes_max: int
    next_offset: int
    read_to: int = 0
    records: deque[Record] = field(default_factory=deque)
    size_bytes: int = 0
    held_until_ms: int = 0  # what could not be decided is tried again then

    def add(self, record: Record) -> None:
        """Queue a record behind the others."""
        self.records.append(record)
        self.read_to = record.offset + 1
        self.size_bytes += _size(record)

    def head_ready_ms(self) -> int | None:
        """Return when the oldest record may be forwarded."""
        if not self.records:
            return None
        return max(self.held_until_ms, 0 if self.wait_ms is None else self.records[0].timestamp_ms + self.wait_ms)

    def take(self, now_ms: int, most: int) -> list[Record]:
        """Remove and return up to *most* records that are ready."""
        ready: list[Record] = []
        if now_ms < self.held_until_ms:
            return ready
        records, latest = self.records, _ALWAYS if self.wait_ms is None else now_ms - self.wait_ms
        while records and len(ready) < most and records[0].timestamp_ms <= latest:
            ready.append(records.popleft())
        self.size_bytes -= sum(map(_size, ready))
        return ready

    def put_back(self, records: list[Record], until_ms: int) -> None:
        """Return the youngest of what was taken, to be taken again from *until_ms* on."""
        self.records.extendleft(reversed(records))
        self.size_bytes += sum(map(_size, records))
        self.held_until_ms = until_ms

    @property
    def full(self) -> bool:
        """Tell whether nothing more should be read."""
        return self._is_beyond(1.0)

    @property
    def brims(self) -> bool:
        """Tell whether nothing more may be read, whatever it makes late: what came is not forwarded for now."""
        return self._is_beyond(2.0)

    def _is_beyond(self, times: float) -> bool:
        return len(self.records) >= times * RECORDS_MAX or self.size_bytes >= times * self.bytes_max

    def wants_pause(self, now_ms: int) -> bool:
        """Tell whether fetching can stop for seconds without making anything late, or has to."""
        ready_ms = self.head_ready_ms()
        return self.brims or (self.full and ready_ms is not None and ready_ms - now_ms > PAUSE_BEYOND_MS)

    def wants_more(self, now_ms: int) -> bool:
        """Tell whether a paused partition must deliver again, and may."""
        ready_ms = self.head_ready_ms()
        return ready_ms is None or (ready_ms - now_ms < RESUME_AHEAD_MS and not self._is_beyond(1.5))


def _size(record: Record) -> int:
    """
    Return the bytes of a record's key and value.

    Its headers are not looked at: a name that is no UTF-8 raises in the client library, and whoever asks again may get
    what it had half made.
    """
    return len(record.value or b"") + len(record.key or b"")
