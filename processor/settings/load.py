"""From text to settings: read, fill in, check each section, check them together."""

from collections.abc import Iterable, Mapping
from typing import Any

from pydantic import ValidationError

from processor.settings.document import Document, read
from processor.settings.explain import UNKNOWN_KEY, explained
from processor.settings.problems import ConfigurationError, Path, Problem, dotted
from processor.settings.references import resolve
from processor.settings.root import Settings, disagreements


def load_text(text: str, *, name: str, environ: Mapping[str, str]) -> Settings:
    """Return the configuration in *text*, the content of the file *name*. Raises `ConfigurationError`."""
    document = resolve(read(text, name=name), environ)
    problems = dict.fromkeys(document.problems)
    try:
        settings = _validated(document.tree, document.tree)
    except ValidationError as error:
        problems |= dict.fromkeys(explained(error, document))
        problems |= dict.fromkeys(_also_wrong(document, error))
        raise ConfigurationError(_without_consequences(document, problems)) from None
    problems |= dict.fromkeys(_disagreeing(document, settings))
    if problems:
        raise ConfigurationError(_without_consequences(document, problems))
    return settings


def _validated(tree: Mapping[str, Any], whole: Mapping[str, Any]) -> Settings:
    return Settings.model_validate(tree, context={"production": whole.get("environment") == "production"})


def _disagreeing(document: Document, settings: Settings) -> list[Problem]:
    found = disagreements(settings)
    return [Problem(dotted(where), what, instead, document.source(where)) for where, what, instead in found]


def _also_wrong(document: Document, error: ValidationError) -> list[Problem]:
    """Check together what is right in itself, so that one wrong section does not hide what the others disagree on."""
    wrong = {_entry(tuple(map(str, one["loc"]))) for one in error.errors(include_url=False, include_input=False)}
    try:
        rest = _validated(_without(document.tree, wrong), document.tree)
    except ValidationError:
        return []
    return [
        problem
        for (where, _, _), problem in zip(disagreements(rest), _disagreeing(document, rest), strict=True)
        if not _follows(rest, where, wrong)
    ]


def _entry(path: Path) -> Path:
    """Return what is right or wrong as a whole: a channel, a provider, or a section."""
    return path[:2] if path[0] in {"channels", "providers"} else path[:1]


def _without(tree: Mapping[str, Any], entries: Iterable[Path]) -> dict[str, Any]:
    rest = {key: dict(value) if isinstance(value, dict) else value for key, value in tree.items()}
    for section, *name in entries:
        if name and isinstance(rest.get(section), dict):
            rest[section].pop(name[0], None)
        else:
            rest.pop(section, None)
    return rest


def _follows(rest: Settings, where: Path, wrong: Iterable[Path]) -> bool:
    """Return whether *where* is at fault only because entries with errors of their own were left out."""
    if len(where) == 1:
        return any(entry[0] == where[0] for entry in wrong)
    if where[0] == "channels" and ("providers", rest.channels[where[1]].provider) in wrong:
        return True
    return _entry(where) in wrong


def _without_consequences(document: Document, problems: Iterable[Problem]) -> tuple[Problem, ...]:
    """Return all problems but those of a value that could not be found: its being absent is told already."""
    absent = {problem.where for problem in document.problems}
    return tuple(
        one for one in problems if one in document.problems or one.where not in absent or one.what == UNKNOWN_KEY
    )
