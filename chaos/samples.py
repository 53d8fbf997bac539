"""
Memory and descriptors of the members over a long drill (Linux), and whether they grow.

Members need the first third to reach their working size. Of the rest the last third is held against the first by the
least memory that there was in each, for it comes in steps and is seldom given back.

How many sockets are connected is up to the faults of these minutes: they are judged by the least that there was in each
half of the rest, which has moments in which all were cut, and only those are left that nobody closes. Nearly all other
descriptors belong to Kafka clients: two for each thread that speaks with a node (librdkafka 2.16), and a client has
more or fewer of these as nodes come and go. So clients are counted, by their main threads, and the descriptors that are
not of such threads: both are judged at rest, before the first fault and once all is healed and done.
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
from statistics import median_low
from typing import TYPE_CHECKING, Final, NamedTuple, Self

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping, Sequence

    from processor.sandbox.child import Child

EVERY_S: Final = 2.0
PAGE_KIB: Final = 4
PIPE: Final = 2
"""Descriptors that wake a thread of a Kafka client."""

MISSED_MAX_S: Final = 30.0
"""A process of which nothing is known for so long was not there all the time."""

LONG_MIN: Final = 20.0
"""A drill so long is judged: each third of what follows its first third meets every fault, more than once."""

MEMORY_KIB_MAX: Final = 4_096
FILES_MAX: Final = 5
"""Growth that is allowed, in all: of sockets, and of other descriptors."""

CLIENTS_MAX: Final = 2
"""Kafka clients that may be more: each loop makes the one that trims its topics when there is something to trim."""

BURST: Final = 6_000
"""
Messages that a long drill begins with, several times what waits in the members after any of its outages.

Python's allocator gives memory back by the megabyte, where all of one is free (CPython 3.11, arenas): a process keeps
what its longest backlog took. Without a burst one of the later outages was the longest, and what it left counted as
growth: a dispatcher had 106 MiB after a sixth of the time, 113 after half of it, 114 in the end (2026-11-28).
"""

BURST_S: Final = 45.0
"""Until the members are at rest after it."""

REST_S: Final = 30.0
"""Without a fault, before the first one and after the end: every client gets to know all nodes."""

SETTLED_S: Final = 10.0
"""Of the rest at the beginning the end counts: what a process opens at its first work is open by then."""


class Sample(NamedTuple):
    """What one process held at one moment."""

    at_s: float
    memory_kib: int
    sockets: int
    others: int  # descriptors of anything else, but for those of Kafka clients' threads
    clients: int  # of Kafka


class Course(NamedTuple):
    """How a drill went, in seconds after the first look: the first fault, the last healing, and nothing left to do."""

    struck_s: float
    healed_s: float
    done_s: float


class Growth(NamedTuple):
    """What a process held in the end, and by how much that is more than before."""

    memory_kib: int
    memory_kib_more: int
    memory_kib_per_min: float
    sockets: int
    sockets_more: int
    others: int
    others_more: int
    clients: int
    clients_more: int

    @property
    def is_flat(self) -> bool:
        """Tell whether it grew by no more than is allowed."""
        files_more = max(self.sockets_more, self.others_more)
        return self.memory_kib_more <= MEMORY_KIB_MAX and files_more <= FILES_MAX and self.clients_more <= CLIENTS_MAX

    def __str__(self) -> str:
        """Tell it in a line."""
        memory = f"{self.memory_kib:,} KiB, {self.memory_kib_more:+,} in all, {self.memory_kib_per_min:+,.1f} a minute"
        sockets = f"{self.sockets} sockets, {self.sockets_more:+}"
        others = f"{self.others} other descriptors, {self.others_more:+}"
        return f"{memory}; {sockets}; {others}; {self.clients} Kafka clients, {self.clients_more:+}"


@dataclass(slots=True)
class Samples:
    """A thread that looks at every process."""

    processes: Mapping[str, Child]
    taken: dict[tuple[str, int], list[Sample]] = field(default_factory=lambda: defaultdict(list))
    ended_s: float = 0.0
    _began_s: float = field(default_factory=time.monotonic)
    _stop: threading.Event = field(default_factory=threading.Event)
    _thread: threading.Thread | None = None

    def __enter__(self) -> Self:
        """Begin to look."""
        self._thread = threading.Thread(target=self._run, name="samples", daemon=True)
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        """Look no more."""
        self._stop.set()
        assert self._thread is not None
        self._thread.join()
        self.ended_s = self.now_s()

    def now_s(self) -> float:
        """Return how long ago the first look was, in seconds."""
        return time.monotonic() - self._began_s

    def growth(self, course: Course) -> dict[str, Growth]:
        """Return how each process grew that was there from the beginning to the end."""
        whole = {name: taken for (name, _), taken in sorted(self.taken.items()) if self._is_whole(taken)}
        return {name: growth(taken, course) for name, taken in whole.items()}

    def grown(self, watched: Collection[str], course: Course) -> list[str]:
        """Return who of *watched* was not flat, or was not there to be judged."""
        found = self.growth(course)
        unseen = [f"{name} was not there all the time" for name in sorted(watched) if name not in found]
        return unseen + [f"{name}: {each}" for name, each in found.items() if name in watched and not each.is_flat]

    def keep(self, file: Path) -> None:
        """Write all samples to a file, a line for each with tabs between, so that what grew can be looked into."""
        lines = [
            "\t".join(map(str, (name, pid, *sample))) + "\n"
            for (name, pid), taken in self.taken.items()
            for sample in taken
        ]
        names = ("name", "pid", *Sample._fields)
        file.write_text("".join(["\t".join(names) + "\n", *lines]), encoding="utf-8")

    def _is_whole(self, taken: Sequence[Sample]) -> bool:
        """Tell whether these samples are of a whole drill, without a gap."""
        times_s = [0.0, *(each.at_s for each in taken), self.ended_s]
        return all(after - before < MISSED_MAX_S for before, after in pairwise(times_s))

    def _run(self) -> None:
        while not self._stop.wait(EVERY_S):
            for name, child in list(self.processes.items()):
                home = Path(f"/proc/{child.pid}")
                try:
                    pages = int((home / "statm").read_text(encoding="ascii").split()[1])
                    sockets, others = descriptors(home / "fd")
                    clients, spoken_to = kafka_threads(home / "task")
                except (OSError, IndexError):  # it is over
                    continue
                if pages:  # else it is over, and nobody has asked for its exit code yet
                    others -= PIPE * spoken_to
                    sample = Sample(round(self.now_s(), 1), pages * PAGE_KIB, sockets, others, clients)
                    self.taken[name, child.pid].append(sample)


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


def kafka_threads(folder: Path) -> tuple[int, int]:
    """Return how many Kafka clients a process has, and how many of their threads speak with nodes. Raises `OSError`."""
    names: list[str] = []
    for each in folder.iterdir():
        with suppress(FileNotFoundError, ProcessLookupError):  # it has ended meanwhile
            names.append((each / "comm").read_text(encoding="ascii").strip())
    return names.count("rdk:main"), sum(name.startswith("rdk:broker") for name in names)


def growth(samples: Sequence[Sample], course: Course) -> Growth:
    """Return how a process grew in a drill that went so."""
    struck_s, healed_s, done_s = course
    third_s, part_s = healed_s / 3, healed_s * 2 / 9
    late_kib = min(each.memory_kib for each in _between(samples, healed_s - part_s, healed_s))
    kib_more = late_kib - min(each.memory_kib for each in _between(samples, third_s, third_s + part_s))
    per_min = round(kib_more * 60 / (2 * part_s), 1)  # from the middle of one to the middle of the other
    sockets = min(each.sockets for each in _between(samples, 2 * third_s, healed_s))
    sockets_more = sockets - min(each.sockets for each in _between(samples, third_s, 2 * third_s))
    before, rest = _between(samples, struck_s - SETTLED_S, struck_s), _between(samples, done_s, inf)
    others = median_low(each.others for each in rest)
    others_more = others - median_low(each.others for each in before)
    clients = median_low(each.clients for each in rest)
    clients_more = clients - median_low(each.clients for each in before)
    return Growth(late_kib, kib_more, per_min, sockets, sockets_more, others, others_more, clients, clients_more)


def _between(samples: Sequence[Sample], from_s: float, until_s: float) -> Sequence[Sample]:
    return [each for each in samples if from_s <= each.at_s < until_s]
