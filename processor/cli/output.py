"""How commands print: tables as wide as the terminal, instants in UTC, nothing that steers a terminal."""

import sys
from datetime import UTC, datetime
from typing import Final

from rich.console import Console
from rich.table import Table

PIPE_WIDTH: Final = 200
"""Columns of a table that goes into a file or a pipe: wide enough that nothing is cut."""


def console() -> Console:
    """Return where tables go."""
    return Console(width=None if sys.stdout.isatty() else PIPE_WIDTH, highlight=False, markup=False)


def table_of(table: Table) -> None:
    """Print *table*, its title at the left."""
    table.title_justify = "left"
    console().print(table)


def instant(ms: int | None) -> str:
    """Return Unix milliseconds as ISO 8601 in UTC; `-` for none."""
    if ms is None:
        return "-"
    return datetime.fromtimestamp(ms / 1_000, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def plain(text: str | None) -> str:
    """Return *text* on one line, without control characters; `-` for none (FAULTS B29)."""
    return "-" if text is None else "".join(c if c.isprintable() else "?" for c in text)
