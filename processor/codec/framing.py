"""
The bytes before a record that say which schema wrote it.

Confluent wire format: 0, then the registry's schema id as four bytes, big end first.
Avro 1.12 single-object encoding: C3 01, then the CRC-64-AVRO fingerprint as eight bytes, little end first.
"""

from enum import StrEnum
from typing import Final

from processor.codec.errors import Fault, Unreadable

REGISTRY_SIZE_BYTES: Final = 5
SINGLE_OBJECT_SIZE_BYTES: Final = 10
SINGLE_OBJECT_MARK: Final = b"\xc3\x01"


class Framing(StrEnum):
    """How our own records are framed; every input is read in both."""

    AUTO = "auto"  # registry if one is set, else single-object
    REGISTRY = "registry"
    SINGLE_OBJECT = "single-object"


def prefix_of(value: bytes | None) -> bytes:
    """Return the framing bytes of *value*; the record begins after them. Raises `Unreadable`."""
    if not value:
        raise Unreadable(Fault.NO_VALUE)
    if value[0] == 0 and len(value) >= REGISTRY_SIZE_BYTES:
        return value[:REGISTRY_SIZE_BYTES]
    if value[:2] == SINGLE_OBJECT_MARK and len(value) >= SINGLE_OBJECT_SIZE_BYTES:
        return value[:SINGLE_OBJECT_SIZE_BYTES]
    raise Unreadable(Fault.FRAMING)


def registry_prefix(schema_id: int) -> bytes:
    """Return the framing bytes of a schema that the registry knows by *schema_id*."""
    return b"\x00" + schema_id.to_bytes(4, "big")


def schema_id_of(prefix: bytes) -> int | None:
    """Return the registry's schema id of framing bytes; None for single-object encoding."""
    return int.from_bytes(prefix[1:], "big") if len(prefix) == REGISTRY_SIZE_BYTES else None


def single_object_prefix(fingerprint: bytes) -> bytes:
    """Return the framing bytes of a schema with this *fingerprint*, as its bytes lie on the wire."""
    return SINGLE_OBJECT_MARK + fingerprint
