"""
What a tick of intake writes of the ids that it has admitted: one packed record, whose first byte is its version.

Ours alone, so no Avro: 24 bytes an id, and a million of them are read again in seconds.
"""

import struct
from collections.abc import Iterable
from struct import Struct
from typing import Final, NamedTuple

from processor.core.seen import MARK_BYTES

VERSION: Final = 1
IDS_MAX: Final = 8_192
"""Of one record: 200 KB, far below what its topic takes."""

_HEAD: Final = Struct("<BII")  # version, partitions of the inbound topic, when, in Unix seconds
_ENTRY: Final = Struct(f"<{MARK_BYTES}sI")  # mark, hash of the id
ENTRY_BYTES: Final = _ENTRY.size

encode_entry: Final = _ENTRY.pack
"""Return what is written of one id: its mark, and the hash that chooses its partition."""


class Strange(Exception):
    """A record that this release does not know how to read: nothing can be said of what was seen."""


class Ids(NamedTuple):
    """The ids that a tick admitted to a partition, when the inbound topic had so many *partitions*."""

    partitions: int
    at_s: int
    marks: Iterable[tuple[bytes, int]]  # each with the hash of its id


def encode_ids(partitions: int, at_s: int, entries: bytes) -> bytes:
    """Return the record of at most `IDS_MAX` *entries*, one behind the other."""
    return _HEAD.pack(VERSION, partitions, at_s) + entries


def decode_ids(value: bytes | None) -> Ids:
    """Return what a record holds; raises `Strange`."""
    try:
        version, partitions, at_s = _HEAD.unpack_from(value or b"")
        if version != VERSION:
            raise Strange(f"version {version}")
        return Ids(partitions, at_s, _ENTRY.iter_unpack(memoryview(value or b"")[_HEAD.size :]))
    except struct.error:
        raise Strange("its length") from None
