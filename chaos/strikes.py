"""What is kept of a fault that was to strike, and which of a drill did not."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterable

UNMET_MAX: Final = 2
"""Among others a fault may find another one in its way: more often than that it is none."""


class Strike(NamedTuple):
    """A fault that was to strike, and what it told; *moved*: what shows that it did, None for what needs no proof."""

    fault: str
    at_s: float
    whom: str
    lasts_s: float
    moved: float | None

    @property
    def is_met(self) -> bool:
        """Tell whether it struck."""
        return self.moved is None or self.moved > 0


def met(strikes: Iterable[Strike]) -> str:
    """Return how many faults a drill met, and how often each."""
    counts = _counts(strikes)
    told = [f"{name} {shown}" + (f" of {count}" if shown < count else "") for name, (shown, count) in counts.items()]
    return f"{sum(shown > 0 for shown, _ in counts.values())} faults met: {', '.join(sorted(told))}"


def unmet(strikes: Iterable[Strike]) -> list[str]:
    """Return the faults that did not strike: one that was by itself whenever it did not, among others if never."""
    counts = _counts(strikes)
    missed = {name: (shown, count) for name, (shown, count) in counts.items() if shown < count}
    if len(counts) > 1:
        missed = {name: (shown, count) for name, (shown, count) in missed.items() if not shown and count > UNMET_MAX}
    return [f"{name}: {count - shown} of {count}" for name, (shown, count) in missed.items()]


def _counts(strikes: Iterable[Strike]) -> dict[str, tuple[int, int]]:
    """Return how often each fault struck, and was to strike."""
    found: dict[str, tuple[int, int]] = {}
    for each in strikes:
        shown, count = found.get(each.fault, (0, 0))
        found[each.fault] = (shown + each.is_met, count + 1)
    return found
