"""A writer's schema and ours, compiled to one reader: Avro 1.12 "Schema Resolution", decided once per schema."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any, Final

from processor.codec import quick, read
from processor.codec.errors import RefusedSchema
from processor.codec.read import Read, Step
from processor.codec.schema import Array, Enumeration, Field, Fixed, Map, Primitive, Record, Type, Union, smallest_bytes

Shape = Callable[..., Any]
Parts = tuple[Sequence[Step], Sequence[Any], Shape]

PRIMITIVES: Final[Mapping[str, Read]] = {
    "null": read.null,
    "boolean": read.boolean,
    "int": read.integer,
    "long": read.long,
    "float": read.floating("<f"),
    "double": read.floating("<d"),
    "bytes": read.octets,
    "string": read.text,
}
# Those that our contracts can meet; Avro 1.12 "Schema Resolution".
PROMOTIONS: Final = frozenset({("int", "long"), ("string", "bytes"), ("bytes", "string")})


@dataclass(frozen=True, slots=True)
class Caps:
    """How many items a collection may have; *by_field* overrides, by the name of the field that holds it."""

    items: int = 10_000
    entries: int = 1_000
    by_field: Mapping[str, int] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Resolver:
    """
    Compiles readers; *shapes* make our values of named types, by full name.

    A record's shape takes its values in the order of our schema, an enum's a symbol. Without one they are a tuple and
    the symbol.
    """

    shapes: Mapping[str, Shape]
    caps: Caps = field(default_factory=Caps)

    def record(self, writer: Record, ours: Record, *, prefix: bool = False) -> Read:
        """
        Return a quick reader of *writer*'s records as *ours*; with *prefix*, only as far as *ours* needs.

        Raises `RefusedSchema` where one cannot be read as the other.
        """
        return quick.record(*self._parts(writer, ours, prefix=prefix))

    def _parts(self, writer: Record, ours: Record, *, prefix: bool = False) -> Parts:
        slots = {each.name: slot for slot, each in enumerate(ours.fields)}
        spare = len(slots)
        steps = [
            (each.name, slots.get(each.name, spare), self._field(each, ours.fields[slots[each.name]]))
            if each.name in slots
            else (each.name, spare, self._skipped(each.type))
            for each in writer.fields
        ]
        if prefix:
            while steps and steps[-1][1] == spare:
                steps.pop()
        written = {each.name for each in writer.fields}
        defaults = [None if each.name in written else self._default(each) for each in ours.fields]
        shape = self.shapes.get(ours.name)
        return steps, [*defaults, None], _gathered if shape is None else shape

    def _skipped(self, writer: Type) -> Read:
        return Resolver({}, self.caps).reader(writer, writer)

    def _field(self, writer: Field, ours: Field) -> Read:
        try:
            return self.reader(writer.type, ours.type, self.caps.by_field.get(ours.name))
        except RefusedSchema as refused:
            raise RefusedSchema(f"{refused} in {ours.name}") from None

    def reader(self, writer: Type, ours: Type, cap: int | None = None) -> Read:
        """Return a reader of *writer*'s values as *ours*; raises `RefusedSchema` where there is none."""
        match writer, ours:
            case Union(), _:
                return self._union(writer, ours, cap)
            case _, Union():
                return self._first(writer, ours.branches, cap)
            case Primitive(), Primitive() if writer == ours or (writer.name, ours.name) in PROMOTIONS:
                return PRIMITIVES[ours.name]
            case Fixed(), Fixed() if _same_name(writer, ours) and writer.size_bytes == ours.size_bytes:
                return read.fixed(writer.size_bytes)
            case Enumeration(), Enumeration() if _same_name(writer, ours):
                shape = self.shapes.get(ours.name, str)
                return read.enumeration([shape(each) if each in ours.symbols else None for each in writer.symbols])
            case Array(), Array():
                item = self.reader(writer.items, ours.items)
                size = smallest_bytes(writer.items)
                return read.array(item, smallest_bytes=size, items_max=cap or self.caps.items)
            case Map(), Map():
                value = self.reader(writer.values, ours.values)
                size = smallest_bytes(writer.values)
                return read.mapping(value, smallest_bytes=size, entries_max=cap or self.caps.entries)
            case Record(), Record() if _same_name(writer, ours):
                # Plain: a quick reader may read twice, and records in records would double that with each depth.
                return read.record(*self._parts(writer, ours))
            case _:
                raise RefusedSchema("a type that cannot be read as ours")

    def _union(self, writer: Union, ours: Type, cap: int | None) -> Read:
        branches: list[Read | None] = []
        for each in writer.branches:
            try:
                branches.append(self.reader(each, ours, cap))
            except RefusedSchema:
                branches.append(None)  # legal as long as nobody writes it
        if not any(branches):
            raise RefusedSchema("no branch that can be read as ours")
        match branches:
            case [read.null, present] if present is not None:
                return read.Optional(branches, present)
            case _:
                return read.union(branches)

    def _first(self, writer: Type, branches: Sequence[Type], cap: int | None) -> Read:
        for each in branches:
            try:
                return self.reader(writer, each, cap)
            except RefusedSchema:
                continue
        raise RefusedSchema("a type that is none of our branches")

    def _default(self, ours: Field) -> Any:
        if not ours.has_default:
            raise RefusedSchema(f"without our field {ours.name}")
        match ours.type:
            case Enumeration():
                return self.shapes.get(ours.type.name, str)(ours.default)
            case Array():
                return tuple(ours.default)
            case Map():
                return MappingProxyType(dict(ours.default))
            case _:
                return ours.default


def _same_name(writer: Fixed | Enumeration | Record, ours: Fixed | Enumeration | Record) -> bool:
    return writer.name.rpartition(".")[2] == ours.name.rpartition(".")[2]


def _gathered(*values: Any) -> tuple[Any, ...]:
    return values
