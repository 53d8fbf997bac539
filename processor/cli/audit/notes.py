"""What others noted in files: producers what was acknowledged to them, providers what they received."""

from collections.abc import Iterator
from hashlib import blake2b
from pathlib import Path
from typing import Final

import orjson

from processor.core.audit.facts import Acknowledged, Call
from processor.core.message import Origin
from processor.sandbox.ledger import Entry, entries
from processor.stages.publish import public_id

NOBODY: Final = "a call without a message id"
"""What calls are about that name no message."""


class WrongNote(Exception):
    """A line that cannot be read; the text says which, and what to write."""


def acknowledgements(path: Path) -> Iterator[tuple[Origin, Acknowledged]]:
    """Yield what producers noted, by place. Raises `WrongNote` and `OSError`."""
    with path.open("rb") as file:
        for number, line in enumerate(file, 1):
            try:
                note = orjson.loads(line)
                origin = Origin(str(note["topic"]), int(note["partition"]), int(note["offset"]))
                message_id = note["message_id"]
            except (ValueError, TypeError, KeyError):
                members = '{"topic": …, "partition": …, "offset": …, "message_id": … or null}'
                raise WrongNote(f"line {number}: write a JSON object such as {members}") from None
            yield origin, Acknowledged(None if message_id is None else public_id(str(message_id)))


def calls(path: Path) -> Iterator[tuple[str, Call]]:
    """Yield what providers received, by message id. Raises `WrongNote` and `OSError`."""
    try:
        for entry in entries(path):
            found = call_of(entry)
            if found is not None:
                yield found
    except (ValueError, TypeError, KeyError):
        raise WrongNote("a line is not one of a sandbox's ledger") from None


def call_of(entry: Entry) -> tuple[str, Call] | None:
    """Return the message and the call of an entry; None of a recipient that was refused before there was a message."""
    if entry.message_id is None and not entry.accepted:
        return None
    recipients = tuple(_hashed(each) for each in entry.recipients)
    return entry.message_id or NOBODY, Call(entry.attempt, entry.first_byte_ms, entry.accepted, recipients)


def _hashed(recipient: str) -> int:
    """Return 53 bits of a hash: who it is must not lie about in files."""
    return int.from_bytes(blake2b(recipient.encode("utf-8", "surrogatepass"), digest_size=8).digest()) >> 11
