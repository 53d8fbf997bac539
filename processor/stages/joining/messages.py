"""Every message that providers have taken since the horizon, on disk: receipts look theirs up."""

import sqlite3
from collections.abc import Callable, Iterator, Sequence
from hashlib import blake2b
from typing import Final, NamedTuple

from processor.core.events import DeliveryEvent
from processor.core.report import known_as

GENERATIONS: Final = 8
"""Messages are forgotten an eighth of the horizon at a time, by deleting a file."""

_TABLES: Final = """
pragma journal_mode = off;
pragma synchronous = off;
pragma cache_size = -8192;
create table message (number integer primary key, part integer, place integer, value blob);
create table known (key integer, number integer, primary key (key, number)) without rowid;
begin;
"""


class Found(NamedTuple):
    """A result, and where it lies in the delivery topic."""

    partition: int
    offset: int
    event: DeliveryEvent


class Messages:
    """
    Results by the keys of `known_as`; about 330 bytes of disk each, and up to 8 MiB of memory for each generation.

    Every file is temporary and private (SQLite deletes it with the connection): what it holds is read from Kafka again.
    """

    def __init__(self, decode: Callable[[bytes], object], horizon_ms: int) -> None:
        """Know nothing; *decode* gives the event of a record's value."""
        self._decode = decode
        self._span_ms = max(1, horizon_ms // GENERATIONS)
        self._generations: dict[int, sqlite3.Connection] = {}
        self._count: dict[int, int] = {}

    def __len__(self) -> int:
        """Return how many are known."""
        return sum(self._count.values())

    def add(self, partition: int, offset: int, event: DeliveryEvent, value: bytes) -> tuple[str, ...]:
        """Remember a result, as its record's *value*; returns its keys, none where no receipt can be of it."""
        keys = known_as(event)
        if keys:
            number = event.occurred_at_ms // self._span_ms
            tables = self._generation(number)
            row = tables.execute(
                "insert into message (part, place, value) values (?, ?, ?)", (partition, offset, value)
            )
            tables.executemany("insert or ignore into known values (?, ?)", [(hashed(k), row.lastrowid) for k in keys])
            self._count[number] += 1
        return keys

    def find(self, keys: Sequence[str]) -> list[Found]:
        """Return every message that is known under one of *keys*."""
        return [found for key in keys for found in self._find(key)]

    def forget(self, before_ms: int) -> None:
        """Forget what happened before *before_ms*, or somewhat earlier."""
        for number in [each for each in self._generations if (each + 1) * self._span_ms <= before_ms]:
            self._generations.pop(number).close()
            del self._count[number]

    def close(self) -> None:
        """Delete the files."""
        for tables in self._generations.values():
            tables.close()

    def _find(self, key: str) -> Iterator[Found]:
        for tables in self._generations.values():
            rows = tables.execute(
                "select part, place, value from known join message using (number) where key = ?", (hashed(key),)
            )
            for partition, offset, value in rows.fetchall():
                event = self._decode(value)
                if isinstance(event, DeliveryEvent) and key in known_as(event):  # two keys may have one hash
                    yield Found(partition, offset, event)

    def _generation(self, number: int) -> sqlite3.Connection:
        if number not in self._generations:
            self._generations[number] = opened(_TABLES)
            self._count[number] = 0
        return self._generations[number]


def opened(tables: str) -> sqlite3.Connection:
    """Return a private database in a temporary file; its loop makes it in one thread and uses it in another."""
    connection = sqlite3.connect("", isolation_level=None, check_same_thread=False)
    connection.executescript(tables)
    return connection


def hashed(key: str) -> int:
    """Return 64 bits of a key, as SQLite has integers."""
    digest = blake2b(key.encode("utf-8", "surrogatepass"), digest_size=8).digest()
    return int.from_bytes(digest, "big", signed=True)
