"""A loop at work, as a process has it."""

from __future__ import annotations

import threading
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

    from processor.stages.assembly import Loop


@contextmanager
def running(loop: Loop) -> Iterator[None]:
    """Run a loop in a thread; it stops cleanly at the end."""
    stopping = threading.Event()
    thread = threading.Thread(target=loop.run, args=(stopping,))
    thread.start()
    try:
        yield
    finally:
        stopping.set()
        thread.join(20)
        assert not thread.is_alive()
