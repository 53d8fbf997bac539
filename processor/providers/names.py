"""
Names of hosts: looked up a few at a time for each provider, then connected to.

A look-up takes a thread of libuv's, which all providers share, until the name server has answered or its time is over;
nobody can cancel it. One provider whose names resolve slowly must not take them all.
"""

from __future__ import annotations

import asyncio
import socket
from traceback import clear_frames
from typing import TYPE_CHECKING, Any, Final, TypeVar

from aiohappyeyeballs import start_connection

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine

LOOKUPS_MAX: Final = 4
"""At once for one provider; more than one, so that an answer that got lost is not waited for by everybody."""

NEXT_ADDRESS_S: Final = 0.25  # RFC 8305 §5: when the second address of a name is tried beside the first

T = TypeVar("T")


class Lookups:
    """The look-ups of one provider. One that nobody waits for any more keeps its place until it ends."""

    def __init__(self) -> None:
        self._room = asyncio.Semaphore(LOOKUPS_MAX)
        self._under_way: set[asyncio.Task[Any]] = set()

    async def found(self, look_up: Callable[[], Coroutine[Any, Any, T]]) -> T:
        """Return what *look_up* finds, once there is a place for it; raises what it raises, OSError after `close`."""
        await self._room.acquire()
        task = asyncio.get_running_loop().create_task(look_up())
        self._under_way.add(task)
        task.add_done_callback(self._ended)
        await asyncio.wait([task])  # unlike `await task` it leaves the task alone when cancelled
        if task.cancelled():
            raise ConnectionAbortedError
        try:
            return task.result()
        finally:
            del task  # what it raises keeps this frame: the two would keep each other until a collection

    async def connected(self, host: str, port: int | None) -> socket.socket:
        """Return a TCP connection to the first address of *host* that takes one. Raises OSError or UnicodeError."""
        loop = asyncio.get_running_loop()
        addresses = await self.found(lambda: loop.getaddrinfo(host, port, type=socket.SOCK_STREAM))
        try:
            connected = await start_connection(addresses, happy_eyeballs_delay=NEXT_ADDRESS_S)
        except OSError as error:
            clear_frames(error.__traceback__)  # one holds the error, and both stay until a collection (2.7.1)
            raise
        connected.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        return connected

    def close(self) -> None:
        """Wait for none any more."""
        for task in self._under_way:
            task.cancel()

    def _ended(self, task: asyncio.Task[Any]) -> None:
        self._under_way.discard(task)
        self._room.release()
        if not task.cancelled():
            task.exception()  # whoever waited may have left: nobody else asks for it
