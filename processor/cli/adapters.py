"""Opens the adapters of all providers."""

from collections.abc import Mapping

from processor.providers.adapter import Adapter
from processor.providers.attachments.adapter import WithAttachments
from processor.providers.catalogue import open_adapter
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
            opened[name] = WithAttachments(adapter, attachments)
        except ValueError as error:
            raise AdapterRefused(f"providers.{name}: {error}") from error
    return opened
