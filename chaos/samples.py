"""Memory and descriptors of the members over a long drill (Linux), and how they grow."""

from __future__ import annotations

import threading
import time
from collections import defaultdict
from dataclasses import dataclass, field
from pathlib import Path
from statistics import linear_regression
from typing import TYPE_CHECKING, Final, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Mapping

    from processor.sandbox.child import Child

EVERY_S: Final = 2.0
PAGE_KIB: Final = 4
LEAST: Final = 30
"""Samples of one process in the second half, without which a slope says nothing."""


class Sample(NamedTuple):
    """What one process held at one moment."""

    at_s: float
    memory_kib: int
    files: int


LEAST_MIN: Final = 10.0
"""A second half so long tells growth from what comes and goes with each fault."""

MEMORY_KIB_PER_MIN_MAX: Final = 1_024.0
FILES_PER_MIN_MAX: Final = 1.0


class Growth(NamedTuple):
    """How a process grew over the second half of a drill, by least squares."""

    memory_kib: int  # at the end
    memory_kib_per_min: float
    files: int
    files_per_min: float

    @property
    def is_flat(self) -> bool:
        """Tell whether it grew by no more than is allowed."""
        return self.memory_kib_per_min <= MEMORY_KIB_PER_MIN_MAX and self.files_per_min <= FILES_PER_MIN_MAX


@dataclass(slots=True)
class Samples:
    """A thread that looks at every process."""

    processes: Mapping[str, Child]
    taken: dict[tuple[str, int], list[Sample]] = field(default_factory=lambda: defaultdict(list))
    _began_s: float = field(default_factory=time.monotonic)
    _stop: threading.Event = field(default_factory=threading.Event)
    _thread: threading.Thread | None = None

    def start(self) -> None:
        """Begin to look."""
        self._thread = threading.Thread(target=self._run, name="samples", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """Look no more."""
        self._stop.set()
        assert self._thread is not None
        self._thread.join()

    def growth(self) -> dict[str, Growth]:
        """Return how each process grew that was there during most of the second half."""
        half_s = (time.monotonic() - self._began_s) / 2
        late = {key: [each for each in taken if each.at_s > half_s] for key, taken in self.taken.items()}
        return {name: _growth(samples) for (name, _), samples in sorted(late.items()) if len(samples) >= LEAST}

    def grown(self) -> list[str]:
        """Return which processes were not flat, of those that were there for long enough: a young one grows."""
        old = {name for (name, _), taken in self.taken.items() if taken[-1].at_s - taken[0].at_s >= 2 * LEAST_MIN * 60}
        return [f"{name}: {growth}" for name, growth in self.growth().items() if name in old and not growth.is_flat]

    def _run(self) -> None:
        while not self._stop.wait(EVERY_S):
            for name, child in list(self.processes.items()):
                home = Path(f"/proc/{child.pid}")
                try:
                    pages = int((home / "statm").read_text(encoding="ascii").split()[1])
                    files = sum(1 for _ in (home / "fd").iterdir())
                except (OSError, IndexError):  # it is over
                    continue
                at_s = time.monotonic() - self._began_s
                self.taken[name, child.pid].append(Sample(at_s, pages * PAGE_KIB, files))


def _growth(samples: list[Sample]) -> Growth:
    memory, _ = linear_regression([each.at_s / 60 for each in samples], [each.memory_kib for each in samples])
    least: dict[int, int] = {}  # of each minute: connections come and go with the faults, and what leaks stays
    for each in samples:
        minute = int(each.at_s // 60)
        least[minute] = min(each.files, least.get(minute, each.files))
    files = linear_regression(list(least), list(least.values()))[0] if len(least) > 1 else 0.0
    return Growth(samples[-1].memory_kib, round(memory, 1), samples[-1].files, round(files, 2))
