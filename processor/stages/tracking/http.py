"""granian's requests as `Front` takes them: bodies within bounds of size and time."""

import asyncio
from collections.abc import Mapping
from typing import Any, Final

from processor.logs import logger
from processor.metrics import INTERNAL_ERRORS
from processor.stages.tracking.front import Front
from processor.stages.tracking.responses import BAD_REQUEST, DEFECT, TOO_LARGE, TOO_SLOW, Response

log = logger()

STAGE: Final = "tracking"


class Request:
    """One request of RSGI 1.6 (granian's own interface): its scope, and what its body comes from."""

    __slots__ = ("_body_timeout_s", "_given", "_protocol", "method", "path")

    def __init__(self, scope: Any, protocol: Any, body_timeout_s: float) -> None:
        """Read nothing yet."""
        self.method: str = scope.method
        self.path: str = scope.path
        self._given = scope
        self._protocol = protocol
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

    async def _read(self, bytes_max: int) -> bytes | None:
        body = bytearray()
        async for chunk in self._protocol:
            body += chunk
            if len(body) > bytes_max:
                return None
        return bytes(body)


class Application:
    """What granian calls for each request; nothing that a client sends ends it, or reaches a log."""

    def __init__(self, front: Front, *, body_timeout_s: float) -> None:
        """Answer as *front* says."""
        self._front = front
        self._body_timeout_s = body_timeout_s

    async def __rsgi__(self, scope: Any, protocol: Any) -> None:
        """Answer one request."""
        try:
            response = await self._front.answer(Request(scope, protocol, self._body_timeout_s))
        except Exception as bug:
            # Class and place only: the text may hold what a client sent.
            log.error("request.failed", stage=STAGE, exc_info=bug)  # noqa: TRY400
            INTERNAL_ERRORS.labels(STAGE).inc()
            response = DEFECT
        if response.body:
            protocol.response_bytes(response.status, response.headers, response.body)
        else:
            protocol.response_empty(response.status, response.headers)
