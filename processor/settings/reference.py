"""What the models say of themselves: keys, types, defaults, meanings; for errors and for docs/configuration.md."""

from collections.abc import Iterable, Iterator
from enum import EnumType, StrEnum
from typing import Any, Final, Literal, get_args, get_origin

from pydantic import BaseModel
from pydantic.fields import FieldInfo
from pydantic_core import PydanticUndefined

from processor.settings.adapters import ADAPTERS
from processor.settings.channels import ChannelSettings
from processor.settings.kinds import UNITS_BYTES, UNITS_MS, Kind
from processor.settings.problems import Path
from processor.settings.providers import ProviderSettings
from processor.settings.references import OVERRIDES
from processor.settings.root import Settings

PLAIN: Final = {
    bool: Kind("`true`, `false`", "true"),
    int: Kind("whole number", "4"),
    float: Kind("number", "0.2"),
    str: Kind("text", "text"),
}

OWN_NAMES: Final = {"channels": ".CODE", "dkim": ".DOMAIN"}
"""What stands for the names that users give to the sections of a mapping."""


def keys(section: type[BaseModel]) -> dict[str, FieldInfo]:
    """Return the keys of *section* as they are written."""
    return {field.alias or name: field for name, field in section.model_fields.items()}


def section_at(path: Path, tree: Any) -> type[BaseModel] | None:
    """Return the model of the section at *path*; a provider's is that of the adapter it names in *tree*."""
    section: type[BaseModel] | None = Settings
    if path[:1] == ("providers",) or path[:1] == ("channels",):
        if len(path) == 1:
            return None
        section = ChannelSettings if path[0] == "channels" else _adapter(path[1], tree)
        path = path[2:]
    steps = iter(path)
    for step in steps:
        field = keys(section).get(step) if section else None
        section = nested(field.annotation) if field else None
        if field and _is_mapping(field.annotation):
            next(steps, None)  # a name of the user's own
    return section


def nested(annotation: Any) -> type[BaseModel] | None:
    """Return the section that a field of this type holds, if it is one."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return annotation
    found = (nested(part) for part in get_args(annotation) if get_origin(annotation) is not Literal)
    return next((section for section in found if section), None)


def kind(field: FieldInfo) -> Kind:
    """Return type and example of *field*."""
    return _last_kind(field.metadata) or _kind(field.annotation)


def example(field: FieldInfo) -> str:
    """Return what *field* may be set to."""
    return kind(field).example


def table() -> str:
    """Return every key as Markdown: one table a section."""
    sections: list[tuple[str, type[BaseModel]]] = [("(top)", Settings), *_sections(Settings, "")]
    return "\n\n".join(f"### `{name}`\n\n{section.__doc__}\n\n{_rows(section)}" for name, section in sections)


def overrides() -> str:
    """Return the environment variables that win over the file, as Markdown."""
    rows = [f"| `{name}` | `{'.'.join(path)}` |" for name, path in OVERRIDES.items()]
    return "\n".join(["| variable | key |", "| --- | --- |", *rows])


def _sections(section: type[BaseModel], prefix: str) -> Iterator[tuple[str, type[BaseModel]]]:
    for key, field in keys(section).items():
        if key == "providers":
            shared = list(_sections(ProviderSettings, "providers.NAME."))
            for adapter, below in ADAPTERS.items():
                yield f"providers.NAME (adapter: {adapter})", below
                yield from (found for found in _sections(below, "providers.NAME.") if found not in shared)
            yield from shared
        elif inner := nested(field.annotation):
            name = f"{prefix}{key}{OWN_NAMES.get(key, '')}"
            yield name, inner
            yield from _sections(inner, f"{name}.")


def _rows(section: type[BaseModel]) -> str:
    rows = ["| key | type | default | meaning |", "| --- | --- | --- | --- |"]
    for key, field in keys(section).items():
        if not nested(field.annotation):
            meaning = (field.description or "").replace("|", "\\|")
            rows.append(f"| `{key}` | {kind(field).text} | {_default(field)} | {meaning} |")
    return "\n".join(rows) if len(rows) > 2 else ""  # noqa: PLR2004 - the heading


def _default(field: FieldInfo) -> str:
    if field.is_required():
        return "**required**"
    if field.default_factory is not None or field.default in (None, PydanticUndefined, ()):
        return ""
    return f"`{_written(field.default, kind(field).text)}`"


def _written(value: Any, text: str) -> str:
    """Return *value* as it is written in the file: a duration or size in its largest whole unit."""
    if isinstance(value, tuple):
        return f"[{', '.join(value)}]"
    units = {"duration": UNITS_MS, "size": UNITS_BYTES}.get(text)
    if units is None:
        return str(value).lower() if isinstance(value, bool) else str(value)
    unit = next(unit for unit in reversed(units) if value % units[unit] == 0)
    return f"{value // units[unit]}{unit}"


def _last_kind(parts: Iterable[Any]) -> Kind | None:
    """Return the outermost kind that annotates a type."""
    return next((part for part in reversed(list(parts)) if isinstance(part, Kind)), None)


def _kind(annotation: Any) -> Kind:
    if get_origin(annotation) is Literal:
        return Kind(", ".join(f"`{choice}`" for choice in get_args(annotation)), str(get_args(annotation)[0]))
    if isinstance(annotation, EnumType) and issubclass(annotation, StrEnum):
        return Kind(", ".join(f"`{choice}`" for choice in annotation), str(next(iter(annotation))))
    if annotation in PLAIN:
        return PLAIN[annotation]
    if _is_mapping(annotation):
        return Kind("mapping", "{}")
    if annotated := _last_kind(get_args(annotation)):
        return annotated
    for part in get_args(annotation):
        if part is not type(None) and (found := _kind(part)).text != "value":
            return found
    return Kind("value", "a value")


def _is_mapping(annotation: Any) -> bool:
    """Return whether values of this type are mappings."""
    origin = get_origin(annotation)
    return isinstance(origin, type) and hasattr(origin, "keys")


def _adapter(name: str, tree: Any) -> type[BaseModel] | None:
    provider = tree.get("providers", {}).get(name) if isinstance(tree.get("providers"), dict) else None
    return ADAPTERS.get(str(provider.get("adapter"))) if isinstance(provider, dict) else None


def filled(page: str) -> str:
    """Return *page* (Markdown) with what stands between its marks written anew."""
    for mark, text in (("overrides", overrides()), ("keys", table())):
        before, _, rest = page.partition(f"<!-- {mark} -->\n")
        _, _, after = rest.partition("<!-- end -->")
        page = f"{before}<!-- {mark} -->\n\n{text}\n\n<!-- end -->{after}"
    return page
