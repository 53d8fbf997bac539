"""From the body of a verified call to its reports: objects, at most so many, each still in the provider's words."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import jmespath
from jmespath.exceptions import JMESPathError

from processor.providers.webhooks.body import FORMS, NotReadable, json

if TYPE_CHECKING:
    from processor.providers.webhooks.config import Reading

REPORTS_MAX: Final = 10_000
"""In one call; SendGrid, which sends the most, stops at 768 KB, which is some 2,000."""

Get = Callable[[Any], Any]
"""From an object to the value at a path; None where it is not there or not as the path expects."""

STEPS: Final = re.compile(r"[A-Za-z_][A-Za-z0-9_]*(\.[A-Za-z_][A-Za-z0-9_]*)*")
"""Paths that are nothing but names are walked: some twenty times faster than by the library."""


@dataclass(frozen=True, slots=True)
class Malformed:
    """A body that holds no reports, by the HTTP status that says so."""

    status: int  # 400, or 413 where it holds too many


def getter(path: str | None) -> Get:
    """Return what reads *path*, a JMESPath expression; nothing where there is none."""
    if path is None:
        return lambda _: None
    if STEPS.fullmatch(path):
        return _walk(tuple(path.split(".")))
    compiled = jmespath.compile(path)

    def get(value: Any) -> Any:
        try:
            return compiled.search(value)
        except (JMESPathError, TypeError, ValueError):  # a function that was given what it does not take
            return None

    return get


def _walk(names: tuple[str, ...]) -> Get:
    def get(value: Any) -> Any:
        for name in names:
            if not isinstance(value, dict):
                return None
            value = value.get(name)
        return value

    return get


class Reader:
    """Reads the bodies of one provider."""

    def __init__(self, reading: Reading) -> None:
        """Compile the paths."""
        self._parse = FORMS[reading.body]
        self._embedded = None if reading.embedded is None else getter(reading.embedded)
        self._reports = getter(reading.reports)

    def whole(self, body: bytes) -> Any | Malformed:
        """Return the body as a value."""
        found = self._parse(body)
        return Malformed(400) if isinstance(found, NotReadable) else found

    def reports(self, whole: Any) -> list[dict[str, Any]] | Malformed:
        """Return the reports in a body: one, or those of its list."""
        found = self._reports(self._proper(whole))
        listed = found if isinstance(found, list) else [found]
        if len(listed) > REPORTS_MAX:
            return Malformed(413)
        return listed if all(isinstance(each, dict) for each in listed) else Malformed(400)

    def _proper(self, whole: Any) -> Any:
        """Return what stands in the text that is *embedded*; the whole where that is no JSON, such as a greeting."""
        text = None if self._embedded is None else self._embedded(whole)
        inner = json(text) if isinstance(text, str) else None
        return inner if isinstance(inner, dict | list) else whole
