"""A sandbox that runs beside a test, in a thread of its own."""

from __future__ import annotations

import asyncio
import threading
from typing import TYPE_CHECKING, Any

from processor.sandbox.ledger import Entry, read_ledger
from processor.sandbox.servers import Sandbox, SandboxConfig, start_sandbox

if TYPE_CHECKING:
    from collections.abc import Coroutine, Mapping
    from pathlib import Path


class Sandboxed:
    """Mail server, HTTP service and short message centre, and the ledger of what arrived."""

    def __init__(self, ledger: Path, **settings: Any) -> None:
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="sandbox", daemon=True)
        self._thread.start()
        self._sandbox: Sandbox = self._run(start_sandbox(SandboxConfig(ledger, **settings)))

    @property
    def smtp_port(self) -> int:
        return self._sandbox.smtp_port

    @property
    def smsc_port(self) -> int:
        return self._sandbox.smsc_port

    @property
    def http_url(self) -> str:
        return self._sandbox.http_url

    def script(self, script: Mapping[str, Any]) -> None:
        """Put a script in force: rules by recipient or its prefix, and `default`."""

        async def replaced() -> None:
            self._sandbox.behaviour.replace(script)

        self._run(replaced())

    def present(self, certificate: Path) -> None:
        """Show another certificate to whoever connects from now on."""

        async def shown() -> None:
            self._sandbox.present(certificate)

        self._run(shown())

    def entries(self) -> list[Entry]:
        """Return what arrived so far."""
        return read_ledger(self._sandbox.ledger_path)

    def close(self) -> None:
        """Hang up on everybody, and end the thread."""
        self._run(self._sandbox.close())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    def _run(self, coroutine: Coroutine[Any, Any, Any]) -> Any:
        return asyncio.run_coroutine_threadsafe(coroutine, self._loop).result(30)
