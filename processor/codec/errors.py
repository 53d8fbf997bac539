"""What can be wrong with a record's bytes; no error here ever carries content."""

from enum import StrEnum


class Fault(StrEnum):
    """The closed list of what makes bytes unreadable."""

    NO_VALUE = "no value"  # a tombstone, or no bytes at all
    FRAMING = "neither registry framing nor single-object encoding"
    UNKNOWN_SCHEMA = "written with a schema that is not known"
    REFUSED_SCHEMA = "written with a schema that is refused"
    TRUNCATED = "ends too early"
    TRAILING = "bytes after the end of the record"
    VARINT = "a number of more than ten bytes or out of its range"
    LENGTH = "a length that is negative or beyond the end"
    COUNT = "more items than bytes left or than the cap allows"
    BLOCK_SIZE = "a block that does not have its declared size"
    BOOLEAN = "a boolean other than 0 and 1"
    BRANCH = "a union branch that does not exist or is not ours"
    SYMBOL = "an enum symbol that does not exist or is not ours"
    TEXT = "text that is not UTF-8"
    DUPLICATE_KEY = "the same map key twice"
    VALUE = "a value outside its closed list"
    FACTS = "facts header that is not ours"


class Unreadable(Exception):
    """Bytes that are no record of a known schema: a fault of the closed list, and the field where it is."""

    def __init__(self, fault: Fault, path: str = "") -> None:
        super().__init__(fault, path)
        self.fault = fault
        self.path = path  # names of the writer's schema, which are identifiers; never content

    @property
    def why(self) -> str:
        """One phrase for an event or a log: what is wrong, and in which field."""
        return f"{self.fault} in {self.path}" if self.path else str(self.fault)

    def inside(self, name: str) -> "Unreadable":
        """The same fault, seen from the record around the field *name*."""
        return Unreadable(self.fault, f"{name}.{self.path}" if self.path else name)

    def __str__(self) -> str:
        return self.why


class TooLarge(Exception):
    """A value of more bytes than the limit; not looked into."""

    def __init__(self, size_bytes: int, limit_bytes: int) -> None:
        super().__init__(size_bytes, limit_bytes)
        self.size_bytes = size_bytes
        self.limit_bytes = limit_bytes

    def __str__(self) -> str:
        return f"{self.size_bytes} bytes, of {self.limit_bytes} allowed"


class RegistryUnavailable(Exception):
    """The registry gave no answer that decides; hold the record and ask again later."""


class RefusedSchema(Exception):
    """A schema that no value may be read with; says why, in words of schemas."""
