"""Say in our words what pydantic found: where, what is wrong, what to write instead."""

from collections.abc import Mapping
from difflib import get_close_matches
from typing import Any, Final

from pydantic import ValidationError

from processor.settings.document import Document
from processor.settings.kinds import OWN_ERROR
from processor.settings.problems import Path, Problem, dotted, shown
from processor.settings.reference import example, keys, section_at

Told = tuple[str, str]
"""What is wrong, what to write."""

UNKNOWN_KEY: Final = "is not a known key"
BOUNDS: Final = {  # pydantic's error type: what is wrong, the bound's name in its context, how to say it
    "greater_than": ("is too small", "gt", "more than"),
    "greater_than_equal": ("is too small", "ge", "at least"),
    "less_than": ("is too large", "lt", "less than"),
    "less_than_equal": ("is too large", "le", "at most"),
}
TYPES: Final[Mapping[str, Told]] = {  # the beginning of pydantic's error type
    "int": ("is not a whole number", "digits, such as 4"),
    "float": ("is not a number", "digits, such as 0.2"),
    "finite": ("is not a number", "digits, such as 0.2"),
    "bool": ("is neither true nor false", "true or false"),
    "string": ("is not text", 'text, in quotes where it looks like a number: "1"'),
    "model": ("is not a mapping", "its keys, indented, below it"),
    "mapping": ("is not a mapping", "its keys, indented, below it"),
    "dict": ("is not a mapping", "its keys, indented, below it"),
    "too_short": ("is empty", "at least one entry"),
}


def explained(error: ValidationError, document: Document) -> list[Problem]:
    """Return a problem for each of pydantic's, in the order of the file's sections."""
    found = []
    for one in error.errors(include_url=False):
        path = _written_path(one["loc"], document.tree)
        if one["type"].startswith("union_tag"):
            path = (*path, "adapter")
        what, instead = _told(one, path, document.tree)
        found.append(Problem(dotted(path), what, instead, document.source(path)))
    return found


def _told(one: Any, path: Path, tree: Any) -> Told:
    kind, context = one["type"], one.get("ctx", {})
    if kind == OWN_ERROR:
        return context["what"], context["write"]
    if kind == "extra_forbidden":
        return _unknown_key(path, tree)
    if kind == "missing":
        return "is missing", _example(path, tree)
    if kind.startswith("union_tag"):
        return "is missing or no adapter", "smtp or http"
    if kind in {"enum", "literal_error"}:
        return f"{shown(one['input'])} is not one of the known values".strip(), context["expected"].replace("'", "")
    if kind in BOUNDS:
        what, bound, words = BOUNDS[kind]
        return f"{shown(one['input'])} {what}".strip(), f"{words} {context[bound]}"
    for beginning, (what, instead) in TYPES.items():
        if kind.startswith(beginning):
            return f"{shown(one['input'])} {what}".strip(), instead
    return "is not valid", "what docs/configuration.md says of it"


def _unknown_key(path: Path, tree: Any) -> Told:
    section = section_at(path[:-1], tree)
    known = list(keys(section)) if section else []
    near = get_close_matches(path[-1], known, n=1)
    return UNKNOWN_KEY, near[0] if near else f"one of {', '.join(known)}"


def _example(path: Path, tree: Any) -> str:
    section = section_at(path[:-1], tree)
    field = keys(section).get(path[-1]) if section else None
    return f"{path[-1]}: {example(field)}" if field else "it"


def _written_path(loc: tuple[int | str, ...], tree: Any) -> Path:
    """Return pydantic's location without what it adds: the adapter's tag and `[key]`."""
    path: list[str] = []
    node = tree
    for at, step in enumerate(loc):
        if step == "[key]":
            continue
        if isinstance(node, dict) and step not in node and step == node.get("adapter") and at == 2:  # noqa: PLR2004
            continue
        path.append(str(step))
        node = node.get(step) if isinstance(node, dict) else None
    return tuple(path)
