"""Reports what became of accepted messages by calling a webhook, signed, as hosted services do."""

from __future__ import annotations

import asyncio
import hmac
import time
from typing import TYPE_CHECKING, Any, Final

import aiohttp
import orjson

if TYPE_CHECKING:
    from collections.abc import Mapping

HEADER: Final = "X-Sandbox-Signature"
TIMESTAMP_HEADER: Final = "X-Sandbox-Timestamp"
TRIES: Final = 10
AGAIN_S: Final = 0.5
WAIT_S: Final = 10.0
ECHOED: Final = ("message_id", "attempt", "ref")
"""Fields of a request that its reports hold as they came."""


class Callbacks:
    """
    Calls one address after each accepted message; what it could not tell in ten tries it drops.

    A call is `{"reports": [{"id", "type", "message", "at", …}]}`, `at` in Unix seconds and the rest as in the request.
    Its signature is `sha256=` and the HMAC-SHA256, in hexadecimal digits, over the time in its header, a full stop and
    the body.
    """

    def __init__(self, url: str, key: str) -> None:
        """Sign with *key*."""
        self._url = url
        self._key = key.encode()
        self._session: aiohttp.ClientSession | None = None
        self._calls: set[asyncio.Task[None]] = set()

    def delivered(self, asked: Mapping[str, Any], number: int) -> None:
        """Report message *number* as delivered, soon."""
        told = {name: asked[name] for name in ECHOED if name in asked}
        report = {"id": f"report-{number}", "type": "delivered", "message": f"sandbox-{number}", "at": int(time.time())}
        call = asyncio.get_running_loop().create_task(self._tell(orjson.dumps({"reports": [report | told]})))
        self._calls.add(call)
        call.add_done_callback(self._calls.discard)

    async def close(self) -> None:
        """Tell no more."""
        for call in self._calls:
            call.cancel()
        await asyncio.gather(*self._calls, return_exceptions=True)
        if self._session is not None:
            await self._session.close()

    async def _tell(self, body: bytes) -> None:
        for _ in range(TRIES):
            if await self._answered(body):
                return
            await asyncio.sleep(AGAIN_S)

    async def _answered(self, body: bytes) -> bool:
        """Return whether there is no use in calling again: only a 5xx, or no answer at all, may change."""
        if self._session is None:
            self._session = aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=WAIT_S))
        timestamp = str(int(time.time()))
        signature = hmac.digest(self._key, f"{timestamp}.".encode() + body, "sha256").hex()
        headers = {HEADER: f"sha256={signature}", TIMESTAMP_HEADER: timestamp, "Content-Type": "application/json"}
        try:
            async with self._session.post(self._url, data=body, headers=headers) as answer:
                return answer.status < 500  # noqa: PLR2004 - RFC 9110 §15.6
        except (aiohttp.ClientError, TimeoutError):
            return False
