"""Avro bytes by hand, for what no library would write."""


def number(value: int) -> bytes:
    """Return a zigzag varint; also of numbers that are too large for Avro."""
    value = value * 2 if value >= 0 else -value * 2 - 1
    out = bytearray()
    while value > 0x7F:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    out.append(value)
    return bytes(out)


def text(value: str | bytes) -> bytes:
    """Return a length and bytes, whether they are UTF-8 or not."""
    raw = value.encode() if isinstance(value, str) else value
    return number(len(raw)) + raw


def blocks(*items: bytes, sized: bool = False) -> bytes:
    """Return an array or a map of encoded items, one block for each two; *sized* ones give their size in bytes."""
    out = b""
    for at in range(0, len(items), 2):
        block = items[at : at + 2]
        body = b"".join(block)
        out += number(-len(block)) + number(len(body)) + body if sized else number(len(block)) + body
    return out + number(0)


HEAD = text("m-1") + text("Email") + b"\x00" + number(4) + b"\x00" * 8 + number(1) + b"\x00" * 4
"""The routing fields of an OutboundMessage, version 1: all optional ones null."""
