"""A service that is asked to send and calls back: what it reports finds its message by our own ids."""

from __future__ import annotations

from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import pytest
from aiohttp import web

from processor.core.message import Head, Message
from processor.core.outcome import Accepted
from processor.providers.adapter import Submission
from processor.providers.catalogue import open_adapter
from processor.sandbox.callbacks import HEADER, TIMESTAMP_HEADER
from processor.sandbox.servers import SandboxConfig, start_sandbox
from processor.stages.clock import SystemClock
from processor.stages.tracking.webhooks import Webhooks
from tests.providers.hosted import provider_config
from tests.providers.webhook_calls import configured
from tests.support.eventually import eventually_async

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Sequence
    from pathlib import Path

    from processor.core.events import Receipt

KEY = "sandbox-key-0123456789"
WEBHOOK = {
    "scheme": "hmac",
    "secret": {"env": "KEY"},
    "header": HEADER,
    "prefix": "sha256=",
    "timestamp_header": TIMESTAMP_HEADER,
    "signed": "{{ timestamp }}.{{ body }}",
    "reports": "reports",
    "type": "type",
    "event_id": "id",
    "provider_message_id": "message",
    "occurred_at": "at",
    "occurred_in": "unix_s",
    "echo": "ref",
    "states": {"delivered": "delivered"},
}


@dataclass
class Door:
    """Where the service calls."""

    url: str = ""
    statuses: list[int] = field(default_factory=list)
    receipts: list[Receipt] = field(default_factory=list)
    away: int = 0  # calls that Kafka will not take

    async def publish(self, receipts: Sequence[Receipt]) -> None:
        if self.away:
            self.away -= 1
            raise TimeoutError
        self.receipts.extend(receipts)


@asynccontextmanager
async def door(key: str = KEY) -> AsyncIterator[Door]:
    made = Door()
    hooks = {"P": configured(WEBHOOK, {"KEY": key})}
    webhooks = Webhooks(hooks, made.publish, SystemClock().now_ms, 300_000, "https://t.example")

    async def take(request: web.Request) -> web.Response:
        status = await webhooks.take("P", request.headers, await request.read(), request.query_string)
        made.statuses.append(status)
        return web.Response(status=status)

    app = web.Application()
    app.router.add_post("/w/P", take)
    runner = web.AppRunner(app, access_log=None, handle_signals=False, shutdown_timeout=0.1)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    made.url = f"http://127.0.0.1:{runner.addresses[0][1]}/w/P"
    try:
        yield made
    finally:
        await runner.cleanup()


async def sent(made: Door, ledger: Path, to: str = "40722000111") -> Any:
    sandbox = await start_sandbox(SandboxConfig(ledger, webhook_url=made.url, webhook_key=KEY))
    body = {"to": "{{ to }}", "text": "{{ text }}", "ref": "{{ echo }}", "message_id": "{{ message_id }}"}
    config = provider_config({"url": f"{sandbox.http_url}/sms", "body": body, "provider_message_id": "id"}, {})
    head = Head("m:1", "SMS", campaign_id="spring", external_id="ref 1")
    adapter = open_adapter("http", config)
    try:
        (outcome,) = await adapter.send([Submission(Message(head, to=to, text="Hi"), 2)])
        if isinstance(outcome, Accepted):
            await eventually_answered(made)
    finally:
        await adapter.close()
        await sandbox.close()
    return outcome


async def eventually_answered(made: Door) -> None:
    await eventually_async(lambda: bool(made.statuses and made.statuses[-1] < 500), within_s=10)


async def test_a_report_comes_back_with_all_of_our_ids(tmp_path: Path) -> None:
    async with door() as made:
        outcome = await sent(made, tmp_path / "ledger.jsonl")

    (receipt,) = made.receipts
    assert isinstance(outcome, Accepted)
    assert receipt.provider_message_id == outcome.provider_message_id
    assert (receipt.state, receipt.message_id, receipt.channel, receipt.attempt) == ("delivered", "m:1", "SMS", 2)
    assert (receipt.campaign_id, receipt.external_id) == ("spring", "ref 1")


async def test_what_kafka_did_not_take_comes_again(tmp_path: Path) -> None:
    async with door() as made:
        made.away = 1
        await sent(made, tmp_path / "ledger.jsonl")

    assert made.statuses == [503, 204]
    assert len(made.receipts) == 1


async def test_a_service_with_another_key_is_refused(tmp_path: Path) -> None:
    async with door("another-key-0123456789") as made:
        await sent(made, tmp_path / "ledger.jsonl")

    assert made.statuses == [401]
    assert made.receipts == []


@pytest.mark.parametrize("to", ["40722000550"])
async def test_a_message_that_was_refused_has_no_report(tmp_path: Path, to: str) -> None:
    async with door() as made:
        assert not isinstance(await sent(made, tmp_path / "ledger.jsonl", to), Accepted)

    assert made.statuses == []
