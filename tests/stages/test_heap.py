"""What is free goes back to the system."""

from __future__ import annotations

import gc
import platform
import random
import subprocess
import sys
import threading
import weakref
from pathlib import Path

import pytest

from processor.stages.heap import ARENAS, calm_collector, give_back, tidy, wait_for

pytestmark = pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="only glibc keeps what is free")


def held_mib() -> int:
    """Return the memory of this process (Linux)."""
    return int(Path("/proc/self/statm").read_text(encoding="ascii").split()[1]) * 4 // 1_024


def left_among_others() -> list[bytes]:
    """Take a hundred megabytes, and keep a fiftieth of them, here and there."""
    chance = random.Random(1)
    taken = [bytes(chance.randrange(600, 2_000)) for _ in range(80_000)]
    return [taken[each] for each in range(0, len(taken), 50)]


def test_what_lies_free_between_blocks_in_use_goes_back() -> None:
    give_back()  # else what tests before this one have freed is taken first, and nothing grows
    before_mib = held_mib()
    kept = left_among_others()
    between_mib = held_mib()
    give_back()

    assert between_mib > before_mib + 50, "glibc keeps it"
    assert held_mib() < before_mib + 30
    assert len(kept) == 1_600


class Knot:
    """Holds itself, as an error does that a frame holds which it has passed."""

    def __init__(self) -> None:
        self.itself = self


def test_what_holds_itself_is_freed_however_calm_the_collector_is() -> None:
    thresholds = gc.get_threshold()
    calm_collector()
    try:
        gone = weakref.ref(Knot())
        assert gone() is not None
        tidy()
        assert gone() is None
    finally:
        gc.unfreeze()
        gc.set_threshold(*thresholds)


def test_threads_are_waited_for_to_their_end() -> None:
    ended: list[int] = []
    threads = [threading.Thread(target=ended.append, args=(number,)) for number in range(3)]
    for thread in threads:
        thread.start()
    wait_for(threads)

    assert sorted(ended) == [0, 1, 2]


ARENAS_OF_THREADS = """
import ctypes, threading
from processor.stages.heap import share_arenas

libc = ctypes.CDLL(None)
libc.fopen.restype = libc.malloc.restype = ctypes.c_void_p
libc.fclose.argtypes, libc.malloc_info.argtypes = [ctypes.c_void_p], [ctypes.c_int, ctypes.c_void_p]
{first}
together = threading.Barrier(12)


def take():
    together.wait()
    libc.malloc(100)
    together.wait()


threads = [threading.Thread(target=take) for _ in range(12)]
for thread in threads:
    thread.start()
for thread in threads:
    thread.join()
told = libc.fopen(b"/dev/stdout", b"w")
libc.malloc_info(0, told)
libc.fclose(told)
"""


@pytest.mark.parametrize(("first", "shared"), [("share_arenas()", True), ("", False)])
def test_threads_share_a_few_arenas(first: str, *, shared: bool) -> None:
    program = ARENAS_OF_THREADS.format(first=first)
    told = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True, timeout=30)

    assert (told.stdout.count("<heap nr=") <= ARENAS) == shared
