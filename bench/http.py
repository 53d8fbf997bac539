"""
The HTTP adapter beside a bare aiohttp loop: calls in a CPU second of the client, same server, same bytes.

    python -m bench.http [--rounds 5] [--calls 20000] [--batch 100]

The server is a process of its own that answers every request at once; 64 connections are kept alive. Bare and adapter
take turns, each in a process of its own, so that what one leaves behind costs the other nothing: compare ratios.
"""

from __future__ import annotations

import argparse
import asyncio
import statistics
import time
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from typing import TYPE_CHECKING, Any

import aiohttp
import orjson
import uvloop

from bench.http_server import served
from processor.core.message import Head, Message
from processor.core.outcome import Accepted
from processor.providers.adapter import Submission
from processor.providers.catalogue import open_adapter
from processor.providers.http.config import HttpConfig

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine, Sequence

    from processor.core.outcome import Outcome

CONNECTIONS = 64
TEXT = "Your order is on its way. " * 20
HTML = "<p>Your order is on its way.</p>" * 20
BODY = {
    "from": {"address": "{{ settings.from_address }}", "name": "{{ settings.from_name }}"},
    "to": "{{ to }}",
    "cc": "{{ cc }}",
    "bcc": "{{ bcc }}",
    "subject": "{{ subject }}",
    "text": "{{ text }}",
    "html": "{{ html }}",
    "message_id": "{{ message_id }}",
    "attempt": "{{ attempt }}",
}


def config(url: str, **more: Any) -> HttpConfig:
    """Return what the adapter is built with: the packaged gateway's form, one message a call."""
    given: dict[str, Any] = {
        "url": url,
        "body": BODY,
        "settings": {"from_address": "noreply@example.com", "from_name": "Example"},
        "recipient_kind": "email",
        "auth": "bearer",
        "token": "t0k3n",
        "idempotency_header": "Idempotency-Key",
        "provider_message_id": "id",
        "code": "code",
        "connections": CONNECTIONS,
    }
    return HttpConfig(**given | more)


def submission(number: int) -> Submission:
    """Return one message of some 1.3 KB."""
    message = Message(Head(f"m-{number}", "Email"), to="ann@example.org", subject="Order", text=TEXT, html=HTML)
    return Submission(message, 1)


async def bare(url: str, calls: int, _: int) -> float:
    """Post prepared bytes and read the answer; nothing else."""
    body = orjson.dumps({"to": "ann@example.org", "subject": "Order", "text": TEXT, "html": HTML, "message_id": "m-1"})
    headers = {"Content-Type": "application/json", "Authorization": "Bearer t0k3n", "Idempotency-Key": "m-1"}
    connector = aiohttp.TCPConnector(limit=CONNECTIONS)
    async with aiohttp.ClientSession(connector=connector) as session:

        async def call(_: int) -> None:
            async with session.post(url, data=body, headers=headers) as response:
                await response.read()
                response.raise_for_status()

        return await _paced(call, calls)


async def single(url: str, calls: int, _: int) -> float:
    """Send one message a call through the adapter."""
    adapter = open_adapter("http", config(url))
    batch = [[submission(number)] for number in range(calls)]

    async def call(number: int) -> None:
        _sent(await adapter.send(batch[number]))

    rate = await _paced(call, calls)
    await adapter.close()
    return rate


async def bulk(url: str, calls: int, size: int) -> float:
    """Send *size* messages a call through the adapter; the rate is that of messages."""
    more = {
        "body": {"messages": "{{ items }}"},
        "item": BODY,
        "results": "results",
        "result_reference": "message_id",
    }
    adapter = open_adapter("http", config(f"{url}bulk", answer_bytes_max=1 << 20, **more))
    count = max(1, calls // size)
    batch = [submission(number) for number in range(size)]

    async def call(_: int) -> None:
        _sent(await adapter.send(batch))

    rate = await _paced(call, count)
    await adapter.close()
    return rate * size


def _sent(outcomes: Sequence[Outcome]) -> None:
    if not all(isinstance(outcome, Accepted) for outcome in outcomes):
        raise RuntimeError(f"not accepted: {outcomes[0]}")


async def _paced(call: Callable[[int], Coroutine[Any, Any, None]], calls: int) -> float:
    """Make *calls* on all connections; return how many a CPU second. The first ones warm up and are not counted."""

    async def lane(numbers: range) -> None:
        for number in numbers:
            await call(number)

    await asyncio.gather(*(lane(range(1)) for _ in range(min(CONNECTIONS, calls))))
    begin_ns = time.process_time_ns()
    await asyncio.gather(*(lane(range(first, calls, CONNECTIONS)) for first in range(CONNECTIONS)))
    return calls / ((time.process_time_ns() - begin_ns) / 1e9)


def measured(run: Callable[[str, int, int], Coroutine[Any, Any, float]], url: str, calls: int, size: int) -> float:
    """Run one measurement in this process."""
    return uvloop.run(run(url, calls, size))


def apart(*arguments: Any) -> float:
    """Run one measurement in a process of its own."""
    with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as process:
        return process.submit(measured, *arguments).result()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--calls", type=int, default=20_000)
    parser.add_argument("--batch", type=int, default=100)
    options = parser.parse_args()
    ratios = []
    with served() as url:
        for number in range(options.rounds):
            alone = apart(bare, url, options.calls, 1)
            ours = apart(single, url, options.calls, 1)
            several = apart(bulk, url, options.calls * 5, options.batch)
            ratios.append(ours / alone)
            print(
                f"round {number + 1}: bare {alone:,.0f}, adapter {ours:,.0f} calls a CPU second: "
                f"ratio {ours / alone:.2f}; batches of {options.batch}: {several:,.0f} messages a CPU second",
                flush=True,
            )
    print(f"ratio: median {statistics.median(ratios):.2f} [{min(ratios):.2f}–{max(ratios):.2f}], wanted ≥ 0.6")


if __name__ == "__main__":
    main()
