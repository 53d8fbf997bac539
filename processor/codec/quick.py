"""
Records read by a function that is generated for their schema: no call, loop or pair for a common field.

A generated reader reads what is common and judges nothing. At anything rare or wrong it begins again with the plain
reader of the same record, which alone says what is wrong and where. No name or text of a schema, which is input, gets
into the source: it depends on the kinds of the fields and on their order.

decode_message takes 8.6 µs with plain readers and 6.3 µs with these, decode_head 3.5 and 2.1 (bench/codec.py).
"""

from collections.abc import Callable, Mapping, Sequence
from textwrap import indent
from typing import Any, Final

from processor.codec import read
from processor.codec.errors import Unreadable
from processor.codec.read import Read, Step

FIELDS_MAX: Final = 100  # compiling takes 55 µs a field, and writers' schemas may have a thousand

TEXT: Final = """\
size = raw[at]
if size & 0x81:
    {value}, at = {read}(raw, at)
else:
    at += 1
    end = at + (size >> 1)
    {value} = raw[at:end].decode()
    at = end
"""
NUMBER: Final = """\
byte = raw[at]
if byte & 0x80:
    {value}, at = {read}(raw, at)
else:
    {value} = (byte >> 1) ^ -(byte & 1)
    at += 1
"""
OTHER: Final = """\
{value}, at = {read}(raw, at)
"""
KINDS: Final[Mapping[Read, str]] = {read.text: TEXT, read.long: NUMBER, read.integer: NUMBER}

NULLABLE: Final = """\
index = raw[at]
if index == 0:
    {value} = None
    at += 1
elif index == 2:
    at += 1
{present}else:
    {value}, at = {read}(raw, at)
"""
# Positions only grow, so that one look at the end finds every length that leads beyond it; a slice cannot.
FUNCTION: Final = """\
def quick(raw, at):
    begin = at
    try:
{fields}        if at > len(raw):
            return plain(raw, begin)
    except RARE:
        return plain(raw, begin)
    return make({values}), at
"""
RARE: Final = (IndexError, UnicodeDecodeError, Unreadable)


def record(steps: Sequence[Step], defaults: Sequence[Any], make: Callable[..., Any]) -> Read:
    """Return a reader that does what `read.record` does with the same arguments."""
    plain = read.record(steps, defaults, make)
    if len(steps) > FIELDS_MAX:
        return plain
    names: dict[str, Any] = {"plain": plain, "make": make, "RARE": RARE}
    names |= {f"value_{slot}": value for slot, value in enumerate(defaults)}
    for number, (_, _, read_field) in enumerate(steps):
        names[f"read_{number}"] = read_field
        if isinstance(read_field, read.Optional):
            names[f"present_{number}"] = read_field.present
    exec(source(steps, len(defaults) - 1), names)  # noqa: S102 - see the top of the file
    quick: Read = names["quick"]
    return quick


def source(steps: Sequence[Step], slots: int) -> str:
    """Return the source of a reader of *steps* that makes its value of as many *slots*."""
    fields = "".join(_field(number, slot, read_field) for number, (_, slot, read_field) in enumerate(steps))
    values = ", ".join(f"value_{slot}" for slot in range(slots))
    return FUNCTION.format(fields=indent(fields, " " * 8), values=values)


def _field(number: int, slot: int, read_field: Read) -> str:
    value, read_any = f"value_{slot}", f"read_{number}"
    if not isinstance(read_field, read.Optional):
        return KINDS.get(read_field, OTHER).format(value=value, read=read_any)
    present = KINDS.get(read_field.present, OTHER).format(value=value, read=f"present_{number}")
    return NULLABLE.format(value=value, read=read_any, present=indent(present, " " * 4))
