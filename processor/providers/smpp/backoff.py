"""When a bind is tried again."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

FIRST_MS: Final = 1_000
LONGEST_MS: Final = 60_000
REFUSED_MS: Final = 60_000  # FAULTS S21: at most one login a minute, or the account is locked


@dataclass(frozen=True, slots=True)
class Ended:
    """How the last try of a bind, or the bind itself, ended."""

    failures: int  # in a row; a bind that was cut before it had answered anything counts as one
    is_refused: bool = False  # the login was


def wait_ms(ended: Ended, *, jitter: float) -> int:
    """
    Return how long to wait; *jitter* is a draw from [0, 1).

    Not at all after a bind that had worked; then twice as long each time, half of it by chance, so that
    many processes do not come back together.
    """
    if ended.is_refused:
        return REFUSED_MS
    if ended.failures == 0:
        return 0
    longest_ms = min(FIRST_MS << min(ended.failures - 1, 16), LONGEST_MS)
    return int(longest_ms * (1 + jitter) / 2)
