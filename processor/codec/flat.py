"""
Writing flat records: strings, bytes, numbers, booleans, null or one of these, lists of ints or strings; in the order of
the schema.

Events are flat and as many as messages. A delivery event takes 3.8 µs, and took 6.3 µs with a loop over its fields, in
turns on one machine (bench/codec.py). Sources: Avro 1.12 "Binary Encoding".
"""

# ruff: noqa: PLR2004 - the bits of Avro's binary encoding, which a constant's name would hide

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

from processor.codec.contracts import Contract
from processor.codec.schema import Array, Primitive, Type, Union

Put = Callable[[Any], bytes]

ONE_BYTE: Final = tuple(bytes((number << 1,)) for number in range(64))  # the zigzag of small numbers
NULL: Final = b"\x00"  # the first branch
VALUE: Final = b"\x02"  # the second
VALUE_SIZE: Final = tuple(VALUE + size for size in ONE_BYTE)


def writer(contract: Contract, prefix: bytes) -> Callable[[Sequence[Any]], bytes]:
    """Return a function from a record's values, in the order of the schema, to its framed bytes."""
    # Unrolled by generated source, as in quick.py, for the same reason; nothing of the schema's text gets into it.
    parts = ["prefix"]
    names: dict[str, Any] = {"prefix": prefix, "NULL": NULL, "SIZE": ONE_BYTE, "VALUE_SIZE": VALUE_SIZE}
    names |= {"VALUE": VALUE, "long": long}
    for number, each in enumerate(contract.record.fields):
        put, is_nullable = _put(each.type)
        names[f"put_{number}"] = put
        written = _INLINE.get(put, "put_{number}(value_{number})").format(number=number)
        parts.append(f"NULL if value_{number} is None else {written}" if is_nullable else written)
    values = ", ".join(f"value_{number}" for number in range(len(contract.record.fields)))
    exec(f"def write(values):\n    {values}, = values\n    return b''.join(({', '.join(parts)},))", names)  # noqa: S102
    write: Callable[[Sequence[Any]], bytes] = names["write"]
    return write


def boolean(value: bool) -> bytes:  # noqa: FBT001 - it is what is written
    """Return a byte that is 0 or 1."""
    return b"\x01" if value else b"\x00"


def long(value: int) -> bytes:
    """Return a zigzag varint; raises `OverflowError` outside 64 bits."""
    if 0 <= value < 64:
        return ONE_BYTE[value]
    if not -(2**63) <= value < 2**63:
        raise OverflowError("more than 64 bits")
    rest = (value << 1) ^ (value >> 63)
    if 1 << 35 <= rest < 1 << 42:  # a time in milliseconds, 1970 (July) to 2039
        return bytes(
            (
                rest & 0x7F | 0x80,
                rest >> 7 & 0x7F | 0x80,
                rest >> 14 & 0x7F | 0x80,
                rest >> 21 & 0x7F | 0x80,
                rest >> 28 & 0x7F | 0x80,
                rest >> 35,
            )
        )
    out = bytearray()
    while rest > 0x7F:
        out.append(rest & 0x7F | 0x80)
        rest >>= 7
    out.append(rest)
    return bytes(out)


def integer(value: int) -> bytes:
    """Return a zigzag varint; raises `OverflowError` outside 32 bits."""
    if not -(2**31) <= value < 2**31:
        raise OverflowError("more than 32 bits")
    return long(value)


def octets(value: bytes) -> bytes:
    """Return bytes after their length."""
    return long(len(value)) + value


def text(value: str) -> bytes:
    """Return UTF-8 after its length; raises `UnicodeEncodeError` for a lone surrogate."""
    raw = value.encode()
    size = len(raw)
    return (ONE_BYTE[size] if size < 64 else long(size)) + raw


def some_text(value: str) -> bytes:
    """Return the second branch of a union, and text: the common field of an event, in one call."""
    raw = value.encode()
    size = len(raw)
    return (VALUE_SIZE[size] if size < 64 else VALUE + long(size)) + raw


def some(put: Put) -> Put:
    """Return a writer of the second branch of a union, and its value."""

    def write(value: Any) -> bytes:
        return VALUE + put(value)

    return write


def integers(values: Sequence[int]) -> bytes:
    """Return an array of ints: one block, and the empty one that ends it."""
    if not values:
        return NULL
    return b"".join([long(len(values)), *map(integer, values), NULL])


def texts(values: Sequence[str]) -> bytes:
    """Return an array of strings, likewise."""
    if not values:
        return NULL
    return b"".join([long(len(values)), *map(text, values), NULL])


PUTS: Final[Mapping[str, Put]] = {
    "boolean": boolean,
    "int": integer,
    "long": long,
    "bytes": octets,
    "string": text,
}


_INLINE: Final[Mapping[Put, str]] = {  # most fields are strings, and a call takes as long as what it does
    text: "(SIZE[n] if (n := len(raw := value_{number}.encode())) < 64 else long(n)) + raw",
    some_text: "(VALUE_SIZE[n] if (n := len(raw := value_{number}.encode())) < 64 else VALUE + long(n)) + raw",
}


def _put(kind: Type) -> tuple[Put, bool]:
    """Return a writer of values of *kind*, and whether they may be None, which it is not asked to write."""
    match kind:
        case Primitive(name) if name in PUTS:
            return PUTS[name], False
        case Union((Primitive("null"), Primitive("string"))):
            return some_text, True
        case Union((Primitive("null"), present)):
            return some(_put(present)[0]), True
        case Array(Primitive("int")):
            return integers, False
        case Array(Primitive("string")):
            return texts, False
        case _:
            raise ValueError("not a flat record")
