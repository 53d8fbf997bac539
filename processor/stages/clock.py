"""The clock of a running process."""

import time


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
