"""Something that a promise is about, found in the story of a message."""

from collections import Counter
from collections.abc import Iterator, Sequence
from typing import NamedTuple


class Finding(NamedTuple):
    """What was found; *allowed*: an attempt in doubt, which was reported, covers it."""

    what: str
    allowed: bool = False


def repeated(names: Sequence[str]) -> Iterator[Finding]:
    """Yield each name as often as it comes beyond once."""
    if len(names) < 2:  # noqa: PLR2004 - most have one, and a counter costs more than all else
        return
    for name, count in Counter(names).items():
        yield from [Finding(name)] * (count - 1)
