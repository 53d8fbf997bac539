"""
The public side beside its bare server: clicks a second whose events Kafka has acknowledged, on one core.

    python -m bench.tracking [--rounds 5] [--requests 20000] [--connections 256]

The server under test is a process of its own, kept to one core; the generator, the broker and whatever else runs have
the others. Bare is the same granian, embedded as it comes, whose application answers every request at once.
A CPU second is one of the server's process, all of its threads counted: it tells more than the wall clock on a
machine that others use. Then the latency at half the rate just reached.
"""

from __future__ import annotations

import argparse
import os
import socket
import statistics
import threading
import time
from contextlib import contextmanager
from multiprocessing import get_context
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

import uvloop
from confluent_kafka import Consumer, TopicPartition
from confluent_kafka.admin import AdminClient, NewTopic
from granian.constants import HTTPModes, Interfaces
from granian.log import LogLevels
from granian.server.embed import Server

from bench.clicks import Load, load
from processor import logs
from processor.codec.assembly import open_codecs
from processor.core.tokens import Keys, Purpose, Sealer, Ticket
from processor.kafka.connection import Connection
from processor.kafka.topics import Names
from processor.metrics import Health
from processor.sandbox.broker import find_broker
from processor.stages.heap import calm_collector
from processor.stages.tracking.server import Listening, TrackingLoop, free

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from multiprocessing.connection import Connection as Pipe

KEYS = Keys(1, {1: b"a secret of some length for the benchmark"})
LINKS = 20_000
PARTITIONS = 3
AGENT = (
    "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/130.0.0.0 Safari/537.36"
)


async def _at_once(scope: Any, protocol: Any) -> None:
    protocol.response_bytes(200, [("content-type", "text/plain")], b"ok")


def _bare(pipe: Pipe, _: str, __: str) -> None:
    """Serve answers that cost nothing."""
    port = free("127.0.0.1", 0)

    async def serve() -> None:
        server = Server(
            _at_once,
            port=port,
            interface=Interfaces.RSGI,
            http=HTTPModes.http1,
            websockets=False,
            backlog=1_024,
            log_level=LogLevels.error,
        )
        await server.serve()

    pipe.send(port)
    uvloop.run(serve())


def _ours(pipe: Pipe, bootstrap: str, prefix: str) -> None:
    """Serve as `commproc run --stage tracking` does."""
    logs.configure(level="error")
    with TemporaryDirectory() as folder:
        names = Names(prefix)
        loop = TrackingLoop(
            Listening("127.0.0.1", 0, KEYS, 2_000, Path(folder) / "buffer", 1 << 28, 1 << 20, 5_000, 10_000, 5.0),
            connection=Connection(bootstrap),
            names=names,
            partitions={names.engagement: PARTITIONS, names.delivery: PARTITIONS},
            codec=open_codecs().events,
            health=Health(),
            instance="0",
        )
        pipe.send(loop.port)
        calm_collector()
        loop.run(threading.Event())


class Served:
    """A server in a process of its own, on one core."""

    def __init__(self, port: int, pid: int) -> None:
        self.port = port
        self._pid = pid

    def cpu_s(self) -> float:
        user, system = Path(f"/proc/{self._pid}/stat").read_text(encoding="ascii").rpartition(")")[2].split()[11:13]
        return (int(user) + int(system)) / os.sysconf("SC_CLK_TCK")


def _pinned(run: Callable[[Pipe, str, str], None], core: int, *arguments: Any) -> None:
    os.sched_setaffinity(0, {core})
    run(*arguments)


@contextmanager
def served(run: Callable[[Pipe, str, str], None], core: int, bootstrap: str, prefix: str) -> Iterator[Served]:
    context = get_context("spawn")
    ours, theirs = context.Pipe()
    process = context.Process(target=_pinned, args=(run, core, theirs, bootstrap, prefix), daemon=True)
    process.start()
    port = ours.recv()
    while not _listens(port):
        time.sleep(0.05)
    try:
        yield Served(port, process.pid or 0)
    finally:
        process.kill()
        process.join()


def _listens(port: int) -> bool:
    with socket.socket() as line:
        return line.connect_ex(("127.0.0.1", port)) == 0


def links(count: int) -> list[bytes]:
    """Return prepared clicks, each of a message of its own."""
    sealer = Sealer(KEYS)
    sent_at_s = int(time.time()) - 3_600
    made = []
    for number in range(count):
        url = f"https://shop.example/spring/offers?id={number}&utm_source=mail&utm_campaign=spring"
        token = sealer.seal(Purpose.CLICK, Ticket(f"m-{number:012d}", "Email", sent_at_s, "spring", None, url, 3))
        made.append(
            f"GET /c/{token} HTTP/1.1\r\nHost: t.example\r\nUser-Agent: {AGENT}\r\nAccept: */*\r\n\r\n".encode()
        )
    return made


def published(bootstrap: str, topic: str) -> int:
    reader = Consumer({"bootstrap.servers": bootstrap, "group.id": "bench"})
    ends = [reader.get_watermark_offsets(TopicPartition(topic, number), timeout=10) for number in range(PARTITIONS)]
    reader.close()
    return sum(high for _, high in ends)


def full(server: Served, requests: list[bytes], asked: argparse.Namespace, status: bytes) -> tuple[Load, float]:
    """Return a run at full load and how many answers a CPU second of the server; a first, short one warms up."""
    load(server.port, requests, asked.requests // 10, status=status, connections=asked.connections)
    before_s = server.cpu_s()
    done = load(server.port, requests, asked.requests, status=status, connections=asked.connections)
    if done.wrong:
        raise RuntimeError(f"{done.wrong} wrong answers")
    return done, done.answers / (server.cpu_s() - before_s)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--requests", type=int, default=20_000)
    parser.add_argument("--connections", type=int, default=256)
    asked = parser.parse_args()
    cores = sorted(os.sched_getaffinity(0))
    requests, core = links(LINKS), cores[-1]
    os.sched_setaffinity(0, set(cores) - {core} or set(cores))  # inherited by the broker, too
    ratios, late = [], []
    with find_broker() as broker:
        for number in range(asked.rounds):
            prefix = f"bench{time.time_ns() // 1_000_000}"
            names = Names(prefix)
            admin = AdminClient({"bootstrap.servers": broker.bootstrap})
            topics = [NewTopic(each, PARTITIONS, 1) for each in (names.engagement, names.delivery, names.control)]
            for made in admin.create_topics(topics).values():
                made.result(30)
            with served(_bare, core, broker.bootstrap, prefix) as server:
                bare, bare_cpu = full(server, requests, asked, b"200")
            with served(_ours, core, broker.bootstrap, prefix) as server:
                ours, ours_cpu = full(server, requests, asked, b"302")
                half = load(
                    server.port,
                    requests,
                    asked.requests // 2,
                    status=b"302",
                    connections=asked.connections,
                    per_s=ours.per_s / 2,
                )
                answered = asked.requests // 10 + ours.answers + half.answers
                if (there := published(broker.bootstrap, names.engagement)) < answered:
                    raise RuntimeError(f"{there} events of {answered} answers")
            p99_ms = statistics.quantiles(half.latencies_s, n=100)[98] * 1_000
            ratios.append(ours_cpu / bare_cpu)
            late.append(p99_ms)
            print(
                f"round {number + 1}: bare {bare.per_s:,.0f}/s, {bare_cpu:,.0f} a CPU second; "
                f"clicks {ours.per_s:,.0f}/s, {ours_cpu:,.0f} a CPU second: "
                f"ratio {ratios[-1]:.2f} (wall clock {ours.per_s / bare.per_s:.2f}); "
                f"p99 {p99_ms:.1f} ms at {half.per_s:,.0f}/s",
                flush=True,
            )
    print(f"ratio: median {statistics.median(ratios):.2f} [{min(ratios):.2f}–{max(ratios):.2f}], wanted ≥ 0.33")
    print(f"p99 at half load: median {statistics.median(late):.1f} ms [{min(late):.1f}–{max(late):.1f}], wanted < 50")


if __name__ == "__main__":
    main()
