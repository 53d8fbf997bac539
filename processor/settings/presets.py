"""Presets of HTTP services: what a provider does not say itself, its preset says."""

from collections.abc import Mapping
from typing import Annotated, Any, Final

from pydantic import AfterValidator

from processor.providers import presets
from processor.providers.http.template import PLACEHOLDER
from processor.settings.document import read
from processor.settings.kinds import Kind, url, wrong

MERGED: Final = frozenset({"headers", "query", "settings", "statuses", "codes", "retry_after_headers"})
"""Keys whose entries are merged one by one; of any other key the provider's own value replaces the preset's."""


def completed(written: Any) -> Any:
    """Return what was *written* of a provider together with what its preset adds; a wrong preset is left to others."""
    name = written.get("preset") if isinstance(written, Mapping) else None
    if name not in presets.NAMES:
        return written
    tree = read(presets.text(str(name)), name=str(name)).tree
    both = {key: _merged(tree[key], written[key]) for key in MERGED & tree.keys() & written.keys()}
    webhook = _webhook(tree.pop("webhook", {}), written.get("webhook"))
    return {**tree, **written, **both, **webhook}


def _webhook(preset: Mapping[str, Any], own: Any) -> Mapping[str, Any]:
    """Return the section, if the provider has one: without a secret, which no preset knows, nothing is taken."""
    if not isinstance(own, Mapping):
        return {}
    return {"webhook": {**preset, **own, "states": _merged(preset.get("states", {}), own.get("states", {}))}}


def _merged(preset: Any, own: Any) -> Any:
    return {**preset, **own} if isinstance(own, Mapping) else own


def known(value: str) -> str:
    """Refuse the name of no preset."""
    if value not in presets.NAMES:
        raise wrong("is not a preset", f"one of {', '.join(presets.NAMES)}, or leave it out")
    return value


def url_template(value: str) -> str:
    """Refuse what is no URL once its constants are filled in, and any other placeholder: a message chooses no URL."""
    for found in PLACEHOLDER.finditer(value):
        if not found[1].startswith("settings.") and found[1] != "username":
            raise wrong("holds a placeholder that a URL may not", "{{ settings.NAME }} or {{ username }}")
    url(PLACEHOLDER.sub("x", value))
    return value


Preset = Annotated[str, AfterValidator(known), Kind(", ".join(f"`{name}`" for name in presets.NAMES), "sendgrid")]
UrlTemplate = Annotated[str, AfterValidator(url_template), Kind("http(s) URL", "https://host/path")]
