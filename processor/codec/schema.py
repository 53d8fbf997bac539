"""
Avro schemas as frozen values, admitted only if every value they describe can be read within bounds.

A writer's schema comes from outside like the bytes do: a recursive one nests as deep as its bytes please (5 KB ended
the process inside a C decoder), and an array of items that take no bytes turns six bytes into gigabytes.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Final

from processor.codec.errors import RefusedSchema

DEPTH_MAX: Final = 16
NODES_MAX: Final = 1_000  # fields, items and branches, each reference to a named type counted whole
BRANCHES_MAX: Final = 32
SYMBOLS_MAX: Final = 1_000
COLLECTION_DEPTH_MAX: Final = 2  # arrays and maps within arrays and maps: their caps multiply

PRIMITIVES: Final[Mapping[str, int]] = {  # fewest bytes of a value; Avro 1.12 "Primitive Types", binary encoding
    "null": 0,
    "boolean": 1,
    "int": 1,
    "long": 1,
    "float": 4,
    "double": 8,
    "bytes": 1,
    "string": 1,
}
NAME: Final = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,127}(\.[A-Za-z_][A-Za-z0-9_]{0,127}){0,15}")


@dataclass(frozen=True, slots=True)
class Primitive:
    """A type without parts; logical types are what they are made of."""

    name: str


@dataclass(frozen=True, slots=True)
class Fixed:
    """So many bytes."""

    name: str
    size_bytes: int


@dataclass(frozen=True, slots=True)
class Enumeration:
    """One of some symbols, by index."""

    name: str
    symbols: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Array:
    """Items in blocks."""

    items: "Type"


@dataclass(frozen=True, slots=True)
class Map:
    """Values by string, in blocks."""

    values: "Type"


@dataclass(frozen=True, slots=True)
class Union:
    """One of some types, by index."""

    branches: tuple["Type", ...]


@dataclass(frozen=True, slots=True)
class Field:
    """A field of a record; *default* is JSON, and counts only if *has_default*."""

    name: str
    type: "Type"
    default: Any = None
    has_default: bool = False


@dataclass(frozen=True, slots=True)
class Record:
    """Fields in order."""

    name: str  # with its namespace
    fields: tuple[Field, ...]


Type = Primitive | Fixed | Enumeration | Array | Map | Union | Record


def smallest_bytes(kind: Type) -> int:
    """Return the fewest bytes that a value of *kind* takes."""
    match kind:
        case Primitive():
            return PRIMITIVES[kind.name]
        case Fixed():
            return kind.size_bytes
        case Record():
            return sum(smallest_bytes(each.type) for each in kind.fields)
        case Enumeration() | Array() | Map() | Union():
            return 1


def admit(schema: object) -> Type:
    """
    Return the type that parsed JSON *schema* describes.

    Raises `RefusedSchema` for what is no Avro schema, and for recursion, items without bytes, and too much of anything.
    """
    return _Admission().type_of(schema, _Place())


@dataclass(frozen=True, slots=True)
class _Place:
    """Where in a schema the walk is."""

    namespace: str = ""
    depth: int = 0
    collections: int = 0  # arrays and maps around it
    within: frozenset[str] = frozenset()  # names of the records around it

    def deeper(self) -> "_Place":
        return replace(self, depth=self.depth + 1)


@dataclass(slots=True)
class _Admission:
    """One walk over one schema; a reference to a named type walks its definition again: every use is counted."""

    definitions: dict[str, tuple[Mapping[str, Any], str]] = field(default_factory=dict)  # with the namespace around it
    nodes: int = 0

    def type_of(self, schema: object, place: _Place) -> Type:
        self.nodes += 1
        if self.nodes > NODES_MAX or place.depth > DEPTH_MAX:
            raise RefusedSchema("too many parts, or nested too deep")
        match schema:
            case str():
                return self._by_name(schema, place)
            case list():
                return self._union(schema, place)
            case dict():
                return self._complex(schema, place)
            case _:
                raise RefusedSchema("a part that is neither a name, nor a list, nor an object")

    def _by_name(self, name: str, place: _Place) -> Type:
        if name in PRIMITIVES:
            return Primitive(name)
        full_name = _full_name(name, place.namespace)
        if full_name in place.within:
            raise RefusedSchema("recursive")
        if full_name not in self.definitions:
            raise RefusedSchema("a name without a definition before it")
        definition, namespace = self.definitions[full_name]
        return self._complex(definition, replace(place, namespace=namespace))

    def _union(self, branches: Sequence[object], place: _Place) -> Type:
        if not 0 < len(branches) <= BRANCHES_MAX or any(isinstance(branch, list) for branch in branches):
            raise RefusedSchema("a union without branches, with too many, or in a union")
        union = Union(tuple(self.type_of(branch, place.deeper()) for branch in branches))
        if len({_branch_name(branch) for branch in union.branches}) != len(branches):
            raise RefusedSchema("a union with the same branch twice")
        return union

    def _complex(self, schema: Mapping[str, Any], place: _Place) -> Type:
        match schema.get("type"):
            case "record":
                return self._record(schema, place)
            case "enum":
                symbols = schema.get("symbols")
                if not isinstance(symbols, list) or not 0 < len(set(map(str, symbols))) == len(symbols) <= SYMBOLS_MAX:
                    raise RefusedSchema("an enum without symbols, with too many, or with one twice")
                return Enumeration(self._define(schema, place), tuple(map(str, symbols)))
            case "fixed":
                size_bytes = schema.get("size")
                if type(size_bytes) is not int or size_bytes < 0:
                    raise RefusedSchema("a fixed without a size")
                return Fixed(self._define(schema, place), size_bytes)
            case "array":
                return Array(self._collected(schema.get("items"), place))
            case "map":
                return Map(self._collected(schema.get("values"), place))
            case other:  # {"type": "long", "logicalType": ...}, {"type": {"type": "record", ...}}
                return self.type_of(other, place.deeper())

    def _record(self, schema: Mapping[str, Any], place: _Place) -> Type:
        name = self._define(schema, place)
        inside = replace(place.deeper(), namespace=name.rpartition(".")[0], within=place.within | {name})
        fields = schema.get("fields")
        if not isinstance(fields, list) or not all(isinstance(each, dict) for each in fields):
            raise RefusedSchema("a record without a list of fields")
        names = [_identifier(each.get("name")) for each in fields]
        if len(set(names)) != len(names):
            raise RefusedSchema("a record with the same field twice")
        return Record(
            name,
            tuple(
                Field(each["name"], self.type_of(each.get("type"), inside), each.get("default"), "default" in each)
                for each in fields
            ),
        )

    def _collected(self, schema: object, place: _Place) -> Type:
        if place.collections >= COLLECTION_DEPTH_MAX:
            raise RefusedSchema("arrays and maps nested too deep")
        kind = self.type_of(schema, replace(place.deeper(), collections=place.collections + 1))
        if smallest_bytes(kind) == 0:
            raise RefusedSchema("an array or map of items that take no bytes")
        return kind

    def _define(self, schema: Mapping[str, Any], place: _Place) -> str:
        namespace = schema.get("namespace", place.namespace)
        full_name = _full_name(schema.get("name"), namespace if isinstance(namespace, str) else "")
        known = self.definitions.setdefault(full_name, (schema, place.namespace))
        if known[0] is not schema or full_name in PRIMITIVES:
            raise RefusedSchema("the same name defined twice")
        return full_name


def _branch_name(branch: Type) -> str:
    """Return what may occur once in a union: a name, or the kind of a type without one; Avro 1.12 "Unions"."""
    match branch:
        case Array() | Map() | Union():
            return type(branch).__name__
        case Primitive() | Fixed() | Enumeration() | Record():
            return branch.name


def _full_name(name: object, namespace: str) -> str:
    if not isinstance(name, str):
        raise RefusedSchema("a name that is no text")
    full_name = name if "." in name or not namespace else f"{namespace}.{name}"
    if not NAME.fullmatch(full_name):
        raise RefusedSchema("a name that is no identifier")
    return full_name


def _identifier(name: object) -> str:
    if not isinstance(name, str) or "." in name or not NAME.fullmatch(name):
        raise RefusedSchema("a field name that is no identifier")
    return name
