"""
The whole path of one dispatcher process: Kafka in, message built, provider called, events out.

    python -m bench.whole [--rounds 2] [--only smtp http http_bulk ...]

The providers are sinks in other processes: Postfix's smtp-sink, and an HTTP server that does nothing else. They, the
broker and the reader of the events have their part of the same machine. Messages are text.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import shutil
import socket
import statistics
import subprocess
import time
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from multiprocessing import get_context
from typing import TYPE_CHECKING, Any, cast

import orjson
import uvloop

from bench.field import PROVIDER, Field, send_topics
from bench.loops import dispatch
from processor.metrics import know
from processor.providers.catalogue import AdapterConfig, open_adapter
from processor.providers.http.config import HttpConfig
from processor.providers.smtp.config import SmtpConfig
from processor.sandbox.broker import find_broker

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from multiprocessing.connection import Connection

CONNECTIONS = 40
ITEM = {"to": "{{ to }}", "text": "{{ text }}", "id": "{{ message_id }}"}


class HttpSink(asyncio.Protocol):
    """Answers each POST that has a Content-Length with an id, or with one for each item of its body."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast("asyncio.Transport", transport)  # uvloop's is of no class of asyncio
        self.received = b""

    def data_received(self, data: bytes) -> None:
        self.received += data
        while (end := self.received.find(b"\r\n\r\n")) >= 0:
            head = self.received[:end].lower()
            at = head.index(b"content-length:") + 15
            length = int(head[at : head.find(b"\r", at) if b"\r" in head[at:] else None])
            if len(self.received) < end + 4 + length:
                return
            body, self.received = self.received[end + 4 : end + 4 + length], self.received[end + 4 + length :]
            answer = b'{"id":"4711"}'
            if body.startswith(b'{"items"'):
                answer = orjson.dumps({"results": [{"id": "4711"} for _ in orjson.loads(body)["items"]]})
            self.transport.write(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%b" % (len(answer), answer))


def _http_sink(told: Connection) -> None:
    async def serve() -> None:
        server = await asyncio.get_running_loop().create_server(HttpSink, "127.0.0.1", 0)
        told.send(server.sockets[0].getsockname()[1])
        await asyncio.Event().wait()

    uvloop.run(serve())


@contextmanager
def http_sink() -> Iterator[int]:
    """Run the HTTP server in a process of its own; yield its port."""
    context = get_context("spawn")
    ours, theirs = context.Pipe()
    process = context.Process(target=_http_sink, args=(theirs,), daemon=True)
    process.start()
    try:
        yield ours.recv()
    finally:
        process.kill()
        process.join()


@contextmanager
def smtp_sink() -> Iterator[int]:
    """Run Postfix's smtp-sink; yield its port."""
    program = shutil.which("smtp-sink", path=os.environ.get("PATH", "") + ":/usr/sbin")
    if program is None:
        raise SystemExit("smtp-sink is not installed (Debian package: postfix)")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = int(free.getsockname()[1])
    user = ["-u", "nobody"] if os.geteuid() == 0 else []
    with subprocess.Popen([program, *user, f"127.0.0.1:{port}", "1000"]) as process:
        try:
            _await_port(port)
            yield port
        finally:
            process.terminate()


def _await_port(port: int) -> None:
    deadline_s = time.monotonic() + 5
    while time.monotonic() < deadline_s:
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)) == 0:
                return
        time.sleep(0.02)
    raise SystemExit("smtp-sink does not listen")


def smtp_config(port: int) -> AdapterConfig:
    return SmtpConfig(
        host="127.0.0.1",
        port=port,
        tls="off",
        from_address="bench@example.com",
        message_id_domain="example.com",
        connections=CONNECTIONS,
        uses_per_connection=1_000,
    )


def http_config(port: int) -> AdapterConfig:
    return HttpConfig(url=f"http://127.0.0.1:{port}/", body=ITEM, provider_message_id="id", connections=64)


def bulk_config(port: int) -> AdapterConfig:
    return HttpConfig(
        url=f"http://127.0.0.1:{port}/",
        body={"items": "{{ items }}"},
        item=ITEM,
        results="results",
        provider_message_id="id",
        connections=64,
    )


# name: sink, configuration, its kind, slots of the lanes other than express, bulk size, bytes of text, messages, wanted
CASES: dict[str, tuple[Any, Callable[[int], AdapterConfig], str, int, int, int, int, int]] = {
    "smtp": (smtp_sink, smtp_config, "smtp", CONNECTIONS, 1, 4_096, 30_000, 1_000),
    "http": (http_sink, http_config, "http", 64, 1, 1_590, 40_000, 3_000),
    "http_bulk": (http_sink, bulk_config, "http", 1_600, 100, 1_590, 60_000, 10_000),
}


def measure(field: Field, kind: str, config: AdapterConfig, count: int) -> float:
    """Return the rate of one dispatcher, in a process of its own."""
    field.parts()
    know(provider=[PROVIDER], channel=["Email"], topic=send_topics(field))
    return dispatch(field, count, open_adapter(kind, config))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=2)
    parser.add_argument("--only", nargs="*", default=list(CASES))
    options = parser.parse_args()
    with find_broker() as broker:
        for name in options.only:
            sink, config, kind, slots, bulk_size, text_bytes, count, wanted = CASES[name]
            rates = []
            for _ in range(options.rounds):
                prefix = f"whole{time.time_ns() // 1_000_000}.{name}"
                # A fifth of a provider's slots is kept for express, which this does not measure.
                field = Field(broker.bootstrap, prefix, slots * 5 // 4, bulk_size, text_bytes)
                with sink() as port, ProcessPoolExecutor(1, mp_context=get_context("spawn")) as apart:
                    rates.append(apart.submit(measure, field, kind, config(port), count).result())
            told = ", ".join(f"{rate:,.0f}" for rate in rates)
            print(f"{name:10} {statistics.median(rates):8,.0f} a second of {wanted:,} wanted ({told})", flush=True)


if __name__ == "__main__":
    main()
