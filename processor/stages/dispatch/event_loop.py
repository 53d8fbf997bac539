"""The thread in which providers are called."""

import asyncio
import os
import threading
from collections.abc import Callable, Coroutine
from typing import Any, Final

import uvloop

NAME_THREADS: Final = "128"
"""libuv's, in which names are looked up; by itself it has 4, and gives at most half of them to look-ups."""


class EventLoop:
    """An event loop in a thread of its own; all dispatch loops of a process share it."""

    def __init__(self) -> None:
        """Start the thread; the first of a process also says how many threads of libuv's there will be."""
        os.environ.setdefault("UV_THREADPOOL_SIZE", NAME_THREADS)  # read when the first name is looked up
        self.loop = uvloop.new_event_loop()
        self._thread = threading.Thread(target=self.loop.run_forever, name="calls", daemon=True)
        self._thread.start()

    def run(self, coroutine: Coroutine[Any, Any, Any]) -> Any:
        """Run *coroutine* to its end from another thread."""
        return asyncio.run_coroutine_threadsafe(coroutine, self.loop).result()

    def soon(self, call: Callable[..., object], *args: object) -> None:
        """Call something in the event loop."""
        self.loop.call_soon_threadsafe(call, *args)

    def close(self) -> None:
        """End the thread."""
        self.soon(self.loop.stop)
        self._thread.join()
        self.loop.close()
