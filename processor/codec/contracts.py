"""The contracts of `schemas/`: every published version, and the one that we write and read as."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from importlib.resources import files
from typing import Any, Final

from fastavro.schema import fingerprint, parse_schema, to_parsing_canonical_form

from processor.codec.errors import RefusedSchema
from processor.codec.schema import Record, admit

TOPICS: Final[Mapping[str, str]] = {  # where each contract is written: the registry's subject is <topic>-value
    "OutboundMessage": "comm.outbound",
    "DeliveryEvent": "comm.events.delivery",
    "RetryEvent": "comm.events.retry",
    "EngagementEvent": "comm.events.engagement",
    "DeadLetter": "comm.dead-letter",
    "Receipt": "comm.receipts",
    "Control": "comm.control",
}


@dataclass(frozen=True, slots=True)
class Contract:
    """One published version of one of our schemas."""

    name: str  # without namespace; the folder's name
    version: int
    text: str = field(repr=False)  # as published
    record: Record = field(repr=False)
    fingerprint: bytes  # CRC-64-AVRO of the parsing canonical form, as its eight bytes lie on the wire
    parsed: Any = field(repr=False)  # fastavro's form without logical types: instants are plain integers

    @property
    def full_name(self) -> str:
        """The record's name with its namespace."""
        return self.record.name


@lru_cache(maxsize=1)
def published() -> Mapping[str, tuple[Contract, ...]]:
    """Return every version of every contract, oldest first, by name."""
    folder = files("processor") / "schemas"
    return {name: _versions(name, folder / name) for name in TOPICS}


def latest(name: str) -> Contract:
    """Return the version of a contract that we write, and read others as."""
    return published()[name][-1]


def _versions(name: str, folder: Any) -> tuple[Contract, ...]:
    found = {
        int(file.name.removeprefix("v").removesuffix(".avsc")): file.read_text(encoding="utf-8")
        for file in folder.iterdir()
        if file.name.endswith(".avsc")
    }
    return tuple(_contract(name, version, found[version]) for version in sorted(found))


def _contract(name: str, version: int, text: str) -> Contract:
    schema = json.loads(text)
    record = admit(schema)
    if not isinstance(record, Record):
        raise RefusedSchema(f"{name} is no record")
    canonical = to_parsing_canonical_form(schema)
    return Contract(
        name=name,
        version=version,
        text=text,
        record=record,
        fingerprint=bytes.fromhex(fingerprint(canonical, "CRC-64-AVRO")),
        parsed=parse_schema(json.loads(canonical)),
    )
