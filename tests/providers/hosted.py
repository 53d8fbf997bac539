"""A hosted service that answers as it is told and keeps what it was asked: for shapes that vendors document."""

from __future__ import annotations

from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import yaml
from aiohttp import web

from processor.settings.load import load_text

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Mapping

    from processor.providers.http.config import HttpConfig


@dataclass(frozen=True)
class Reply:
    """What the service answers once; the last one is repeated."""

    status: int
    body: Any = None  # as JSON; text as it is; None is no body
    headers: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Asked:
    """One request as it arrived."""

    path: str
    headers: Mapping[str, str]
    content: Any  # parsed: JSON, or (name, value) pairs of a form, files as (name, file name, type, bytes)


class Hosted:
    """The running service."""

    def __init__(self) -> None:
        self.replies: list[Reply] = []
        self.asked: list[Asked] = []
        self.url = ""

    async def answer(self, request: web.Request) -> web.Response:
        self.asked.append(Asked(request.path_qs, request.headers, await _content(request)))
        reply = self.replies.pop(0) if len(self.replies) > 1 else self.replies[0]
        if reply.body is None or isinstance(reply.body, str):
            return web.Response(status=reply.status, text=reply.body, headers=reply.headers)
        return web.json_response(reply.body, status=reply.status, headers=reply.headers)


@asynccontextmanager
async def hosted(*replies: Reply) -> AsyncIterator[Hosted]:
    service = Hosted()
    service.replies = list(replies)
    app = web.Application()
    app.router.add_route("*", "/{path:.*}", service.answer)
    runner = web.AppRunner(app, access_log=None, handle_signals=False, shutdown_timeout=0.1)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    service.url = f"http://127.0.0.1:{runner.addresses[0][1]}"
    try:
        yield service
    finally:
        await runner.cleanup()


def provider_config(written: Mapping[str, Any], environ: Mapping[str, str]) -> HttpConfig:
    """Return the configuration of the HTTP provider that is *written*, as the settings make it."""
    channel = {"action": "SMS", "bus_channel": "SMS", "bus_provider": "Bus", "provider": "P"}
    provider = {"adapter": "http", "bus_channel": "SMS", "bus_provider": "Bus", **written}
    text = yaml.safe_dump({"channels": {"C": channel}, "providers": {"P": provider}})
    config: Any = load_text(text, name="commproc.yaml", environ=environ).adapter_configs()["P"]
    return config  # type: ignore[no-any-return]


async def _content(request: web.Request) -> Any:
    if request.content_type == "application/json":
        return await request.json()
    pairs: list[tuple[Any, ...]] = []
    for name, value in (await request.post()).items():
        if isinstance(value, web.FileField):
            pairs.append((name, value.filename, value.content_type, value.file.read()))
        else:
            pairs.append((name, value))
    return pairs
