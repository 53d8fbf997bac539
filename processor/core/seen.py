"""
The ids that a partition has seen within a horizon, in some 30 bytes each.

An id is kept as 96 bits of a digest. With a hundred million held at once, one new id in 8·10²⁰ would be taken for one
of them, and be lost as a duplicate. Of its content 64 bits are kept, which are only compared where the id is the same.
"""

from collections.abc import Iterable
from hashlib import blake2b
from struct import Struct
from typing import Final

from xxhash import xxh3_64_digest

ID_BYTES: Final = 12
CONTENT_BYTES: Final = 8
MARK_BYTES: Final = ID_BYTES + CONTENT_BYTES
_WORD: Final = Struct("<I")
_word_at: Final = _WORD.unpack_from
_SIZE: Final = MARK_BYTES + _WORD.size  # of a mark, and of when it came, in Unix seconds
_WHOLE: Final = Struct(f"{_SIZE}s")
_PER_BUCKET: Final = 32  # fewer cost memory (a bucket has 70 bytes of its own), more cost time


def mark_of(message_id: bytes, value: bytes) -> bytes:
    """Return what is kept of a record, its mark: the digest of its message id, and behind it that of its value."""
    # Bytes and no tuple: one is made for each record, and lies in a bucket as it is. Two ids that were made to have one
    # digest would cost a message, so that of an id is cryptographic; two such contents would only be called the same.
    return blake2b(message_id, digest_size=ID_BYTES).digest() + xxh3_64_digest(value)


class Seen:
    """
    A set of marks, each known for *horizon_s* seconds.

    The marks lie one behind the other in buckets, so in a bucket the oldest is in front: what is over is cut off
    whenever its bucket takes another one. Buckets are added one at a time as the set grows (linear hashing), so that no
    insertion waits for a table of a million marks to be written anew.
    """

    __slots__ = ("_buckets", "_half", "_horizon_s", "_next", "count")

    def __init__(self, horizon_s: int) -> None:
        """Know nothing yet."""
        self.count = 0  # marks that are held, those that are over and not yet cut off among them
        self._horizon_s = horizon_s
        self._buckets = [bytearray()]
        self._half = 1  # a power of two: the first buckets, of which those before `_next` have been split
        self._next = 0

    def content_of(self, mark: bytes, now_s: int) -> bytes | None:
        """Return the digest of what came with a mark's id first; None where it was not seen within the horizon."""
        mark_id, bucket = mark[:ID_BYTES], self._buckets[self._place(mark)]
        found = bucket.find(mark_id)
        while found >= 0:
            if found % _SIZE == 0 and _word_at(bucket, found + MARK_BYTES)[0] + self._horizon_s > now_s:
                return bytes(bucket[found + ID_BYTES : found + MARK_BYTES])
            found = bucket.find(mark_id, found + 1)
        return None

    def add(self, mark: bytes, at_s: int) -> None:
        """Know *mark*, which came at *at_s*; one of the same id must not be known."""
        bucket = self._buckets[self._place(mark)]
        over_s = at_s - self._horizon_s
        while bucket and _word_at(bucket, MARK_BYTES)[0] <= over_s:
            del bucket[:_SIZE]
            self.count -= 1
        bucket += mark + _WORD.pack(at_s)
        self.count += 1
        if self.count > len(self._buckets) * _PER_BUCKET:
            self._split()

    def extend(self, marks: Iterable[bytes], at_s: int) -> None:
        """Know *marks*, which came at *at_s*: as `add`, many times."""
        at = _WORD.pack(at_s)
        for mark in marks:
            self._buckets[self._place(mark)] += mark + at
            self.count += 1
            if self.count > len(self._buckets) * _PER_BUCKET:
                self._split()

    def _place(self, mark: bytes) -> int:
        word: int = _word_at(mark)[0]
        place = word & (self._half - 1)
        return word & (2 * self._half - 1) if place < self._next else place

    def _split(self) -> None:
        """Move the marks of the next bucket whose next bit is 1 into a new bucket, in their order."""
        at, bit = divmod(self._half.bit_length() - 1, 8)
        stay, go = bytearray(), bytearray()
        for (entry,) in _WHOLE.iter_unpack(self._buckets[self._next]):
            if entry[at] >> bit & 1:
                go += entry
            else:
                stay += entry
        self._buckets[self._next] = stay
        self._buckets.append(go)
        self._next += 1
        if self._next == self._half:
            self._half *= 2
            self._next = 0
