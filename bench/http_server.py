"""A server for `bench.http`: it answers every request at once, as cheaply as Python can."""

from __future__ import annotations

import asyncio
from contextlib import contextmanager
from multiprocessing import get_context
from typing import TYPE_CHECKING, cast

import orjson
import uvloop

if TYPE_CHECKING:
    from collections.abc import Iterator
    from multiprocessing.connection import Connection

HEAD = b"HTTP/1.1 202 Accepted\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%b"
ONE = b'{"id":"bench-1","code":"250","status":"accepted"}'
ANSWER = HEAD % (len(ONE), ONE)


class Answering(asyncio.Protocol):
    """One connection; requests have a Content-Length and are not pipelined."""

    def __init__(self) -> None:
        self._held = bytearray()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)  # uvloop's is none by its class

    def data_received(self, data: bytes) -> None:
        self._held += data
        end = self._held.find(b"\r\n\r\n") + 4
        if end < 4:
            return
        head = bytes(self._held[:end])
        at = head.lower().index(b"content-length: ") + 16
        if len(self._held) < end + int(head[at : head.index(b"\r", at)]):
            return
        body = bytes(self._held[end:])
        self._held.clear()
        self._transport.write(_bulk(body) if head.startswith(b"POST /bulk") else ANSWER)


def _bulk(body: bytes) -> bytes:
    ids = [message["message_id"] for message in orjson.loads(body)["messages"]]
    answer = orjson.dumps({"results": [{"message_id": each, "id": f"b-{each}", "code": "250"} for each in ids]})
    return HEAD % (len(answer), answer)


async def _serve(port: Connection) -> None:
    server = await asyncio.get_running_loop().create_server(Answering, "127.0.0.1", 0, backlog=1_000)
    port.send(server.sockets[0].getsockname()[1])
    await server.serve_forever()


def _run(port: Connection) -> None:
    uvloop.run(_serve(port))


@contextmanager
def served() -> Iterator[str]:
    """Run the server in a process of its own; yields its address."""
    context = get_context("spawn")
    ours, theirs = context.Pipe()
    process = context.Process(target=_run, args=(theirs,), daemon=True)
    process.start()
    try:
        yield f"http://127.0.0.1:{ours.recv()}/"
    finally:
        process.terminate()
        process.join()
