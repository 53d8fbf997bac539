"""A generator of requests for `bench.tracking`: kept connections, prepared bytes, and little else."""

from __future__ import annotations

import asyncio
from collections import deque
from typing import TYPE_CHECKING, NamedTuple, cast

import uvloop

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

_TICK_S = 0.001


class Load(NamedTuple):
    """What came of a run; latencies in seconds, from the instant a request was due."""

    answers: int
    elapsed_s: float
    wrong: int
    latencies_s: list[float]

    @property
    def per_s(self) -> float:
        return self.answers / self.elapsed_s


class Line(asyncio.Protocol):
    """One connection with one request at a time; answers have a Content-Length or no body."""

    def __init__(self, run: Run) -> None:
        self._run = run
        self._held = b""
        self.due_s = 0.0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)
        self._run.idle.append(self)

    def ask(self, request: bytes, due_s: float) -> None:
        self.due_s = due_s
        self._transport.write(request)

    def data_received(self, data: bytes) -> None:
        held = self._held + data
        end = held.find(b"\r\n\r\n") + 4
        if end < 4:
            self._held = held
            return
        at = held.find(b"content-length: ") + 16
        length = int(held[at : held.index(b"\r", at)]) if at >= 16 else 0
        if len(held) < end + length:
            self._held = held
            return
        self._held = b""
        self._run.answered(self, held[9:12])


class Run:
    """One run of *count* requests: as fast as they are answered, or *per_s* of them a second."""

    def __init__(self, requests: Sequence[bytes], count: int, status: bytes, per_s: float | None) -> None:
        self._requests = self._endless(requests)
        self._count = count
        self._status = status
        self._per_s = per_s
        self._asked = self._answers = self._wrong = 0
        self._latencies_s: list[float] = []
        self.idle: deque[Line] = deque()
        self._loop = asyncio.get_running_loop()
        self._over = self._loop.create_future()

    @staticmethod
    def _endless(requests: Sequence[bytes]) -> Iterator[bytes]:
        while True:
            yield from requests

    async def go(self, port: int, connections: int) -> Load:
        lines = [
            (await self._loop.create_connection(lambda: Line(self), "127.0.0.1", port))[0] for _ in range(connections)
        ]
        self._began_s = self._loop.time()
        if self._per_s is None:
            while self.idle:
                self._next(self.idle.popleft(), self._loop.time())
        else:
            self._pace()
        await self._over
        elapsed_s = self._loop.time() - self._began_s
        for each in lines:
            each.close()
        return Load(self._answers, elapsed_s, self._wrong, self._latencies_s)

    def _next(self, line: Line, due_s: float) -> None:
        if self._asked < self._count:
            self._asked += 1
            line.ask(next(self._requests), due_s)

    def _pace(self) -> None:
        """Ask for what is due; what finds no idle connection goes out late, and counts from when it was due."""
        assert self._per_s is not None  # noqa: S101
        due = min(self._count, int((self._loop.time() - self._began_s) * self._per_s))
        while self._asked < due and self.idle:
            self._next(self.idle.popleft(), self._began_s + self._asked / self._per_s)
        if self._asked < self._count:
            self._loop.call_later(_TICK_S, self._pace)

    def answered(self, line: Line, status: bytes) -> None:
        now_s = self._loop.time()
        self._latencies_s.append(now_s - line.due_s)
        self._answers += 1
        self._wrong += status != self._status
        if self._per_s is None:
            self._next(line, now_s)
        else:
            self.idle.append(line)
        if self._answers == self._count:
            self._over.set_result(None)


def load(
    port: int, requests: Sequence[bytes], count: int, *, status: bytes, connections: int, per_s: float | None = None
) -> Load:
    """Run in this process."""

    async def run() -> Load:
        return await Run(requests, count, status, per_s).go(port, connections)

    return uvloop.run(run())
