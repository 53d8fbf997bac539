"""The waits of the delay tiers: a timing wheel whose wheels are topics."""

from bisect import bisect_right
from typing import Final

TIERS_S: Final = (1, 4, 16, 64, 256, 1024, 4096, 16384, 65536, 262144)
"""Powers of four from one second to three days: at most three hops in each tier but the longest."""

HOP_MARGIN_MS: Final = 100
"""
What a hop needs for its own transaction and for the one that starts the call, so that it makes no record late.

One takes 6 ms on an idle machine and 20 on one whose cores are busy, where the one under way has to end first.
"""

_NEEDED_MS: Final = tuple(tier_s * 1000 + HOP_MARGIN_MS for tier_s in TIERS_S)


def tier_for(remaining_ms: int) -> int | None:
    """
    Return the wait, in seconds, of the longest tier that a record due in *remaining_ms* can pass without being late.

    None below the shortest: the record goes to its send topic, and the dispatcher waits out the rest in memory.
    """
    fitting = bisect_right(_NEEDED_MS, remaining_ms)
    return TIERS_S[fitting - 1] if fitting else None
