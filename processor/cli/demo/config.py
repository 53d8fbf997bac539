"""The demo's configuration: the packaged one, with its own addresses and waits of seconds instead of minutes."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

import yaml

from processor.settings import DEFAULT

HEADER: Final = "# Written by `commproc demo` out of the packaged configuration; everything is on this machine.\n"
RETRY: Final = {"max_attempts": 3, "interval": "1s"}


def write_config(path: Path, *, prefix: str, bootstrap: str, ports: Mapping[str, int]) -> None:
    """Write the configuration to *path*: topics under *prefix*, providers at *ports* (smtp, http, smsc), links too."""
    tree = yaml.safe_load(DEFAULT.read_text(encoding="utf-8"))
    tree["kafka"] = {"bootstrap": bootstrap}
    tree["topics"] = {"prefix": prefix}
    tree["tracking"] = {
        "base_url": f"http://127.0.0.1:{ports['links']}",
        "port": ports["links"],
        "human_after": "500ms",  # its people are quick
        "buffer_folder": str(path.parent),
    }
    for channel in tree["channels"].values():
        channel["retry"] = dict(RETRY)
    for provider in tree["providers"].values():
        provider.update(_http(provider, ports) if provider["adapter"] == "http" else _own(provider, ports))
    path.write_text(HEADER + yaml.safe_dump(tree, sort_keys=False, allow_unicode=True), encoding="utf-8")


def _own(provider: Mapping[str, Any], ports: Mapping[str, int]) -> dict[str, Any]:
    """Return the place of a server with a protocol of its own."""
    port = ports["smtp" if provider["adapter"] == "smtp" else "smsc"]
    return {"host": "127.0.0.1", "port": port, "tls": "off"}


def _http(provider: Mapping[str, Any], ports: Mapping[str, int]) -> dict[str, Any]:
    """Return the sandbox's address, and the headers by which its ledger knows a message and an attempt."""
    path = "email" if provider["bus_channel"] == "EMAIL" else "sms"
    found = {"url": f"http://127.0.0.1:{ports['http']}/{path}", "idempotency_header": "Idempotency-Key"}
    if "item" in provider:  # several messages in a call: each item says so itself
        return found
    return found | {"headers": {"X-Comm-Attempt": "{{ attempt }}"}}
