"""`commproc sandbox`: mail server, HTTP service, short message centre; a ledger of what arrived, scripted faults."""

from __future__ import annotations

import asyncio
import ssl
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from processor.sandbox.behaviour import Behaviour
from processor.sandbox.callbacks import Callbacks
from processor.sandbox.http_server import HttpServer
from processor.sandbox.ledger import Ledger
from processor.sandbox.mailbox import Mailbox
from processor.sandbox.smsc import Smsc
from processor.sandbox.smtp_server import SmtpServer

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path


@dataclass(frozen=True, slots=True)
class SandboxConfig:
    """Where the sandbox listens and writes."""

    ledger_path: Path
    host: str = "127.0.0.1"
    smtp_port: int = 0  # 0: a free one
    http_port: int = 0
    smsc_port: int = 0
    behaviour: Mapping[str, Any] = field(default_factory=dict)  # see behaviour.py
    username: str | None = None  # None: any login, and none at all, will do
    password: str | None = field(default=None, repr=False)
    tls_certificate: Path | None = None  # PEM with key; offers STARTTLS
    smsc_tls: bool = False  # the short message centre speaks TLS alone, with that certificate
    mailbox: Path | None = None  # folder that keeps the mails; None: they are forgotten
    smsc_receipts: bool = True  # it sends a receipt for each message that asks for one
    webhook_url: str | None = None  # called with a report of each message that the HTTP service accepts
    webhook_key: str = field(default="sandbox-webhook-key", repr=False)


class Sandbox:
    """A running sandbox."""

    def __init__(self, config: SandboxConfig) -> None:
        self.host = config.host
        self.smtp_port = config.smtp_port
        self.http_port = config.http_port
        self.smsc_port = config.smsc_port
        self.ledger_path = config.ledger_path
        self.behaviour = Behaviour(config.behaviour)
        self._ledger = Ledger(config.ledger_path)
        login = None if config.username is None else (config.username, config.password or "")
        self._tls = tls = _tls(config.tls_certificate)
        mailbox = None if config.mailbox is None else Mailbox(config.mailbox)
        callbacks = None if config.webhook_url is None else Callbacks(config.webhook_url, config.webhook_key)
        self._smtp = SmtpServer(self._ledger, self.behaviour, login=login, tls=tls, mailbox=mailbox)
        self._http = HttpServer(self._ledger, self.behaviour, login=login, mailbox=mailbox, callbacks=callbacks)
        self.smsc = Smsc(
            self._ledger,
            self.behaviour,
            login=login,
            tls=tls if config.smsc_tls else None,
            sends_receipts=config.smsc_receipts,
        )

    @property
    def http_url(self) -> str:
        """Where the HTTP service is."""
        return f"http://{self.host}:{self.http_port}"

    def present(self, certificate: Path) -> None:
        """Show another certificate (PEM with key) to whoever connects from now on."""
        if self._tls is None:
            raise ValueError("the sandbox has no TLS: give it a tls_certificate")
        self._tls.load_cert_chain(certificate)

    async def start(self) -> None:
        """Listen on all ports. Raises OSError where one is taken."""
        self.smtp_port = await self._smtp.start(self.host, self.smtp_port)
        self.http_port = await self._http.start(self.host, self.http_port)
        self.smsc_port = await self.smsc.start(self.host, self.smsc_port)

    async def close(self) -> None:
        """Hang up, stop listening, finish the ledger."""
        await self._smtp.close()
        await self._http.close()
        await self.smsc.close()
        await self._ledger.close()


async def start_sandbox(config: SandboxConfig) -> Sandbox:
    """Return a sandbox that listens. Raises OSError for a port that is taken, ValueError for a script that is wrong."""
    sandbox = Sandbox(config)
    try:
        await sandbox.start()
    except OSError:
        await sandbox.close()
        raise
    return sandbox


async def run_sandbox(config: SandboxConfig, *, ready: Callable[[Sandbox], None] | None = None) -> None:
    """Run a sandbox until cancelled; *ready* is called once it listens."""
    sandbox = await start_sandbox(config)
    try:
        if ready is not None:
            ready(sandbox)
        await asyncio.Event().wait()
    finally:
        await sandbox.close()


def _tls(certificate: Path | None) -> ssl.SSLContext | None:
    if certificate is None:
        return None
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate)
    return context
