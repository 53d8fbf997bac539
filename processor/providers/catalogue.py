"""The adapters there are."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Final

from processor.providers.http.adapter import HttpAdapter
from processor.providers.http.config import HttpConfig
from processor.providers.smpp.adapter import SmppAdapter
from processor.providers.smpp.config import SmppConfig
from processor.providers.smtp.adapter import SmtpAdapter
from processor.providers.smtp.config import SmtpConfig

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from processor.providers.adapter import Adapter

AdapterConfig = SmtpConfig | HttpConfig | SmppConfig


def _unix_ms() -> int:
    return time.time_ns() // 1_000_000


ADAPTERS: Final[Mapping[str, type[AdapterConfig]]] = {
    "smtp": SmtpConfig,
    "http": HttpConfig,
    "smpp": SmppConfig,
}
"""The configuration that each kind of adapter takes."""


def open_adapter(kind: str, config: AdapterConfig, *, now_ms: Callable[[], int] = _unix_ms) -> Adapter:
    """
    Return the adapter of *kind*; nothing is connected before its first call.

    Raises ValueError, which names the setting and what to write, for a configuration that cannot work.
    """
    if ADAPTERS.get(kind) is not type(config):
        raise ValueError(f"adapter: write one of {', '.join(ADAPTERS)}, with its own settings")
    match config:
        case SmtpConfig():
            return SmtpAdapter(config, now_ms=now_ms)
        case HttpConfig():
            return HttpAdapter(config, now_ms=now_ms)
        case SmppConfig():
            return SmppAdapter(config)
