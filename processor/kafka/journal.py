"""
The journal of a partition: which offsets have started and which have finished, in commit metadata.

The committed offset is the low-water mark, the first offset without a result. Its metadata says which
offsets above it have *started* and which have *finished*: a version byte, two bitmaps relative to the
mark, compressed and in base64, for Kafka stores a string of at most 4,095 characters there.
Offsets that hold no record (transaction markers, aborted records) count as finished.
"""

import base64
import binascii
import zlib
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Final

VERSION: Final = 1
_SIZE_BYTES: Final = 4
METADATA_MAX: Final = 4_095  # `offset.metadata.max.bytes` is 4,096; one more aborts the whole tick
METADATA_STOP: Final = 3_500  # no more starts on this partition
_BITS_MAX: Final = 1 << 20


class JournalUnreadable(Exception):
    """The metadata of a commit is none of ours: what had started is not known."""


@dataclass(frozen=True, slots=True)
class Entry:
    """A commit of one partition: the mark, and what lies above it."""

    mark: int
    started: frozenset[int]
    finished: frozenset[int]


def encode(mark: int, started: Iterable[int], finished: Iterable[int]) -> str:
    """Return the metadata of a commit at *mark*; offsets below the mark are left out."""
    raw = bytes((VERSION,)) + _framed(_bitmap(mark, started)) + _framed(_bitmap(mark, finished))
    return base64.b64encode(zlib.compress(raw, 1)).decode("ascii")


def decode(mark: int, metadata: str | None) -> Entry:
    """Return what a commit said; raises `JournalUnreadable` where it is empty, cut or of another version."""
    raw = _unpacked(metadata or "")
    if raw[:1] != bytes((VERSION,)):
        raise JournalUnreadable("another version")
    started, rest = _unframed(raw[1:])
    finished, rest = _unframed(rest)
    if rest:
        raise JournalUnreadable("bytes after the end")
    return Entry(mark, frozenset(_offsets(mark, started)), frozenset(_offsets(mark, finished)))


def furthest(one: Entry, other: Entry) -> Entry:
    """Return what is true of a partition of which both were once committed: a journal never goes back."""
    mark = max(one.mark, other.mark)
    finished = frozenset(offset for offset in one.finished | other.finished if offset >= mark)
    started = frozenset(offset for offset in one.started | other.started if offset >= mark)
    return Entry(mark, started - finished, finished)


def _bitmap(mark: int, offsets: Iterable[int]) -> bytes:
    relative = [offset - mark for offset in offsets if offset >= mark]
    if not relative:
        return b""
    bits = bytearray((max(relative) >> 3) + 1)
    for bit in relative:
        bits[bit >> 3] |= 1 << (bit & 7)
    return bytes(bits)


def _offsets(mark: int, bits: bytes) -> Iterable[int]:
    for index, byte in enumerate(bits):
        for bit in range(8):
            if byte >> bit & 1:
                yield mark + (index << 3) + bit


def _framed(bits: bytes) -> bytes:
    return len(bits).to_bytes(_SIZE_BYTES, "big") + bits


def _unframed(raw: bytes) -> tuple[bytes, bytes]:
    end = _SIZE_BYTES + int.from_bytes(raw[:_SIZE_BYTES], "big")
    if len(raw) < max(end, _SIZE_BYTES):
        raise JournalUnreadable("cut")
    return raw[_SIZE_BYTES:end], raw[end:]


def _unpacked(metadata: str) -> bytes:
    try:
        packed = base64.b64decode(metadata, validate=True)
        inflate = zlib.decompressobj()
        raw = inflate.decompress(packed, _BITS_MAX)
    except (binascii.Error, ValueError, zlib.error) as error:
        raise JournalUnreadable("not ours") from error
    if not inflate.eof or inflate.unused_data:
        raise JournalUnreadable("cut, or more than one")
    return raw


@dataclass(slots=True)
class Journal:
    """
    The state of one owned partition; changes with each committed tick.

    *mark* is the first offset without a result, *position* the next one to be read, *started* and
    *finished* the offsets from the mark on. Offsets that were skipped while reading are holes.
    """

    mark: int
    position: int
    started: set[int] = field(default_factory=set)
    finished: set[int] = field(default_factory=set)
    _holes: dict[int, int] = field(default_factory=dict)

    @classmethod
    def restored(cls, entry: Entry) -> "Journal":
        """Return the journal as the partition's last owner left it."""
        return cls(entry.mark, entry.mark, set(entry.started), set(entry.finished))

    def read(self, offset: int) -> None:
        """Take note that the record at *offset* was read; what lay between it and the last one is a hole."""
        if offset > self.position:
            self._holes[self.position] = offset
        self.position = max(self.position, offset + 1)

    def read_to(self, offset: int) -> None:
        """Take note that nothing lies between the position and *offset* (the end of the partition)."""
        if offset > self.position:
            self._holes[self.position] = offset
            self.position = offset

    def next_mark(self) -> int:
        """Return the first offset that is neither finished nor a hole."""
        mark, finished, holes = self.mark, self.finished, self._holes
        while True:
            if mark in finished:
                mark += 1
            elif mark in holes:
                mark = holes[mark]
            else:
                return mark

    def metadata(self, mark: int) -> str:
        """Return the metadata of a commit at *mark*."""
        started, finished = self.started, self.finished
        return encode(mark, started - finished, finished)

    def advance(self, mark: int) -> None:
        """Forget what lies below *mark*; call it once the commit of that mark has returned."""
        if mark - self.mark > len(self.finished) + len(self.started):
            self.finished = {offset for offset in self.finished if offset >= mark}
            self.started = {offset for offset in self.started if offset >= mark}
        else:
            for offset in range(self.mark, mark):
                self.finished.discard(offset)
                self.started.discard(offset)
        for start in [start for start in self._holes if start < mark]:
            del self._holes[start]
        self.mark = mark

    def in_doubt(self) -> frozenset[int]:
        """Return the offsets that have started and not finished."""
        return frozenset(self.started - self.finished)
