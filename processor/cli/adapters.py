"""Opens the adapters of all providers."""

from collections.abc import Mapping

from processor.providers.adapter import Adapter
from processor.providers.attachments.adapter import WithAttachments
from processor.providers.catalogue import open_adapter, unix_ms
from processor.settings import Settings
from processor.stages.receipts import Receipts


class AdapterRefused(Exception):
    """A provider's settings cannot work together; the text names the provider, the setting and what to write."""


def open_adapters(settings: Settings, receipts: Receipts | None = None) -> Mapping[str, Adapter]:
    """
    Return the adapter of each provider by name; call it in the event loop that will use them.

    What providers tell later goes to *receipts*. Nothing is connected. Raises `AdapterRefused`.
    """
    opened: dict[str, Adapter] = {}
    attachments = settings.attachments.config()
    for name, config in settings.adapter_configs().items():
        try:
            kind = settings.providers[name].adapter
            adapter = open_adapter(kind, config, receipts=receipts.of(name) if receipts is not None else None)
            opened[name] = WithAttachments(_tracking(adapter, settings), attachments)
        except ValueError as error:
            raise AdapterRefused(f"providers.{name}: {error}") from error
    return opened


def _tracking(adapter: Adapter, settings: Settings) -> Adapter:
    config = settings.tracking_config()
    if config is None:
        return adapter
    from processor.providers.tracking.adapter import WithTracking  # noqa: PLC0415 - only where links are tracked

    return WithTracking(adapter, config, now_ms=unix_ms)
