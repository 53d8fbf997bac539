"""The clock of a running process."""

import time
from pathlib import Path
from typing import Final

from processor.logs import logger
from processor.metrics import CLOCK_OFFSET

log = logger()

_LOOK_EVERY_S: Final = 0.5


class SystemClock:
    """Reads the machine's clocks, shifted by *offset_ms* where a test or drill asks for it."""

    def __init__(self, offset_ms: int = 0) -> None:
        """Shift the wall clock only: durations stay true."""
        self._offset_ms = offset_ms

    def now_ms(self) -> int:
        """Return Unix milliseconds."""
        return time.time_ns() // 1_000_000 + self._offset_ms

    def monotonic_s(self) -> float:
        """Return seconds that never run backwards."""
        return time.monotonic()


class DrillClock(SystemClock):
    """
    A clock whose wall time is stepped while the process runs, as a wrong time server does: for drills only.

    The offset in milliseconds stands in a file, at which whoever asks for the time looks now and then. A file that is
    not there, or says anything else, is no offset: a drill that ends without tidying up leaves the clock right.
    """

    def __init__(self, path: Path) -> None:
        """Follow the file *path*."""
        super().__init__()
        self._path = path
        self._look_at_s = 0.0

    def now_ms(self) -> int:
        """Return Unix milliseconds, and what the file adds."""
        now_s = time.monotonic()
        if now_s >= self._look_at_s:
            self._look_at_s = now_s + _LOOK_EVERY_S
            self._step(self._read())
        return super().now_ms()

    def _read(self) -> int:
        try:
            return int(self._path.read_text(encoding="ascii"))
        except (OSError, ValueError):
            return 0

    def _step(self, offset_ms: int) -> None:
        if offset_ms != self._offset_ms:
            self._offset_ms = offset_ms
            CLOCK_OFFSET.set(offset_ms / 1_000)
            log.warning("clock.stepped", offset_ms=offset_ms)
