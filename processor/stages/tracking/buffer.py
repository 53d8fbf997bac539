"""Events that wait for Kafka, in a file: bounded, and safe when `put` says so."""

import asyncio
import sqlite3
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Final, NamedTuple, TypeVar

from processor.logs import logger
from processor.metrics import TRACKING_WAITING, TRACKING_WAITING_BYTES

log = logger()
T = TypeVar("T")

ROW_BYTES: Final = 64  # what a row takes besides its texts
_TELL_EVERY: Final = 1_000

_SCHEMA: Final = """
PRAGMA locking_mode=EXCLUSIVE;
PRAGMA journal_mode=WAL;
PRAGMA synchronous=FULL;
PRAGMA journal_size_limit=4194304;
CREATE TABLE IF NOT EXISTS waiting (
    number INTEGER PRIMARY KEY, topic TEXT NOT NULL, key BLOB NOT NULL, value BLOB NOT NULL);
BEGIN IMMEDIATE;
COMMIT;
"""


class BufferTaken(Exception):
    """The file cannot be used: another process has it, or its folder cannot be written to."""


class Record(NamedTuple):
    """What is to be on a topic."""

    topic: str
    key: bytes
    value: bytes

    @property
    def size_bytes(self) -> int:
        """What it counts for."""
        return len(self.key) + len(self.value) + ROW_BYTES


class Row(NamedTuple):
    """A record that is on its way to the disk."""

    number: int
    written: asyncio.Future[bool]  # True once it is there; False where the disk refuses


class Buffer:
    """
    A SQLite file of one process. Used from one event loop; the file is written in a thread of its own.

    Records that come while others are being written go together in the next write: one fsync for all of them.
    """

    def __init__(self, path: Path, bytes_max: int) -> None:
        """Open or make the file; raises `BufferTaken`."""
        self._bytes_max = bytes_max
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="tracking.buffer")
        self._pending: list[tuple[Record, Row]] = []
        self._writing: asyncio.Task[None] | None = None
        self._failures = 0
        self._owed: dict[int, int] = {}  # rows that Kafka has, and the disk refused to delete, with their sizes
        try:
            path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            self._file = sqlite3.connect(path, timeout=0.0, isolation_level=None, check_same_thread=False)
            self._file.executescript(_SCHEMA)
            counted = self._file.execute(
                "SELECT count(*), coalesce(sum(length(key) + length(value)), 0), coalesce(max(number), 0) FROM waiting"
            ).fetchone()
        except (OSError, sqlite3.Error) as error:
            raise BufferTaken(type(error).__name__) from None
        self.count: int = counted[0]
        self.size_bytes: int = counted[1] + ROW_BYTES * self.count
        self._last: int = counted[2]
        self._tell()

    @property
    def full(self) -> bool:
        """Tell whether nothing more goes in."""
        return self.size_bytes >= self._bytes_max

    @property
    def owes(self) -> bool:
        """Tell whether `take_out` has yet to delete what it was given."""
        return bool(self._owed)

    def put(self, record: Record) -> Row | None:
        """Begin to write *record*; None where the buffer is full."""
        if self.size_bytes + record.size_bytes > self._bytes_max:
            return None
        self._count(1, record.size_bytes)
        self._last += 1
        row = Row(self._last, asyncio.get_running_loop().create_future())
        self._pending.append((record, row))
        if self._writing is None:
            self._writing = asyncio.create_task(self._write_all())
        return row

    async def first(self, count: int) -> list[tuple[int, Record]] | None:
        """Return the oldest *count* records that Kafka has not, with their numbers; None where the disk refuses."""
        rows = await self._in_thread(self._read, count + len(self._owed))
        if rows is None:
            return None
        left = [(number, Record(*record)) for number, record in rows if number not in self._owed]
        return left[:count]

    async def take_out(self, rows: Iterable[tuple[int, Record]]) -> bool:
        """
        Delete what Kafka has, and what was owed; False where the disk refuses.

        Then it is owed, and given to nobody again; only a process that starts anew publishes it once more, as it was.
        """
        self._owed |= {number: record.size_bytes for number, record in rows}
        gone = dict(self._owed)
        if await self._in_thread(self._delete, [(number,) for number in gone]) is None:
            return False
        for number in gone:
            del self._owed[number]
        self._count(-len(gone), -sum(gone.values()))
        return True

    async def close(self) -> None:
        """Write what is under way and close the file; what waits is there at the next start."""
        while self._writing is not None:
            await self._writing
        await self._in_thread(self._file.close)
        self._thread.shutdown()

    async def _write_all(self) -> None:
        while self._pending:
            batch, self._pending = self._pending, []
            safe = await self._in_thread(self._insert, [(row.number, *record) for record, row in batch]) is not None
            if not safe:
                self._count(-len(batch), -sum(record.size_bytes for record, _ in batch))
            for _, row in batch:
                if not row.written.done():
                    row.written.set_result(safe)
        self._writing = None

    async def _in_thread(self, step: Callable[..., T], *arguments: object) -> T | None:
        """Return what *step* does with the file; None where the disk is full, or refuses otherwise."""
        return await asyncio.get_running_loop().run_in_executor(self._thread, self._guarded, step, *arguments)

    def _count(self, records: int, size_bytes: int) -> None:
        self.count += records
        self.size_bytes += size_bytes
        self._tell()

    def _tell(self) -> None:
        TRACKING_WAITING.set(self.count)
        TRACKING_WAITING_BYTES.set(self.size_bytes)

    # -- in the thread ------------------------------------------------------------------------------

    def _guarded(self, step: Callable[..., T], *arguments: object) -> T | None:
        try:
            return step(*arguments)
        except sqlite3.Error as error:
            if self._failures % _TELL_EVERY == 0:
                log.error("buffer.failed", stage="tracking", error=error, count=self._failures + 1)  # noqa: TRY400
            self._failures += 1
            if self._file.in_transaction:
                self._file.execute("ROLLBACK")
            return None

    def _insert(self, rows: list[tuple[int, str, bytes, bytes]]) -> bool:
        self._file.execute("BEGIN IMMEDIATE")
        self._file.executemany("INSERT INTO waiting (number, topic, key, value) VALUES (?, ?, ?, ?)", rows)
        self._file.execute("COMMIT")
        return True

    def _read(self, count: int) -> list[tuple[int, tuple[str, bytes, bytes]]]:
        rows = self._file.execute("SELECT number, topic, key, value FROM waiting ORDER BY number LIMIT ?", (count,))
        return [(number, (topic, key, value)) for number, topic, key, value in rows]

    def _delete(self, numbers: list[tuple[int]]) -> bool:
        self._file.execute("BEGIN IMMEDIATE")
        self._file.executemany("DELETE FROM waiting WHERE number = ?", numbers)
        self._file.execute("COMMIT")
        return True
