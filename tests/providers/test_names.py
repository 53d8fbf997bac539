"""Names of hosts: a look-up cannot be cancelled, and takes one of the threads that all providers share."""

from __future__ import annotations

import asyncio
import gc
import socket
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

import pytest

from processor.core.outcome import Deferred, Stage
from processor.core.words import Reason
from processor.providers.names import LOOKUPS_MAX, Lookups
from processor.sandbox.ports import free_port
from tests.providers.twins import http_config, opened, smtp_config, submission
from tests.support.eventually import eventually_async

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from processor.providers.catalogue import AdapterConfig

CALLS = 12
CONFIGS = [
    http_config("http://slow.example/", connections=CALLS),
    smtp_config(25, host="slow.example", connections=CALLS),
]
BROKEN = Deferred(Reason.PROVIDER_UNAVAILABLE, stage=Stage.CONNECT)


class Names:
    """Look-ups that end when they are told to, as those in threads do."""

    def __init__(self) -> None:
        self.asked = 0
        self.answer: asyncio.Future[Any] = asyncio.get_running_loop().create_future()

    async def look_up(self, *_: object, **__: object) -> Any:
        self.asked += 1
        return await asyncio.shield(self.answer)


@pytest.mark.parametrize("config", CONFIGS, ids=["http", "smtp"])
async def test_a_provider_whose_name_resolves_slowly_takes_a_few_threads(
    config: AdapterConfig, monkeypatch: pytest.MonkeyPatch
) -> None:
    names = Names()
    monkeypatch.setattr(asyncio.get_running_loop(), "getaddrinfo", names.look_up)
    async with opened(config) as adapter:
        calls = [asyncio.create_task(adapter.send([submission("ann@example.org")])) for _ in range(CALLS)]
        await eventually_async(lambda: names.asked == LOOKUPS_MAX, within_s=5)
        for call in calls:
            call.cancel()
        await asyncio.gather(*calls, return_exceptions=True)

        again = asyncio.create_task(adapter.send([submission("ann@example.org")]))
        await asyncio.wait([again], timeout=0.05)
        assert names.asked == LOOKUPS_MAX  # nobody waits for those four any more, but they hold their threads

        again.cancel()
        await asyncio.gather(again, return_exceptions=True)


async def test_the_next_looks_up_when_one_has_ended_that_nobody_waited_for() -> None:
    names, lookups = Names(), Lookups()
    left = [asyncio.create_task(lookups.found(names.look_up)) for _ in range(LOOKUPS_MAX)]
    await eventually_async(lambda: names.asked == LOOKUPS_MAX, within_s=5)
    for each in left:
        each.cancel()
    await asyncio.wait(left)
    late = asyncio.create_task(lookups.found(names.look_up))

    names.answer.set_exception(socket.gaierror(socket.EAI_AGAIN, "canary"))

    with pytest.raises(socket.gaierror):
        await late
    assert names.asked == LOOKUPS_MAX + 1


async def test_who_still_waits_when_a_provider_is_closed_is_not_connected() -> None:
    names, lookups = Names(), Lookups()
    waits = asyncio.create_task(lookups.found(names.look_up))
    await eventually_async(lambda: names.asked == 1, within_s=5)

    lookups.close()

    with pytest.raises(ConnectionAbortedError):
        await waits


def errors() -> int:
    """Return how many errors of the system are held anywhere, by knots that await a collection too."""
    return sum(isinstance(each, OSError) for each in gc.get_objects())


async def nobody_listens(lookups: Lookups) -> None:
    with pytest.raises(ConnectionRefusedError):
        await lookups.connected("127.0.0.1", free_port())


async def nobody_knows_it(lookups: Lookups) -> None:
    with pytest.raises(socket.gaierror):
        await lookups.connected("nobody.invalid", 25)


async def failing(fails: Callable[[Lookups], Awaitable[None]], lookups: Lookups, *, times: int) -> None:
    """Fail that often, and wait for the threads that look names up: each has its error in hand for a moment more."""
    with ThreadPoolExecutor() as threads:
        asyncio.get_running_loop().set_default_executor(threads)
        for _ in range(times):
            await fails(lookups)


@pytest.mark.parametrize("fails", [nobody_listens, nobody_knows_it])
async def test_an_error_is_kept_by_nobody(fails: Callable[[Lookups], Awaitable[None]]) -> None:
    lookups = Lookups()
    await failing(fails, lookups, times=1)
    gc.collect()
    held = errors()
    gc.disable()
    try:
        await failing(fails, lookups, times=10)
        assert errors() == held
    finally:
        gc.enable()
