"""Each adapter beside the sandbox server that speaks its protocol."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from processor.core.message import Head, Message
from processor.providers.adapter import Submission
from processor.providers.catalogue import ADAPTERS, open_adapter
from processor.providers.http.config import HttpConfig
from processor.providers.smpp.config import SmppConfig
from processor.providers.smtp.config import SmtpConfig
from processor.sandbox.ledger import Entry, read_ledger
from processor.sandbox.servers import Sandbox, SandboxConfig, start_sandbox

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

    from processor.core.outcome import Outcome
    from processor.providers.adapter import Adapter
    from processor.providers.catalogue import AdapterConfig

PASSWORD = "canary-password-4711"
BODY = "canary-body-0815"
NOW_MS = 1_750_000_000_000  # 2025-06-15 15:06:40 UTC


@dataclass
class Twin:
    """An adapter, and what its server received."""

    adapter: Adapter
    sandbox: Sandbox

    @property
    def ledger(self) -> list[Entry]:
        return read_ledger(self.sandbox.ledger_path)

    @property
    def accepted(self) -> list[Entry]:
        return [entry for entry in self.ledger if entry.accepted]

    async def send(self, submission: Submission) -> Outcome:
        (outcome,) = await self.adapter.send([submission])
        return outcome


def submission(to: str, *, message_id: str = "m-1", attempt: int = 1, **content: Any) -> Submission:
    """An attempt to send a message; *content* are fields of `Message`."""
    fields = {"subject": "Hello", "text": BODY} | content
    return Submission(Message(Head(message_id, "Email"), to=to, **fields), attempt)


def smtp_config(port: int, **settings: Any) -> SmtpConfig:
    defaults: dict[str, Any] = {
        "host": "127.0.0.1",
        "port": port,
        "tls": "off",
        "from_address": "service@example.com",
        "message_id_domain": "example.com",
        "answer_timeout_ms": 1_000,
        "command_timeout_ms": 5_000,
        "greeting_timeout_ms": 5_000,
    }
    return SmtpConfig(**defaults | settings)


def http_config(url: str, **settings: Any) -> HttpConfig:
    defaults: dict[str, Any] = {
        "url": url,
        "body": {
            "message_id": "{{ message_id }}",
            "attempt": "{{ attempt }}",
            "to": "{{ to }}",
            "cc": "{{ cc }}",
            "bcc": "{{ bcc }}",
            "subject": "{{ subject }}",
            "text": "{{ text }}",
            "html": "{{ html }}",
        },
        "recipient_kind": "email",
        "provider_message_id": "id",
        "connect_timeout_ms": 5_000,
        "answer_timeout_ms": 1_000,
    }
    return HttpConfig(**defaults | settings)


def smpp_config(port: int, **settings: Any) -> SmppConfig:
    defaults: dict[str, Any] = {
        "host": "127.0.0.1",
        "port": port,
        "system_id": "app",
        "password": "",
        "tls": "off",
        "source_addr": "Example",
        "reference_tlv": 0x1400,
        "window_size": 20,
        "connect_timeout_ms": 5_000,
        "bind_timeout_ms": 5_000,
        "answer_timeout_ms": 1_000,
    }
    return SmppConfig(**defaults | settings)


@asynccontextmanager
async def sandbox_at(folder: Path, **settings: Any) -> AsyncIterator[Sandbox]:
    sandbox = await start_sandbox(SandboxConfig(ledger_path=folder / "ledger.jsonl", **settings))
    try:
        yield sandbox
    finally:
        await sandbox.close()


@asynccontextmanager
async def opened(config: AdapterConfig) -> AsyncIterator[Adapter]:
    kind = next(kind for kind, made in ADAPTERS.items() if isinstance(config, made))
    adapter = open_adapter(kind, config, now_ms=lambda: NOW_MS)
    try:
        yield adapter
    finally:
        await adapter.close()


@asynccontextmanager
async def listening(serve: Any) -> AsyncIterator[int]:
    """A TCP server that does what *serve*(reader, writer) does; yields its port."""
    tasks: set[asyncio.Task[None]] = set()

    async def served(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            await serve(reader, writer)
        except (OSError, asyncio.IncompleteReadError):
            pass  # the client hung up: the test asserts what it saw
        finally:
            writer.transport.abort()

    def connected(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.create_task(served(reader, writer))
        tasks.add(task)
        task.add_done_callback(tasks.discard)

    server = await asyncio.start_server(connected, "127.0.0.1", 0)
    try:
        yield int(server.sockets[0].getsockname()[1])
    finally:
        server.close()
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
