"""Everything of this package that a stage needs, put together once at start."""

from collections.abc import Mapping
from dataclasses import dataclass

from processor.codec.contracts import TOPICS, latest
from processor.codec.events import EventCodec
from processor.codec.framing import Framing
from processor.codec.outbound import MESSAGE_BYTES_MAX, OutboundCodec
from processor.codec.registry import Registry
from processor.codec.write import output_prefix


@dataclass(frozen=True, slots=True)
class Codecs:
    """Codecs of everything that we read and write; *prefixes* are the framing bytes of what we write, by contract."""

    outbound: OutboundCodec
    events: EventCodec
    prefixes: Mapping[str, bytes]


def open_codecs(
    *,
    registry: Registry | None = None,
    framing: Framing = Framing.AUTO,
    message_bytes_max: int = MESSAGE_BYTES_MAX,
    topics: Mapping[str, str] = TOPICS,
    prefixes: Mapping[str, bytes] | None = None,
) -> Codecs:
    """
    Return codecs, with our schemas registered under *topics* (by contract) if that is the framing.

    With the *prefixes* of codecs that were opened before nobody is asked, and nothing raised. Else raises
    `RegistryUnavailable`, `RefusedSchema` if the registry holds one of ours incompatible, and `ValueError` for registry
    framing without a registry.
    """
    if prefixes is None:
        prefixes = {name: output_prefix(latest(name), topic, framing, registry) for name, topic in topics.items()}
    return Codecs(
        outbound=OutboundCodec(
            prefix=prefixes["OutboundMessage"], registry=registry, message_bytes_max=message_bytes_max
        ),
        events=EventCodec(prefixes=prefixes, registry=registry),
        prefixes=prefixes,
    )
