"""A producer that comes with a schema of its own: the contract's, and one more field that has a default."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Final

from processor.codec.contracts import latest
from processor.codec.framing import prefix_of, registry_prefix

if TYPE_CHECKING:
    from collections.abc import Callable

    from processor.codec.outbound import OutboundCodec
    from processor.core.message import Message

NULL: Final = b"\x00"  # the first branch of a union


def newer(number: int) -> str:
    """Return the next version of the contract, with a field that bears this *number*."""
    schema = json.loads(latest("OutboundMessage").text)
    schema["fields"].append({"name": f"added_{number}", "type": ["null", "string"], "default": None})
    return json.dumps(schema)


def written_by(schema_id: int, codec: OutboundCodec) -> Callable[[Message], bytes]:
    """Return what writes messages as that version, which the registry knows by *schema_id*."""

    def write(message: Message) -> bytes:
        value = codec.encode_message(message)
        return registry_prefix(schema_id) + value[len(prefix_of(value)) :] + NULL

    return write
