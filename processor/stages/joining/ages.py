"""Which records of a partition are older than a given age, without remembering each."""

from collections import deque
from typing import Final

_GRAINS: Final = 20


class Ages:
    """
    Offsets below which records are over, once they are *patience_ms* old.

    Timestamps of a partition hardly run backwards; where they do, the latest one so far counts.
    """

    def __init__(self, patience_ms: int, since: int) -> None:
        """Begin at the offset *since*."""
        self.over = since
        self._patience_ms = patience_ms
        self._grain_ms = patience_ms // _GRAINS
        self._marks: deque[tuple[int, int]] = deque()  # offset, latest timestamp below it
        self._end = since
        self._latest_ms = 0

    def saw(self, offset: int, timestamp_ms: int) -> None:
        """Take note of a record; the partition's offsets ascend."""
        if timestamp_ms > self._latest_ms:
            if not self._marks or timestamp_ms - self._marks[-1][1] > self._grain_ms:
                self._marks.append((self._end, self._latest_ms))
            self._latest_ms = timestamp_ms
        self._end = offset + 1

    def advance(self, now_ms: int) -> int:
        """Return the offset below which every record is over by now."""
        past_ms = now_ms - self._patience_ms
        while self._marks and self._marks[0][1] <= past_ms:
            self.over = max(self.over, self._marks.popleft()[0])
        if self._latest_ms <= past_ms:
            self.over = max(self.over, self._end)
        return self.over
