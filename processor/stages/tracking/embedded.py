"""
granian in our own event loop, without a task for each request.

By itself it wakes the loop for every request and runs a task that ends with the answer; both take longer than to make
an event. Here the requests that have come since the loop last looked are taken over together, and who answers
one says so. It rests on what granian calls its own (workers that `serve` is told to spawn, `CallbackScheduler`): its
version is pinned, and every test of the stage goes through here.
"""

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable
from typing import Any, Final

from granian import _granian
from granian.server.embed import AsyncWorker, Server

Serve = Callable[[Any], None]
"""Is called with an exchange: its `scope`, its `proto`, and `done`, to be called after the answer."""

_NO_METRICS: Final = (None, None)
_INSIDE: Final[Any] = _granian  # its types are not those that it takes


def serving(server: Server) -> Awaitable[None]:
    """Serve until the server is stopped; its target is a `Serve`."""
    return server.serve(_spawn)


async def _worker(
    number: int, stopping: Any, serve: Serve, sock: Any, loop: asyncio.AbstractEventLoop, *options: Any
) -> None:
    *threads, _task_impl, http, http1, http2, websockets, static, _log, tls, _scope = options
    ended = loop.create_future()
    stopping.add_cb(lambda: loop.call_soon_threadsafe(ended.set_result, None))
    worker = _INSIDE.RSGIWorker(number, sock, None, *threads, http, http1, http2, websockets, static, *tls, _NO_METRICS)
    worker.serve_async(arrivals(loop, serve), loop, stopping)
    await ended


_spawn: Final = AsyncWorker.wrap_target(_worker)  # type: ignore[no-untyped-call]


def arrivals(loop: asyncio.AbstractEventLoop, serve: Serve) -> Any:
    """Return what takes requests over into *loop*, and has *serve* called for each of them there."""
    arrived = deque[Any]()
    woken = [False]

    def take() -> None:
        woken[0] = False  # what comes from here on wakes the loop again
        for _ in range(len(arrived)):
            serve(arrived.popleft())

    def arrive(exchange: Any) -> None:  # in granian's thread
        arrived.append(exchange)
        if not woken[0]:
            woken[0] = True
            loop.call_soon_threadsafe(take)

    scheduler = _INSIDE.CallbackScheduler(loop, None, None, None, None)
    scheduler._schedule_fn = arrive  # noqa: SLF001 - it is set by granian's own schedulers in the same way
    return scheduler
