"""How fast a provider may be called that has asked us to slow down: additive increase, multiplicative decrease."""

from collections import deque
from typing import Final

HEARD: Final = 100
OBJECTIONS: Final = 10
"""Of the last HEARD answers. Fewer are about single messages: a greylisted recipient, a busy number."""
CUT: Final = 0.5
CUT_EVERY_S: Final = 1.0
"""Answers to calls that were under way when the rate was cut ask for no second cut."""
CLIMB_PER_S: Final = 0.05
"""Of the rate at which the provider objected last: ten seconds from one cut back to where it was, and on."""
FORGOTTEN_AT: Final = 2.0
"""The limit is lifted at this multiple of the rate that it objected to."""
FLOOR_PER_S: Final = 1.0
BURST_S: Final = 0.1
_OBSERVED_S: Final = 0.5
_QUIET_S: Final = 1.0  # a provider that had nothing to do for so long has objected to no rate from before


class Pace:
    """
    The rate that throttling answers leave, in calls a second; none until the first of them.

    The sawtooth of TCP's congestion control (D. Chiu and R. Jain, "Analysis of the Increase and Decrease Algorithms
    for Congestion Avoidance in Computer Networks", 1989), led by the share of answers that object and not by the first
    of them, as DCTCP is by the share of marked packets (RFC 8257, section 3).
    """

    def __init__(self) -> None:
        """Begin without a limit."""
        self.limit_per_s: float | None = None
        self._peak_per_s = 0.0
        self._tokens = 0.0
        self._at_s = 0.0
        self._cut_at_s = float("-inf")
        self._observed_per_s = 0.0
        self._count = 0
        self._counted_from_s = 0.0
        self._ended_at_s = float("-inf")
        self._heard: deque[bool] = deque(maxlen=HEARD)

    def ended(self, now_s: float, *, throttled: bool) -> None:
        """Take note that a call has ended; *throttled*: its answer asked us to slow down."""
        self._observe(now_s)
        if now_s - self._cut_at_s < CUT_EVERY_S:
            return
        self._heard.append(throttled)
        if throttled and sum(self._heard) >= OBJECTIONS:
            self._cut(now_s)

    def _observe(self, now_s: float) -> None:
        """Measure the rate that an objection is to."""
        if now_s - self._ended_at_s > _QUIET_S:
            self._observed_per_s, self._count, self._counted_from_s = 0.0, 0, now_s
            self._heard.clear()
        self._ended_at_s = now_s
        self._count += 1
        elapsed_s = now_s - self._counted_from_s
        if elapsed_s >= _OBSERVED_S:
            self._observed_per_s = self._count / elapsed_s
            self._count, self._counted_from_s = 0, now_s

    def _cut(self, now_s: float) -> None:
        self._climb(now_s)
        if self.limit_per_s is None:
            self._peak_per_s = max(FLOOR_PER_S, self._observed_per_s or self._first_per_s(now_s))
            self._tokens, self._at_s = 0.0, now_s
        else:
            self._peak_per_s = self.limit_per_s
        self.limit_per_s = max(FLOOR_PER_S, self._peak_per_s * CUT)
        self._cut_at_s = now_s
        self._heard.clear()

    def _first_per_s(self, now_s: float) -> float:
        """Return the rate of the first calls, where a provider objects before a rate was observed."""
        return self._count / max(now_s - self._counted_from_s, BURST_S)

    def room(self, now_s: float) -> int | None:
        """Return how many calls may begin now; None: any number."""
        self._climb(now_s)
        return None if self.limit_per_s is None else int(self._tokens)

    def spent(self, calls: int) -> None:
        """Take note that *calls* begin."""
        if self.limit_per_s is not None:
            self._tokens -= calls

    def _climb(self, now_s: float) -> None:
        if self.limit_per_s is None:
            return
        elapsed_s, self._at_s = max(0.0, now_s - self._at_s), now_s
        limit = self.limit_per_s + self._peak_per_s * CLIMB_PER_S * elapsed_s
        self._tokens = min(max(1.0, limit * BURST_S), self._tokens + limit * elapsed_s)
        self.limit_per_s = limit
        if limit >= self._peak_per_s * FORGOTTEN_AT:
            self.limit_per_s = None
