"""Facts of millions of messages on disk, to be handed out message by message."""

from collections.abc import Iterator
from itertools import groupby
from operator import itemgetter
from typing import Final, Self

import orjson

from processor.core.audit.facts import KINDS, Fact
from processor.core.audit.story import Story
from processor.stages.joining.messages import opened

_TABLES: Final = """
pragma journal_mode = off;
pragma synchronous = off;
pragma cache_size = -16384;
create table fact (about text, kind integer, body blob);
begin;
"""
_BATCH: Final = 5_000
_NUMBERS: Final = {kind: number for number, kind in enumerate(KINDS)}


class Store:
    """
    A private database in a temporary file, which SQLite deletes with it.

    It holds no recipient and no content, and is sorted by the message that each fact is about when it is read.
    """

    def __init__(self) -> None:
        """Begin empty."""
        self._tables = opened(_TABLES)
        self._rows: list[tuple[str, int, bytes]] = []

    def __enter__(self) -> Self:
        """Do nothing: the file is there."""
        return self

    def __exit__(self, *_: object) -> None:
        """Delete the file."""
        self._tables.close()

    def add(self, about: str, fact: Fact) -> None:
        """Keep a fact."""
        self._rows.append((about, _NUMBERS[type(fact)], orjson.dumps(tuple(fact))))
        if len(self._rows) >= _BATCH:
            self._write()

    def forget(self, kind: type[Fact]) -> None:
        """Drop all facts of a kind, which are looked for again."""
        self._write()
        self._tables.execute("delete from fact where kind = ?", (_NUMBERS[kind],))

    def stories(self) -> Iterator[Story]:
        """Yield the story of each message, and of each place of which no message is known."""
        self._write()
        rows = self._tables.execute("select about, kind, body from fact order by about")
        for about, group in groupby(rows, key=itemgetter(0)):
            yield Story.of(about, (_fact(number, body) for _, number, body in group))

    def _write(self) -> None:
        self._tables.executemany("insert into fact values (?, ?, ?)", self._rows)
        self._rows.clear()


def _fact(number: int, body: bytes) -> Fact:
    return KINDS[number](*orjson.loads(body))
