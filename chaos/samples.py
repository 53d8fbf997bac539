"""
Memory and descriptors of the members over a long drill (Linux), and whether they grow.

Members need the first third to reach their working size. Of the rest the last third is held against the first: memory
by the least that there was in each, for it comes in steps and is seldom given back; descriptors by the lower quartile.
But for sockets: how many are connected is up to the faults of these minutes. They are judged by the least that there
was in each half of the rest, which has moments in which all were cut, and only those are left that nobody closes.
"""

from __future__ import annotations

import threading
import time
from collections import defaultdict
from contextlib import suppress
from dataclasses import dataclass, field
from itertools import pairwise
from math import inf
from pathlib import Path
from statistics import quantiles
from typing import TYPE_CHECKING, Final, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping, Sequence

    from processor.sandbox.child import Child

EVERY_S: Final = 2.0
PAGE_KIB: Final = 4
MISSED_MAX_S: Final = 30.0
"""A process of which nothing is known for so long was not there all the time."""

LONG_MIN: Final = 20.0
"""A drill so long is judged: each third of what follows its first third meets every fault, more than once."""

MEMORY_KIB_MAX: Final = 4_096
FILES_MAX: Final = 5
"""Growth that is allowed, in all; quartiles of members that keep what they have differ by 4 at most."""


class Sample(NamedTuple):
    """What one process held at one moment."""

    at_s: float
    memory_kib: int
    sockets: int
    others: int  # descriptors of anything else


class Growth(NamedTuple):
    """What a process held in the end, and by how much that is more than after the first third of a drill."""

    memory_kib: int
    memory_kib_more: int
    memory_kib_per_min: float
    files: int
    files_more: int  # of sockets, or of others, whichever grew by more

    @property
    def is_flat(self) -> bool:
        """Tell whether it grew by no more than is allowed."""
        return self.memory_kib_more <= MEMORY_KIB_MAX and self.files_more <= FILES_MAX

    def __str__(self) -> str:
        """Tell it in a line."""
        memory = f"{self.memory_kib:,} KiB, {self.memory_kib_more:+,} in all, {self.memory_kib_per_min:+,.1f} a minute"
        return f"{memory}; {self.files} files, {self.files_more:+} in all"


@dataclass(slots=True)
class Samples:
    """A thread that looks at every process."""

    processes: Mapping[str, Child]
    taken: dict[tuple[str, int], list[Sample]] = field(default_factory=lambda: defaultdict(list))
    lasted_s: float = 0.0
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
        self.lasted_s = time.monotonic() - self._began_s

    def growth(self) -> dict[str, Growth]:
        """Return how each process grew that was there from the beginning to the end."""
        whole = {name: taken for (name, _), taken in sorted(self.taken.items()) if self._is_whole(taken)}
        return {name: growth(taken, self.lasted_s) for name, taken in whole.items()}

    def grown(self, watched: Collection[str]) -> list[str]:
        """Return who of *watched* was not flat, or was not there to be judged."""
        found = self.growth()
        unseen = [f"{name} was not there all the time" for name in sorted(watched) if name not in found]
        return unseen + [f"{name}: {each}" for name, each in found.items() if name in watched and not each.is_flat]

    def _is_whole(self, taken: Sequence[Sample]) -> bool:
        """Tell whether these samples are of a whole drill, without a gap."""
        times_s = [0.0, *(each.at_s for each in taken), self.lasted_s]
        return all(after - before < MISSED_MAX_S for before, after in pairwise(times_s))

    def _run(self) -> None:
        while not self._stop.wait(EVERY_S):
            for name, child in list(self.processes.items()):
                home = Path(f"/proc/{child.pid}")
                try:
                    pages = int((home / "statm").read_text(encoding="ascii").split()[1])
                    sockets, others = descriptors(home / "fd")
                except (OSError, IndexError):  # it is over
                    continue
                if pages:  # else it is over, and nobody has asked for its exit code yet
                    at_s = time.monotonic() - self._began_s
                    self.taken[name, child.pid].append(Sample(at_s, pages * PAGE_KIB, sockets, others))


def descriptors(folder: Path) -> tuple[int, int]:
    """Return how many sockets a process has open, and how many descriptors of anything else. Raises `OSError`."""
    sockets = others = 0
    for each in folder.iterdir():
        with suppress(FileNotFoundError):  # closed meanwhile
            if str(each.readlink()).startswith("socket:"):
                sockets += 1
            else:
                others += 1
    return sockets, others


def growth(samples: Sequence[Sample], lasted_s: float) -> Growth:
    """Return how a process grew in a drill that lasted so long."""
    part_s = lasted_s * 2 / 9
    early = _between(samples, lasted_s / 3, lasted_s / 3 + part_s)
    late = _between(samples, lasted_s - part_s, inf)
    memory_kib, others = min(each.memory_kib for each in late), _others(late)
    more_kib = memory_kib - min(each.memory_kib for each in early)
    per_min = round(more_kib * 60 / (2 * part_s), 1)  # from the middle of one to the middle of the other
    sockets = _sockets(_between(samples, lasted_s * 2 / 3, inf))
    sockets_more = sockets - _sockets(_between(samples, lasted_s / 3, lasted_s * 2 / 3))
    return Growth(memory_kib, more_kib, per_min, sockets + others, max(sockets_more, others - _others(early)))


def _between(samples: Sequence[Sample], from_s: float, until_s: float) -> Sequence[Sample]:
    return [each for each in samples if from_s <= each.at_s < until_s]


def _sockets(samples: Sequence[Sample]) -> int:
    return min(each.sockets for each in samples)


def _others(samples: Sequence[Sample]) -> int:
    return round(quantiles((each.others for each in samples), n=4)[0])
