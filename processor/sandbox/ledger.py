"""Everything that the sandbox was sent, on disk before it answers: what tests and the demo add up against."""

from __future__ import annotations

import asyncio
import os
import time
from array import array
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any, Final

import orjson

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

PAGE_ENTRIES_MAX: Final = 10_000


@dataclass(frozen=True, slots=True)
class Entry:
    """One message that arrived whole, or one envelope that was refused. Holds recipients: a test tool's file."""

    at_ms: int  # Unix, when it had arrived whole
    first_byte_ms: int  # Unix, when its envelope or request began
    protocol: str  # smtp | http-email | http-sms | smpp
    message_id: str | None  # None: refused before the message was sent
    attempt: int | None
    recipients: tuple[str, ...]
    accepted: bool
    code: str  # as answered
    sha256: str  # of the bytes on the wire; over smpp, of the text that its parts make, in UTF-8
    size_bytes: int  # of the same
    segments: int | None = None  # over smpp, of a message that arrived whole
    n: int = 0  # from 1, in order of arrival


class Ledger:
    """
    An append-only file of JSON Lines.

    Entries that arrive while the disk is busy are written and synced together, so that the disk's
    latency bounds the answer's latency and not the rate.
    """

    def __init__(self, path: Path) -> None:
        """Open *path* to append; what an earlier sandbox left there stays, less a cut last line."""
        self.path = path
        path.parent.mkdir(parents=True, exist_ok=True)
        self._ends = array("Q")  # byte offset after each entry
        _drop_cut_line(path)
        if path.exists():
            with path.open("rb") as existing:
                for line in existing:
                    self._ends.append((self._ends[-1] if self._ends else 0) + len(line))
        self._file = path.open("ab", buffering=0)
        self._waiting: list[tuple[bytes, asyncio.Future[None]]] = []
        self._given = len(self._ends)
        self._writer: asyncio.Task[None] | None = None

    def __len__(self) -> int:
        """How many entries are on disk."""
        return len(self._ends)

    async def record(self, entry: Entry) -> int:
        """Write *entry*; returns its number once it is synced to disk."""
        self._given += 1
        number = self._given
        line = orjson.dumps(asdict(entry) | {"n": number}, option=orjson.OPT_APPEND_NEWLINE)
        synced = asyncio.get_running_loop().create_future()
        self._waiting.append((line, synced))
        if self._writer is None or self._writer.done():
            self._writer = asyncio.create_task(self._write())
        # Shielded: whoever is cancelled here leaves the entry to the others.
        await asyncio.shield(synced)
        return number

    def page(self, after: int) -> bytes:
        """Return the lines of the entries that follow number *after*, a bounded number of them."""
        end = min(len(self._ends), after + PAGE_ENTRIES_MAX)
        if end <= after:
            return b""
        start_bytes = self._ends[after - 1] if after else 0
        with self.path.open("rb") as file:
            file.seek(start_bytes)
            return file.read(self._ends[end - 1] - start_bytes)

    async def close(self) -> None:
        """Write what waits."""
        if self._writer is not None:
            await self._writer
        self._file.close()

    async def _write(self) -> None:
        while self._waiting:
            group, self._waiting = self._waiting, []
            await asyncio.to_thread(self._append, b"".join(line for line, _ in group))
            for line, synced in group:
                self._ends.append((self._ends[-1] if self._ends else 0) + len(line))
                synced.set_result(None)

    def _append(self, lines: bytes) -> None:
        self._file.write(lines)
        os.fdatasync(self._file.fileno())


def read_ledger(path: Path) -> list[Entry]:
    """Return the entries of a ledger; a last line that is not whole was never answered, and is left out."""
    return list(entries(path))


def entries(path: Path) -> Iterator[Entry]:
    """Yield what `read_ledger` returns, for ledgers larger than memory."""
    with path.open("rb") as file:
        for line in file:
            if line.endswith(b"\n"):
                yield _entry(orjson.loads(line))


def now_ms() -> int:
    """Return Unix milliseconds."""
    return time.time_ns() // 1_000_000


def _entry(members: dict[str, Any]) -> Entry:
    return Entry(**members | {"recipients": tuple(members["recipients"])})


def _drop_cut_line(path: Path) -> None:
    if not path.exists():
        return
    with path.open("rb+") as file:
        raw = file.read()
        file.truncate(raw.rfind(b"\n") + 1)
