"""A small configuration, and ways to get it wrong."""

from __future__ import annotations

from typing import Any

import pytest
import yaml

from processor.settings import ConfigurationError
from processor.settings.load import load_text

SMALL = """
channels:
  Email: {action: EMAIL, bus_channel: EMAIL, bus_provider: Bus, provider: Gateway}
providers:
  Gateway:
    adapter: smtp
    bus_provider: Bus
    bus_channel: EMAIL
    host: mail.example.com
    from_address: noreply@example.com
"""
HTTP = {"adapter": "http", "bus_provider": "B", "bus_channel": "SMS", "url": "https://x/", "body": {}}


def wrong(text: str, environ: dict[str, str] | None = None) -> list[str]:
    """Return the lines of the errors in *text*."""
    with pytest.raises(ConfigurationError) as caught:
        load_text(text, name="commproc.yaml", environ=environ or {})
    assert len(caught.value.problems) == len(str(caught.value).splitlines())
    return str(caught.value).splitlines()


def changed(section: str, **values: Any) -> str:
    """Return the small configuration with *values* in the section at the dotted path."""
    tree = yaml.safe_load(SMALL)
    node = tree
    for key in section.split(".") if section else ():
        node = node.setdefault(key, {})
    node.update(values)
    return yaml.safe_dump(tree)
