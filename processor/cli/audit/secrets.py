"""Looks for secrets where none may be, and tells which by its line in their file."""

import base64
import binascii
import json
import zlib
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Final
from urllib.parse import quote

from processor.core.audit.account import Line
from processor.core.audit.finding import Finding

_PIECE_BYTES: Final = 1 << 20
_INFLATED_MAX: Final = 1 << 20


class Secrets:
    """The secrets of a file, a line each, as they are and as JSON and URLs write them."""

    def __init__(self, lines: Sequence[str] = ()) -> None:
        """Look for each of *lines* that is not empty."""
        self.line = Line()
        self._forms = [
            (form, number) for number, text in enumerate(lines, 1) if text.strip() for form in _forms(text.strip())
        ]
        self._longest = max((len(form) for form, _ in self._forms), default=1)

    def look(self, where: str, raw: bytes | None) -> None:
        """Look through bytes that lie somewhere."""
        if raw:
            for form, number in self._forms:
                if form in raw:
                    self.line.add(Finding(f"{where}: the secret of line {number}"))

    def look_in_metadata(self, where: str, metadata: str) -> None:
        """Look through the metadata of a commit, as it is and unpacked."""
        self.look(where, metadata.encode())
        try:
            unpacked = zlib.decompressobj().decompress(base64.b64decode(metadata, validate=True), _INFLATED_MAX)
        except (binascii.Error, ValueError, zlib.error):
            return
        self.look(where, unpacked)

    def look_in_files(self, paths: Sequence[Path]) -> int:
        """Look through files, and through all below folders; returns how many. Raises `OSError`."""
        count = 0
        for path in _files(paths):
            count += 1
            with path.open("rb") as file:
                for at, piece in self._pieces(iter(lambda: file.read(_PIECE_BYTES), b"")):
                    self.look(f"{path} from byte {at}", piece)
        return count

    def _pieces(self, read: Iterator[bytes]) -> Iterator[tuple[int, bytes]]:
        """Yield pieces that overlap, so that no secret lies across two of them; one may be told twice."""
        at, kept = 0, b""
        for raw in read:
            piece = kept + raw
            yield at, piece
            kept = piece[len(piece) - self._longest + 1 :] if self._longest > 1 else b""
            at += len(piece) - len(kept)


def _forms(text: str) -> set[bytes]:
    written = {text, json.dumps(text)[1:-1], json.dumps(text, ensure_ascii=False)[1:-1], quote(text, safe="")}
    return {each.encode("utf-8", "surrogatepass") for each in written}


def _files(paths: Sequence[Path]) -> Iterator[Path]:
    for path in paths:
        yield from sorted(each for each in path.rglob("*") if each.is_file()) if path.is_dir() else [path]
