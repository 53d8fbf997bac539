"""Values that come from outside the file: `{env: NAME}`, `{env: NAME, default: …}`, `{file: PATH}`, and overrides."""

import copy
from collections.abc import Mapping
from pathlib import Path as FilePath
from typing import Any, Final, Self

from processor.settings.document import Document
from processor.settings.problems import Path, Problem, dotted

FILE_BYTES_MAX: Final = 65_536

OVERRIDES: Final[Mapping[str, Path]] = {
    "COMMPROC_ENVIRONMENT": ("environment",),
    "COMMPROC_KAFKA_BOOTSTRAP": ("kafka", "bootstrap"),
    "COMMPROC_SLOT": ("kafka", "slot"),
    "COMMPROC_REPLICATION_FACTOR": ("kafka", "replication_factor"),
    "COMMPROC_REGISTRY_URL": ("registry", "url"),
    "COMMPROC_OUTPUT_FRAMING": ("registry", "output_framing"),
    "COMMPROC_TOPIC_PREFIX": ("topics", "prefix"),
    "COMMPROC_METRICS_HOST": ("metrics", "host"),
    "COMMPROC_METRICS_PORT": ("metrics", "port"),
    "COMMPROC_TRACKING_HOST": ("tracking", "host"),
    "COMMPROC_TRACKING_PORT": ("tracking", "port"),
    "COMMPROC_LOG_LEVEL": ("logs", "level"),
    "COMMPROC_LOG_FORMAT": ("logs", "format"),
}
"""Environment variables that win over the file; one that is empty counts as not set."""

TEMPLATES: Final = frozenset({"body", "item"})
"""Keys of a provider whose content is a request's own, in which `env` and `file` are names like any other."""


class Outside(str):
    """A value from the environment or from a file: a secret may be one, and no error shows it."""

    __slots__ = ("default_of",)

    default_of: str

    def __new__(cls, text: str, *, default_of: str = "") -> Self:
        """Keep *text*; *default_of* names the variable that was not set, where *text* is the file's default."""
        self = super().__new__(cls, text)
        self.default_of = default_of
        return self


def resolve(document: Document, environ: Mapping[str, str]) -> Document:
    """Return *document* with references and overrides filled in; what could not be found is in its problems."""
    resolved = Document({}, dict(document.sources), list(document.problems))
    overridden = {OVERRIDES[name]: name for name in OVERRIDES if environ.get(name)}
    resolved.tree = _resolved(document.tree, (), resolved, environ, overridden)
    for path, name in overridden.items():
        _override(resolved, path, Outside(environ[name]), f"environment variable {name}")
    return resolved


def _resolved(value: Any, path: Path, document: Document, environ: Mapping[str, str], skip: Mapping[Path, str]) -> Any:
    if path in skip or (len(path) == 3 and path[0] == "providers" and path[2] in TEMPLATES):  # noqa: PLR2004 - providers.NAME.key
        return copy.deepcopy(value)
    if isinstance(value, dict):
        if value.keys() in ({"env"}, {"env", "default"}):
            return _from_environment(value, path, document, environ)
        if value.keys() == {"file"}:
            return _from_file(str(value["file"]), path, document)
        return {key: _resolved(item, (*path, key), document, environ, skip) for key, item in value.items()}
    if isinstance(value, list):
        return [_resolved(item, (*path, str(at)), document, environ, skip) for at, item in enumerate(value)]
    return value


def _from_environment(reference: dict[str, Any], path: Path, document: Document, environ: Mapping[str, str]) -> Any:
    name = str(reference["env"])
    if environ.get(name):
        return Outside(environ[name])
    if "default" in reference:
        default = reference["default"]
        return Outside(default, default_of=dotted((name,))) if isinstance(default, str) else default
    what = f"the environment variable {dotted((name,))} is not set or empty"
    document.problems.append(Problem(dotted(path), what, f"a value into {dotted((name,))}", document.source(path)))
    return None


def _from_file(name: str, path: Path, document: Document) -> Any:
    try:
        raw = FilePath(name).read_bytes()
        if len(raw) <= FILE_BYTES_MAX:
            return Outside(raw.decode().removesuffix("\n").removesuffix("\r"))
        what = f"the file {name} is larger than {FILE_BYTES_MAX} bytes"
    except (OSError, ValueError) as error:  # ValueError: not UTF-8, or a NUL in the name
        what = f"the file {name} cannot be read ({type(error).__name__})"
    instead = "the path of a readable file that holds nothing but the value"
    document.problems.append(Problem(dotted(path), what, instead, document.source(path)))
    return None


def _override(document: Document, path: Path, value: Outside, source: str) -> None:
    node = document.tree
    for key in path[:-1]:
        below = node.setdefault(key, {})
        if not isinstance(below, dict):
            return  # not a mapping: an error of its own
        node = below
    node[path[-1]] = value
    document.sources[path] = source
