"""
What the SMPP adapter costs: submits for each second of the sending process's CPU.

    python -m bench.smpp [--messages 30000] [--window 100] [--rounds 5] [--sandbox]

A process of its own answers: a sink that does nothing else, or with --sandbox the sandbox's centre, whose ledger on
disk then sets the pace of the wall clock. Each message has its own id, 70 characters of text and a number in E.164.
"""

from __future__ import annotations

import argparse
import asyncio
import platform
import statistics
import struct
import tempfile
import time
from importlib.metadata import version
from multiprocessing import get_context
from pathlib import Path
from typing import TYPE_CHECKING, cast

import uvloop

from processor.core.message import Head, Message
from processor.core.outcome import Accepted
from processor.providers.adapter import Submission
from processor.providers.smpp.adapter import SmppAdapter
from processor.providers.smpp.config import SmppConfig
from processor.sandbox.servers import SandboxConfig, run_sandbox

if TYPE_CHECKING:
    from multiprocessing.connection import Connection

HEADER = struct.Struct(">IIII")
RESPONSE = 0x80000000
TEXT = "Your parcel 000123 is at the counter until Friday, 18:00. Bring an ID."


class Sink(asyncio.Protocol):
    """Answers every request with status 0 and an id."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast("asyncio.Transport", transport)  # uvloop's is of no class of asyncio
        self.received = b""

    def data_received(self, data: bytes) -> None:
        received, at, answers = self.received + data, 0, []
        while len(received) - at >= 16:
            length, command_id, _, sequence = HEADER.unpack_from(received, at)
            if len(received) - at < length:
                break
            at += length
            answers.append(HEADER.pack(25, command_id | RESPONSE, 0, sequence) + b"4711abcd\0")
        self.received = received[at:]
        self.transport.write(b"".join(answers))


async def sink(told: Connection) -> None:
    server = await asyncio.get_running_loop().create_server(Sink, "127.0.0.1", 0)
    told.send(server.sockets[0].getsockname()[1])
    await server.serve_forever()


async def sandbox(told: Connection) -> None:
    with tempfile.TemporaryDirectory() as folder:
        config = SandboxConfig(Path(folder) / "ledger.jsonl", smsc_receipts=False)
        await run_sandbox(config, ready=lambda running: told.send(running.smsc_port))


def serve(told: Connection, *, with_sandbox: bool) -> None:
    uvloop.run(sandbox(told) if with_sandbox else sink(told))


async def measured(port: int, messages: int, window: int) -> tuple[float, float]:
    """Return submits per second of CPU and of the wall clock."""
    config = SmppConfig("127.0.0.1", port, "bench", tls="off", window_size=window, source_addr="BENCH")
    adapter = SmppAdapter(config)
    numbers = iter(range(messages))

    async def worker() -> None:
        for number in numbers:
            # Ends in 33: the sandbox has no script for such numbers.
            message = Message(Head(f"bench-{number:08}", "SMS"), to=f"+407{number % 10**6:06}33", text=TEXT)
            (outcome,) = await adapter.send([Submission(message, 1)])
            if not isinstance(outcome, Accepted):
                raise SystemExit(f"not accepted: {outcome}")

    await adapter.send([Submission(Message(Head("first", "SMS"), to="+40722000111", text=TEXT), 1)])
    began_s, began_cpu_s = time.perf_counter(), time.process_time()
    await asyncio.gather(*(worker() for _ in range(window)))
    cpu_s, wall_s = time.process_time() - began_cpu_s, time.perf_counter() - began_s
    await adapter.close()
    return messages / cpu_s, messages / wall_s


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--messages", type=int, default=30_000)
    parser.add_argument("--window", type=int, default=100)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--sandbox", action="store_true")
    asked = parser.parse_args()
    context = get_context("spawn")
    ours, theirs = context.Pipe()
    server = context.Process(target=serve, args=(theirs,), kwargs={"with_sandbox": asked.sandbox}, daemon=True)
    server.start()
    try:
        port = ours.recv()
        print(f"Python {platform.python_version()}, smpp34 {version('smpp34')}, window {asked.window},")
        print(f"{asked.messages:,} messages a round, against {'the sandbox' if asked.sandbox else 'a sink'}")
        rates = []
        for number in range(1, asked.rounds + 1):
            per_cpu_s, per_s = uvloop.run(measured(port, asked.messages, asked.window))
            rates.append(per_cpu_s)
            print(f"round {number}: {per_cpu_s:8,.0f} submits per CPU second, {per_s:8,.0f} per second")
        print(f"median {statistics.median(rates):,.0f} [{min(rates):,.0f}–{max(rates):,.0f}] submits per CPU second")
    finally:
        server.kill()
        server.join()


if __name__ == "__main__":
    main()
