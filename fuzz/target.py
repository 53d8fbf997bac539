"""What is fuzzed: a function of bytes that fails where a promise breaks, and inputs to begin with."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Callable


class Target(NamedTuple):
    """A reader of hostile bytes; *check* raises nothing but what is a finding."""

    check: Callable[[bytes], None]
    seeds: tuple[bytes, ...]


def must(holds: bool, what: str) -> None:  # noqa: FBT001 - reads as a sentence
    """Fail with *what* was promised; unlike assert also where Python optimizes."""
    if not holds:
        raise AssertionError(what)
