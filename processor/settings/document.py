"""Read a YAML file into plain values, and remember the line of each key."""

import re
from collections.abc import Hashable
from dataclasses import dataclass, field
from typing import Any, Final

import yaml

from processor.settings.problems import ConfigurationError, Path, Problem, dotted

DEPTH_MAX: Final = 20


@dataclass(slots=True)
class Document:
    """A configuration as it was written, before anything was checked."""

    tree: dict[str, Any]
    sources: dict[Path, str]  # file:line of each key
    problems: list[Problem] = field(default_factory=list)

    def source(self, path: Path) -> str:
        """Return where *path*, or what it would stand in, was written."""
        while path and path not in self.sources:
            path = path[:-1]
        return self.sources.get(path, "")


class _Loader(yaml.SafeLoader):
    """
    YAML 1.2's scalars, without aliases.

    In YAML 1.1 `off` and `no` are booleans and an unquoted 20:00 is the number 1200. Aliases let a few
    bytes stand for gigabytes.
    """

    yaml_implicit_resolvers: dict[str, Any] = {}  # noqa: RUF012 - the name and type that PyYAML gives

    def compose_node(self, parent: yaml.Node | None, index: int) -> yaml.Node | None:
        if self.check_event(yaml.AliasEvent):
            mark = self.peek_event().start_mark  # type: ignore[no-untyped-call]
            raise yaml.MarkedYAMLError(problem="an alias (*) is not read here", problem_mark=mark)
        return super().compose_node(parent, index)


_Loader.add_implicit_resolver("tag:yaml.org,2002:bool", re.compile(r"(true|false)\Z"), list("tf"))
_Loader.add_implicit_resolver("tag:yaml.org,2002:int", re.compile(r"-?(0|[1-9][0-9]*)\Z"), list("-0123456789"))
_Loader.add_implicit_resolver(
    "tag:yaml.org,2002:float", re.compile(r"-?(0|[1-9][0-9]*)\.[0-9]+\Z"), list("-0123456789")
)
_Loader.add_implicit_resolver("tag:yaml.org,2002:null", re.compile(r"(null|~|)\Z"), ["n", "~", ""])


def read(text: str, *, name: str) -> Document:
    """Return *text*, the content of the file *name*. Raises `ConfigurationError` where it is not YAML at all."""
    loader = _Loader(text)
    try:
        node = loader.get_single_node()
    except yaml.YAMLError as error:
        raise ConfigurationError((_not_yaml(error, name),)) from None
    document = Document(tree={}, sources={})
    if isinstance(node, yaml.MappingNode):
        document.tree = _mapping(loader, node, (), document, name)
    elif node is not None:
        document.problems.append(Problem("(top)", "is not a mapping", "keys such as `kafka:`", f"{name}:1"))
    return document


def _mapping(loader: _Loader, node: yaml.MappingNode, path: Path, document: Document, name: str) -> dict[str, Any]:
    tree: dict[str, Any] = {}
    for key_node, value_node in node.value:
        key: Hashable = key_node.value if isinstance(key_node, yaml.ScalarNode) else "?"
        here = (*path, str(key))
        source = f"{name}:{key_node.start_mark.line + 1}"
        if key in tree:
            document.problems.append(Problem(dotted(here), "stands twice", "it once", source))
        document.sources.setdefault(here, source)
        tree[str(key)] = _value(loader, value_node, here, document, name)
    return tree


def _value(loader: _Loader, node: yaml.Node, path: Path, document: Document, name: str) -> Any:
    if len(path) > DEPTH_MAX:
        document.problems.append(Problem(dotted(path[:3]), "is nested too deep", "", document.source(path)))
        return None
    if isinstance(node, yaml.MappingNode):
        return _mapping(loader, node, path, document, name)
    if isinstance(node, yaml.SequenceNode):
        items = enumerate(node.value)
        return [_value(loader, item, (*path, str(index)), document, name) for index, item in items]
    try:
        return loader.construct_object(node)
    except yaml.YAMLError:
        document.problems.append(Problem(dotted(path), "has a tag (!) that is not read here", "a plain value"))
        return None


def _not_yaml(error: yaml.YAMLError, name: str) -> Problem:
    """Tell line and kind of a syntax error; PyYAML's own text quotes the line, which may hold a secret."""
    mark = getattr(error, "problem_mark", None)
    kind = getattr(error, "problem", None) or type(error).__name__
    what = "is not YAML: " + re.sub(r"'[^']*'|\"[^\"]*\"", "…", kind)[:80]
    return Problem("(file)", what, "", f"{name}:{mark.line + 1}" if mark else name)
