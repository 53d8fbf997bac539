"""
What is kept of measurements: each beside the command, the run, the git revision and the versions that it is of.

A run replaces what it measures and leaves the rest, so that a page may be of several: each section has to say its own.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import time
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from processor.sandbox.versions import versions

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

ROOT: Final = Path(__file__).parent.parent
RESULTS: Final = ROOT / "docs" / "performance.json"
WRITTEN: Final = tuple(f"docs/{name}.{kind}" for name in ("performance", "reliability") for kind in ("json", "md"))
PACKAGES: Final[Mapping[str, Sequence[str]]] = {
    "smtp": ("uvloop", "cryptography"),
    "http": ("aiohttp", "uvloop"),
    "smpp": ("smpp34", "uvloop"),
    "whole": ("uvloop",),
    "tracking": ("granian", "uvloop"),
}
"""Packages that a measurement stands beside, or on, by its name."""
BESIDE_POSTFIX: Final = ("smtp", "whole")
OF_THE_RUN: Final = ("command", "on", "versions")
"""What results of older runs had once for all that were measured in one process."""


class Run(NamedTuple):
    """A run of measurements: when it began, and the revision that it measures."""

    on: str
    revision: str

    @classmethod
    def begun(cls) -> Run:
        """Return the run that begins now."""
        return cls(time.strftime("%Y-%m-%d %H:%M UTC", time.gmtime()), revision(ROOT))

    def told(self, name: str, command: str) -> dict[str, Any]:
        """Return what is kept beside the figures of a measurement."""
        return {"command": command, "on": self.on, "revision": self.revision, "versions": ran_on(name)}


def revision(folder: Path) -> str:
    """Return the commit of *folder*, and whether files of it are changed; what a run itself writes doesn't count."""
    git = shutil.which("git")
    if git is None:
        return "unknown"

    def said(*arguments: str) -> str | None:
        done = subprocess.run([git, "-C", str(folder), *arguments], capture_output=True, text=True, check=False)
        return None if done.returncode else done.stdout.strip()

    commit = said("rev-parse", "--short=12", "HEAD")
    if commit is None:
        return "unknown"
    changed = said("status", "--porcelain", "--untracked-files=no", "--", ".", *(f":!{each}" for each in WRITTEN))
    return f"{commit} and changes" if changed else commit


def ran_on(name: str) -> str:
    """Return the versions of what a measurement of this moment runs on, and of what it stands beside."""
    told = [f"{each} {number}" for each, number in versions().items()]
    told += [f"{package} {version(package)}" for package in PACKAGES.get(name, ())]
    told += list(_postfix()) if name in BESIDE_POSTFIX else []
    return ", ".join([*told, f"{os.cpu_count()} cores"])


def _postfix() -> Iterator[str]:
    postconf = shutil.which("postconf", path="/usr/sbin:/usr/bin")
    if postconf is not None:
        told = subprocess.run([postconf, "-d", "-h", "mail_version"], capture_output=True, text=True, check=True)
        yield f"Postfix {told.stdout.strip()}"


def kept(path: Path = RESULTS) -> dict[str, Any]:
    """Return what earlier runs have left, each measurement with what is known of its own run."""
    results = dict(json.loads(path.read_text(encoding="utf-8"))) if path.exists() else {}
    of_the_run = {key: results.pop(key) for key in OF_THE_RUN if key in results}
    for unused in ("rounds", "records"):  # they are in the command
        results.pop(unused, None)
    for name, found in results.items():
        if isinstance(found, list):
            results[name] = of_the_run | {"rounds": found}
        elif "on" not in found:
            results[name] = of_the_run | found
    return results


def keep(results: Mapping[str, Any], path: Path = RESULTS) -> None:
    """Write what was found so far."""
    path.write_text(json.dumps(results, indent=2) + "\n", encoding="utf-8")
