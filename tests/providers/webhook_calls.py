"""Webhooks as an operator writes them, and calls as providers make them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import yaml

from processor.providers.webhooks.call import Call
from processor.settings.load import load_text

if TYPE_CHECKING:
    from collections.abc import Mapping

    from processor.providers.webhooks.config import WebhookConfig

NOW_MS = 1_750_000_000_000
FORM = "application/x-www-form-urlencoded"
SECRET = "key-4711-0123456789"
ENVIRON = {"SECRET": SECRET, "TOKEN": "t"}
GENERIC: Mapping[str, Any] = {
    "scheme": "hmac",
    "secret": {"env": "SECRET"},
    "header": "X-Signature",
    "reports": "events",
    "type": "what",
    "subtype": "kind",
    "event_id": "id",
    "provider_message_id": "message",
    "occurred_at": "at",
    "occurred_in": "unix_s",
    "message_id": "ours.message_id",
    "states": {"done": "delivered", "bounce": "bounced_soft", "bounce/hard": "bounced_hard", "seen": "opened"},
}


def configured(webhook: Mapping[str, Any], environ: Mapping[str, str] = ENVIRON, **provider: Any) -> WebhookConfig:
    """Return what the settings make of *webhook*, below a provider P with the rest."""
    channel = {"action": "SMS", "bus_channel": "SMS", "bus_provider": "Bus", "provider": "P"}
    own = {"url": "https://p.example/", "body": {}} if "preset" not in provider else {}
    whole = {"adapter": "http", "bus_channel": "SMS", "bus_provider": "Bus", "webhook": webhook} | own | provider
    tracking = {"base_url": "https://t.example"}
    tree: dict[str, Any] = {"channels": {"C": channel}, "providers": {"P": whole}, "tracking": tracking}
    return load_text(yaml.safe_dump(tree), name="commproc.yaml", environ=environ).webhook_configs()["P"]


def call(body: bytes, query: str = "", base: str = "https://t.example", **headers: str) -> Call:
    """Return a call at /w/P; underscores in the names of *headers* are hyphens."""
    url = f"{base}/w/P{'?' if query else ''}{query}"
    return Call({name.replace("_", "-"): value for name, value in headers.items()}, body, query, url)
