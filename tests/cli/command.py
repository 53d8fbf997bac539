"""Runs `commproc` as a person does: a process of its own, its output and its exit code."""

from __future__ import annotations

import os
import subprocess
import sys
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

WITHIN_S = 60.0


@dataclass(frozen=True)
class Ran:
    """What a command has written, and how it ended."""

    code: int
    out: str
    err: str

    @property
    def lines(self) -> list[str]:
        return self.out.splitlines()


def environment(more: Mapping[str, str] | None = None) -> dict[str, str]:
    """Return ours without settings of the processor, and with *more*."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("COMMPROC_")}
    return kept | {"NO_COLOR": "1", "COLUMNS": "200"} | dict(more or {})


def commproc(
    *arguments: str,
    config: Path | None = None,
    environ: Mapping[str, str] | None = None,
    given: bytes = b"",
    within_s: float = WITHIN_S,
) -> Ran:
    """Run a command to its end; *given* is its standard input."""
    command = [sys.executable, "-m", "processor.cli", *arguments]
    if config is not None:
        command += ["--config", str(config)]
    ended = subprocess.run(
        command, input=given, capture_output=True, env=environment(environ), timeout=within_s, check=False
    )
    return Ran(ended.returncode, ended.stdout.decode(), ended.stderr.decode())
