"""Receipts without a message yet, and the ids of those that were seen; on disk, by partition."""

from collections import Counter
from collections.abc import Iterable, Sequence
from typing import Final, NamedTuple

from processor.kafka.committed import Place
from processor.stages.joining.messages import hashed, opened

_TABLES: Final = """
pragma journal_mode = off;
pragma synchronous = off;
pragma cache_size = -16384;
create table waiting (place text, offset integer, provider text, key blob, value blob,
  primary key (place, offset)) without rowid;
create table wanted (key integer, place text, offset integer, primary key (key, place, offset)) without rowid;
create table seen (place text, id integer, offset integer, primary key (place, id)) without rowid;
begin;
"""
_NEVER: Final = (1 << 63) - 1


class Kept(NamedTuple):
    """A receipt that waits, as it was read."""

    place: Place
    offset: int
    key: bytes | None
    value: bytes


class Waiting:
    """The receipts of all partitions of a process that wait for their message."""

    def __init__(self) -> None:
        """Begin empty."""
        self.by_provider: Counter[str] = Counter()
        self._tables = opened(_TABLES)

    def is_new(self, place: Place, offset: int, name: str) -> bool:
        """Tell whether *name* was not seen in this partition since what was forgotten, and remember it."""
        row = (_text(place), hashed(name), offset)
        return self._tables.execute("insert or ignore into seen values (?, ?, ?)", row).rowcount == 1

    def keep(self, receipt: Kept, provider: str, keys: Iterable[str]) -> None:
        """Let a receipt wait for one of *keys*."""
        place = _text(receipt.place)
        row = (place, receipt.offset, provider, receipt.key, receipt.value)
        self._tables.execute("insert into waiting values (?, ?, ?, ?, ?)", row)
        wanted = [(hashed(key), place, receipt.offset) for key in keys]
        self._tables.executemany("insert or ignore into wanted values (?, ?, ?)", wanted)
        self.by_provider[provider] += 1

    def wanting(self, keys: Iterable[str]) -> list[Kept]:
        """Return the receipts that wait for one of *keys*, or for one of the same hash."""
        if not self.by_provider.total():
            return []
        found: dict[tuple[str, int], Kept] = {}
        for key in keys:
            rows = self._tables.execute(
                "select place, offset, w.key, value from wanted join waiting w using (place, offset) "
                "where wanted.key = ?",
                (hashed(key),),
            )
            found |= {(place, offset): Kept(_place(place), offset, k, value) for place, offset, k, value in rows}
        return list(found.values())

    def of(self, place: Place, *, since: int = 0, before: int = _NEVER, most: int = -1) -> list[Kept]:
        """Return the receipts of a partition that wait, in order: *most* of them, of those between two offsets."""
        rows = self._tables.execute(
            "select offset, key, value from waiting where place = ? and offset >= ? and offset < ? "
            "order by offset limit ?",
            (_text(place), since, before, most),
        )
        return [Kept(place, *row) for row in rows]

    def settle(self, receipt: Kept, provider: str, keys: Sequence[str]) -> None:
        """Let a receipt wait no more."""
        at = (_text(receipt.place), receipt.offset)
        self._tables.execute("delete from waiting where place = ? and offset = ?", at)
        self._tables.executemany(
            "delete from wanted where key = ? and place = ? and offset = ?", [(hashed(key), *at) for key in keys]
        )
        self.by_provider[provider] -= 1

    def forget_seen(self, place: Place, before: int) -> None:
        """Forget the ids that were seen before an offset."""
        self._tables.execute("delete from seen where place = ? and offset < ?", (_text(place), before))

    def drop(self, place: Place) -> None:
        """Forget everything of a partition."""
        for table in ("waiting", "wanted", "seen"):
            self._tables.execute(f"delete from {table} where place = ?", (_text(place),))  # noqa: S608 - ours
        counts = self._tables.execute("select provider, count(*) from waiting group by provider").fetchall()
        for provider in self.by_provider:
            self.by_provider[provider] = 0
        self.by_provider.update(dict(counts))

    def close(self) -> None:
        """Delete the file."""
        self._tables.close()


def _text(place: Place) -> str:
    return f"{place[0]}/{place[1]}"


def _place(text: str) -> Place:
    topic, _, partition = text.rpartition("/")
    return topic, int(partition)
