"""granian's requests as `Front` takes them: bodies within bounds of size and time."""

import asyncio
from collections.abc import Mapping
from typing import Any, Final

from processor.logs import logger
from processor.metrics import INTERNAL_ERRORS
from processor.stages.tracking.front import Front, Rest
from processor.stages.tracking.responses import BAD_REQUEST, DEFECT, TOO_LARGE, TOO_SLOW, Response

log = logger()

STAGE: Final = "tracking"


class Request:
    """One request of RSGI 1.6 (granian's own interface): its scope, its body, and where the answer goes."""

    __slots__ = ("_body_timeout_s", "_exchange", "_given", "_protocol", "method", "path")

    def __init__(self, exchange: Any, body_timeout_s: float) -> None:
        """Read nothing yet."""
        self._exchange = exchange
        self._given = scope = exchange.scope
        self._protocol = exchange.proto
        self.method: str = scope.method
        self.path: str = scope.path
        self._body_timeout_s = body_timeout_s

    @property
    def query(self) -> str:
        """What stands behind the question mark."""
        return str(self._given.query_string)

    def header(self, name: str) -> str:
        """Return a header, "" without one."""
        return self._given.headers.get(name) or ""

    def headers(self) -> Mapping[str, str]:
        """Return all headers, names in lower case; of one that is repeated the last."""
        return {name.lower(): value for name, value in self._given.headers.items()}

    async def body(self, bytes_max: int) -> bytes | Response:
        """Return the whole body, or the answer to one that is too large, too slow or cut."""
        told = self.header("content-length")
        length = int(told) if told.isascii() and told.isdigit() else None
        if length is not None and length > bytes_max:
            return TOO_LARGE
        try:
            async with asyncio.timeout(self._body_timeout_s):
                body = await self._read(bytes_max)
        except TimeoutError:
            return TOO_SLOW
        if body is None:
            return TOO_LARGE
        return body if length in {None, len(body)} else BAD_REQUEST

    def reply(self, response: Response) -> None:
        """Answer; what comes after the first answer is not heard."""
        if response.body:
            self._protocol.response_bytes(response.status, response.headers, response.body)
        else:
            self._protocol.response_empty(response.status, response.headers)
        self._exchange.done()

    async def _read(self, bytes_max: int) -> bytes | None:
        body = bytearray()
        async for chunk in self._protocol:
            body += chunk
            if len(body) > bytes_max:
                return None
        return bytes(body)


class Application:
    """What is called for each request; nothing that a client sends ends it, or reaches a log."""

    def __init__(self, front: Front, *, body_timeout_s: float) -> None:
        """Answer as *front* says."""
        self._front = front
        self._body_timeout_s = body_timeout_s
        self._tasks: set[asyncio.Task[None]] = set()

    def __call__(self, exchange: Any) -> None:
        """Answer one request, now or later."""
        request = Request(exchange, self._body_timeout_s)
        try:
            rest = self._front.answer(request)
        except Exception as bug:  # noqa: BLE001 - this and the next are the only ones
            self._failed(bug, request)
            return
        if rest is not None:
            task = asyncio.get_running_loop().create_task(self._finish(rest, request))
            self._tasks.add(task)  # the loop itself only knows it weakly
            task.add_done_callback(self._tasks.discard)

    async def _finish(self, rest: Rest, request: Request) -> None:
        try:
            await rest
        except Exception as bug:  # noqa: BLE001
            self._failed(bug, request)

    @staticmethod
    def _failed(bug: Exception, request: Request) -> None:
        # Class and place only: the text may hold what a client sent.
        log.error("request.failed", stage=STAGE, exc_info=bug)
        INTERNAL_ERRORS.labels(STAGE).inc()
        request.reply(DEFECT)
