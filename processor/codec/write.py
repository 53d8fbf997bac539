"""Writing records of our own contracts: framing bytes, then Avro by fastavro."""

from collections.abc import Callable, Mapping
from io import BytesIO
from typing import TYPE_CHECKING, Any

from fastavro import schemaless_writer

from processor.codec.contracts import Contract
from processor.codec.framing import Framing, registry_prefix, single_object_prefix

if TYPE_CHECKING:
    from processor.codec.registry import Registry

Write = Callable[[Mapping[str, Any]], bytes]


def writer(contract: Contract, prefix: bytes) -> Write:
    """Return a function from a record's fields to its framed bytes."""
    schema = contract.parsed

    def write(fields: Mapping[str, Any]) -> bytes:
        out = BytesIO()
        out.write(prefix)
        schemaless_writer(out, schema, fields)
        return out.getvalue()

    return write


def output_prefix(contract: Contract, topic: str, framing: Framing, registry: "Registry | None") -> bytes:
    """
    Return the framing bytes of what we write to *topic*; registers the schema there if that is the framing.

    Raises `ValueError` where registry framing is asked for and there is none, and as `Registry.register` does.
    """
    if framing is Framing.SINGLE_OBJECT or (framing is Framing.AUTO and registry is None):
        return single_object_prefix(contract.fingerprint)
    if registry is None:
        raise ValueError("registry framing needs a registry")
    return registry_prefix(registry.register(f"{topic}-value", contract.text))
