"""Messages in a file: JSON Lines or CSV, a line at a time, with the line's number."""

import csv
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import IO, Any, Final

import orjson

from processor.cli.compose import Row, Wrong

CELL_CHARS_MAX: Final = 16_777_216


class Format(StrEnum):
    """How a file of messages is written."""

    JSONL = "jsonl"
    CSV = "csv"


@dataclass(slots=True)
class Lines:
    """The lines of a binary file, and how much of it was read; bytes that are not UTF-8 become lone surrogates."""

    file: IO[bytes]
    number: int = 0
    size_bytes: int = 0

    def __iter__(self) -> Iterator[str]:
        for raw in self.file:
            self.number += 1
            self.size_bytes += len(raw)
            text = raw.decode("utf-8", "surrogateescape")
            yield text.removeprefix("\ufeff") if self.number == 1 else text


def format_of(path: Path, chosen: Format | None) -> Format:
    """Return the chosen format, else what the file's name says, else JSON Lines."""
    return chosen or (Format.CSV if path.suffix.lower() == ".csv" else Format.JSONL)


def opened(path: Path) -> IO[bytes]:
    """Open a file; `-` is standard input. Raises OSError."""
    return sys.stdin.buffer if str(path) == "-" else path.open("rb")


def rows(lines: Lines, form: Format) -> Iterator[tuple[int, Row | Wrong]]:
    """Yield each message with the number of its line, or what is wrong with the line; empty lines are passed over."""
    return _from_csv(lines) if form is Format.CSV else _from_json(lines)


def _from_json(lines: Lines) -> Iterator[tuple[int, Row | Wrong]]:
    for text in lines:
        if not text.strip():
            continue
        try:
            row: Any = orjson.loads(text)
        except ValueError:  # a lone surrogate, too
            row = None
        good = isinstance(row, dict)
        yield lines.number, row if good else Wrong("", "write one JSON object, in UTF-8")


def _from_csv(lines: Lines) -> Iterator[tuple[int, Row | Wrong]]:
    csv.field_size_limit(CELL_CHARS_MAX)
    reader = csv.reader(iter(lines), strict=True)
    try:
        names = [name.strip() for name in next(reader, [])]
        for cells in reader:
            if not cells:
                continue
            row = dict(zip(names, cells, strict=False))
            good = len(cells) == len(names)
            yield reader.line_num, row if good else Wrong("", f"write {len(names)} cells, as the first line has")
    except csv.Error:
        yield (
            reader.line_num,
            Wrong("", "write CSV with , between cells and quotes doubled; nothing after it was read"),
        )
