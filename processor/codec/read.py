"""
Reading Avro bytes strictly: every bound is checked in the same pass that makes the values.

Each reader is a function of the bytes and a position that returns the value and the position after it; a schema is
compiled to readers once. Readers only look: a position beyond the end is an `IndexError`, which the record around it
turns into "ends too early".

fastavro reads none of our input. It takes enum -1 for the last symbol, a 40-bit int, boolean 7, the same key twice and
trailing bytes, ends the process on a recursive schema, and turns six bytes into 1.5 GiB on an array of nulls (1.13.1,
measured). The tests hold these readers equal to it on what is valid.
"""

# ruff: noqa: PLR2004 - the bits of Avro's binary encoding, which a constant's name would hide

import struct
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Final

from processor.codec.errors import Fault, Unreadable

Read = Callable[[bytes, int], tuple[Any, int]]
Step = tuple[str, int, Read]  # of a record: a field's name, the slot of its value, and its reader

VARINT_SHIFTS: Final = tuple(range(7, 64, 7))  # of the bytes after the first
INT_MIN: Final = -(2**31)
INT_MAX: Final = 2**31 - 1


def null(raw: bytes, at: int) -> tuple[None, int]:
    """Read nothing."""
    return None, at


def boolean(raw: bytes, at: int) -> tuple[bool, int]:
    """Read a byte that is 0 or 1."""
    byte = raw[at]
    if byte > 1:
        raise Unreadable(Fault.BOOLEAN)
    return byte == 1, at + 1


def long(raw: bytes, at: int) -> tuple[int, int]:
    """Read a zigzag varint of at most ten bytes, within 64 bits."""
    byte = raw[at]
    at += 1
    if byte < 0x80:
        return (byte >> 1) ^ -(byte & 1), at
    value = byte & 0x7F
    for shift in VARINT_SHIFTS:
        byte = raw[at]
        at += 1
        if byte < 0x80:
            if shift == 63 and byte > 1:  # the tenth byte has one bit left of 64
                break
            value |= byte << shift
            return (value >> 1) ^ -(value & 1), at
        value |= (byte & 0x7F) << shift
    raise Unreadable(Fault.VARINT)


def integer(raw: bytes, at: int) -> tuple[int, int]:
    """Read a zigzag varint within 32 bits."""
    value, at = long(raw, at)
    if not INT_MIN <= value <= INT_MAX:
        raise Unreadable(Fault.VARINT)
    return value, at


def octets(raw: bytes, at: int) -> tuple[bytes, int]:
    """Read bytes after their length."""
    size, at = long(raw, at)
    end = at + size
    if size < 0 or end > len(raw):
        raise Unreadable(Fault.LENGTH)
    return raw[at:end], end


def text(raw: bytes, at: int) -> tuple[str, int]:
    """Read UTF-8 after its length; lone surrogates are not UTF-8."""
    size = raw[at]
    if size < 0x80 and not size & 1:
        size >>= 1
        at += 1
    else:
        size, at = long(raw, at)
    end = at + size
    if size < 0 or end > len(raw):
        raise Unreadable(Fault.LENGTH)
    try:
        return raw[at:end].decode(), end
    except UnicodeDecodeError:
        raise Unreadable(Fault.TEXT) from None


def fixed(size_bytes: int) -> Read:
    """Return a reader of so many bytes."""

    def read(raw: bytes, at: int) -> tuple[bytes, int]:
        end = at + size_bytes
        if end > len(raw):
            raise Unreadable(Fault.TRUNCATED)
        return raw[at:end], end

    return read


def floating(layout: str) -> Read:
    """Return a reader of a number in one of `struct`'s layouts."""
    number = struct.Struct(layout)

    def read(raw: bytes, at: int) -> tuple[float, int]:
        end = at + number.size
        if end > len(raw):
            raise Unreadable(Fault.TRUNCATED)
        return number.unpack_from(raw, at)[0], end

    return read


def enumeration(members: Sequence[Any]) -> Read:
    """Return a reader of an index that gives a member; None stands for a symbol that is not ours."""
    count = len(members)

    def read(raw: bytes, at: int) -> tuple[Any, int]:
        index, at = long(raw, at)
        if not 0 <= index < count or (member := members[index]) is None:
            raise Unreadable(Fault.SYMBOL)
        return member, at

    return read


def union(branches: Sequence[Read | None]) -> Read:
    """Return a reader of an index and then of its branch; None stands for a branch that is not ours."""
    count = len(branches)

    def read(raw: bytes, at: int) -> tuple[Any, int]:
        index, at = long(raw, at)
        if not 0 <= index < count or (branch := branches[index]) is None:
            raise Unreadable(Fault.BRANCH)
        return branch(raw, at)

    return read


@dataclass(frozen=True, slots=True)
class Optional:
    """A reader like `union`, quick for ["null", T]: most fields of a message are null."""

    branches: Sequence[Read | None]
    present: Read

    def __call__(self, raw: bytes, at: int) -> tuple[Any, int]:
        """Read null or a value."""
        index = raw[at]
        if index == 0:
            return None, at + 1
        if index == 2:  # zigzag of 1
            return self.present(raw, at + 1)
        return union(self.branches)(raw, at)


def array(read_item: Read, *, smallest_bytes: int, items_max: int) -> Read:
    """Return a reader of blocks of items."""

    def read(raw: bytes, at: int) -> tuple[tuple[Any, ...], int]:
        items: list[Any] = []
        while raw[at]:
            count, at, end = _block(raw, at, smallest_bytes)
            if count == 0:  # said in more bytes than one
                return tuple(items), at
            if len(items) + count > items_max:
                raise Unreadable(Fault.COUNT)
            for _ in range(count):
                item, at = read_item(raw, at)
                items.append(item)
            if end is not None and end != at:
                raise Unreadable(Fault.BLOCK_SIZE)
        return tuple(items), at + 1

    return read


def mapping(read_value: Read, *, smallest_bytes: int, entries_max: int) -> Read:
    """Return a reader of blocks of keys and values; a key may occur once."""

    def read(raw: bytes, at: int) -> tuple[dict[str, Any], int]:
        entries: dict[str, Any] = {}
        while raw[at]:
            count, at, end = _block(raw, at, 1 + smallest_bytes)
            if count == 0:  # said in more bytes than one
                return entries, at
            if len(entries) + count > entries_max:
                raise Unreadable(Fault.COUNT)
            for _ in range(count):
                key, at = text(raw, at)
                if key in entries:
                    raise Unreadable(Fault.DUPLICATE_KEY)
                entries[key], at = read_value(raw, at)
            if end is not None and end != at:
                raise Unreadable(Fault.BLOCK_SIZE)
        return entries, at + 1

    return read


def _block(raw: bytes, at: int, smallest_bytes: int) -> tuple[int, int, int | None]:
    """Return a block's count, the position of its first item, and its end if it declares one."""
    count, at = long(raw, at)
    end = None
    if count < 0:  # then the size of the block in bytes follows; Avro 1.12 "Arrays"
        count = -count
        size, at = long(raw, at)
        end = at + size
        if size < 0 or end > len(raw):
            raise Unreadable(Fault.LENGTH)
    if count * smallest_bytes > len(raw) - at:
        raise Unreadable(Fault.COUNT)
    return count, at, end


def record(steps: Sequence[Step], defaults: Sequence[Any], make: Callable[..., Any]) -> Read:
    """
    Return a reader of fields.

    *defaults* are the values of the slots
    that no step fills, and a last slot for the fields that nobody asked for; *make* takes the others.
    """

    def read(raw: bytes, at: int) -> tuple[Any, int]:
        values = list(defaults)
        name = ""
        try:
            for name, slot, read_field in steps:  # noqa: B007 - the field at fault
                values[slot], at = read_field(raw, at)
        except Unreadable as fault:
            raise fault.inside(name) from None
        except IndexError:
            raise Unreadable(Fault.TRUNCATED, name) from None
        values.pop()
        return make(*values), at

    return read
