"""The adapters there are."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Final

from processor.providers.http.config import HttpConfig
from processor.providers.smpp.config import SmppConfig
from processor.providers.smtp.config import SmtpConfig

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from processor.providers.adapter import Adapter
    from processor.providers.smpp.receipt import Receipts

AdapterConfig = SmtpConfig | HttpConfig | SmppConfig


def unix_ms() -> int:
    """Return the system's clock."""
    return time.time_ns() // 1_000_000


ADAPTERS: Final[Mapping[str, type[AdapterConfig]]] = {
    "smtp": SmtpConfig,
    "http": HttpConfig,
    "smpp": SmppConfig,
}
"""The configuration that each kind of adapter takes."""


def open_adapter(
    kind: str,
    config: AdapterConfig,
    *,
    now_ms: Callable[[], int] = unix_ms,
    receipts: Receipts | None = None,
) -> Adapter:
    """
    Return the adapter of *kind*; nothing is connected before it is opened or called.

    *receipts* is given what the provider tells later, if it tells over the same connection, and acknowledged when it
    returns. Raises ValueError, which names the setting and what to write, for a configuration that cannot work.
    """
    if ADAPTERS.get(kind) is not type(config):
        raise ValueError(f"adapter: write one of {', '.join(ADAPTERS)}, with its own settings")
    # Imported where they are used: their client libraries take most commands longer than their own work.
    match config:
        case SmtpConfig():
            from processor.providers.smtp.adapter import SmtpAdapter  # noqa: PLC0415

            return SmtpAdapter(config, now_ms=now_ms)
        case HttpConfig():
            from processor.providers.http.adapter import HttpAdapter  # noqa: PLC0415

            adapter = HttpAdapter(config, now_ms=now_ms)
            if config.recipient_kind != "phone":
                return adapter
            from processor.providers.texting import Texting  # noqa: PLC0415

            return Texting(adapter, countries=config.countries)
        case SmppConfig():
            from processor.providers.smpp.adapter import SmppAdapter, unread  # noqa: PLC0415

            return SmppAdapter(config, receipts=receipts or unread)
