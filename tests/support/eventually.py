"""Wait for a condition with a deadline, instead of sleeping and hoping."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable
from typing import TYPE_CHECKING, Final, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable

POLL_S: Final = 0.02

T = TypeVar("T")


def eventually(condition: Callable[[], T], *, within_s: float, what: object = "") -> T:
    """
    Return the first true value of *condition*.

    Fails after *within_s* with *what* (text, or a function that tells the state at that moment) and the last value.
    """
    deadline = time.monotonic() + within_s
    while True:
        value = condition()
        if value:
            return value
        if time.monotonic() > deadline:
            raise AssertionError(_told(value, within_s=within_s, what=what))
        time.sleep(POLL_S)


async def eventually_async(condition: Callable[[], T | Awaitable[T]], *, within_s: float, what: object = "") -> T:
    """Do as `eventually`, with the event loop running meanwhile; *condition* may be a coroutine function."""
    deadline = time.monotonic() + within_s
    while True:
        value = condition()
        if isinstance(value, Awaitable):
            value = await value
        if value:
            return value
        if time.monotonic() > deadline:
            raise AssertionError(_told(value, within_s=within_s, what=what))
        await asyncio.sleep(POLL_S)


def _told(value: object, *, within_s: float, what: object) -> str:
    state = what() if callable(what) else what
    return f"not within {within_s:g} s: {state or 'the condition'}; last value: {value!r}"
