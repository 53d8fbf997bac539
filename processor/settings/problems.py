"""What is wrong with a configuration: where, what, and what to write instead; never a secret."""

import re
from dataclasses import dataclass
from typing import Final

Path = tuple[str, ...]

HARMLESS: Final = re.compile(r"-?[0-9][0-9:.,]{0,11}( ?[A-Za-z%/]{1,3})?")
"""What an error may repeat of a value: numbers, times, sizes. A word may be a password in the wrong place."""


@dataclass(frozen=True, slots=True)
class Problem:
    """One thing to mend."""

    where: str  # dotted path of the key
    what: str  # what is wrong with it
    write_instead: str  # what to write; may be empty where `what` says it all
    source: str = ""  # file:line, or the environment variable that it came from

    def __str__(self) -> str:
        told = f"{self.where}: {self.what}"
        if self.write_instead:
            told = f"{told}; write {self.write_instead}"
        return f"{self.source}: {told}" if self.source else told


class ConfigurationError(Exception):
    """The configuration cannot be used; `problems` holds everything that is wrong with it."""

    def __init__(self, problems: tuple[Problem, ...]) -> None:
        self.problems = problems
        super().__init__("\n".join(map(str, problems)))


def dotted(path: Path) -> str:
    """Return *path* as text on one line; `(top)` for the document itself."""
    return ".".join(_plain(key) for key in path) or "(top)"


def shown(value: object) -> str:
    """Return *value* for an error, quoted; empty where it might be a secret."""
    if isinstance(value, bool | int | float):
        return str(value).lower()
    return f'"{value}"' if type(value) is str and HARMLESS.fullmatch(value) else ""


def _plain(key: str) -> str:
    return "".join(c if c.isalnum() or c in "_-.[]<>" else "?" for c in key[:64])
