"""A circuit breaker: a provider that fails is left alone, tried with one message, and taken up again step by step."""

from collections import deque
from enum import StrEnum
from typing import Final

from processor.core.outcome import Deferred, Outcome, Rejected, Stage, Throttled, Unknown
from processor.core.plan import BreakerPolicy
from processor.core.words import Reason

AILING: Final = frozenset(
    {
        Reason.PROVIDER_UNAVAILABLE,
        Reason.CONNECTION_BROKEN,
        Reason.AUTHENTICATION_FAILED,
        Reason.ANSWER_MISSING,
    }
)
"""Reasons that tell of the provider, whatever the message; an answer about a message, such as 451, is none."""

_RAMP_FAILURES_MIN: Final = 2  # one failure while it comes back is no relapse


def is_ours(outcome: Outcome) -> bool:
    """Tell whether we refused a message, or missed its attachment, before the provider was called: no word of it."""
    return isinstance(outcome, Rejected | Deferred) and outcome.stage is Stage.CONNECT and outcome.reason not in AILING


class State(StrEnum):
    """What a breaker lets pass."""

    CLOSED = "closed"  # everything
    OPEN = "open"  # nothing
    PROBING = "probing"  # one message
    RAMPING = "ramping"  # one more call at once for each that succeeds


class Breaker:
    """
    Judges the health of one provider as one dispatch loop sees it; instants are those of the monotonic clock.

    It opens when, within the policy's window, enough calls ended and the policy's share of them failed, and at once
    when credentials are refused: every further login would be refused as well.
    """

    def __init__(self, policy: BreakerPolicy) -> None:
        """Begin closed."""
        self.state = State.CLOSED
        self.why: Reason | None = None  # what opened it, or kept it open
        self._policy = policy
        self._ended: deque[tuple[float, bool]] = deque()  # when, and whether it failed
        self._failures = 0
        self._since_s = 0.0  # of the state: what began before it tells nothing
        self._pause_s = policy.pause_s
        self._ramp = 0

    def room(self, most: int, now_s: float) -> int:
        """Return how many of *most* calls may be under way."""
        if self.state is State.CLOSED:
            return most
        if self.state is State.OPEN and now_s - self._since_s >= self._pause_s:
            self._enter(State.PROBING, now_s)
        match self.state:
            case State.OPEN:
                return 0
            case State.PROBING:
                return 1
            case _:
                return min(most, self._ramp)

    def softened(self, outcome: Outcome) -> Outcome:
        """Return *outcome* without a charge where it is a certain failure of a provider that is known to fail."""
        if self.state is not State.CLOSED and isinstance(outcome, Deferred) and outcome.reason in AILING:
            return Throttled(outcome.reason, outcome.code, outcome.retry_after_ms, outcome.stage)
        return outcome

    def note(self, outcome: Outcome, *, began_s: float, now_s: float, most: int) -> bool:
        """Take note of a call, one of *most* at once, that began at *began_s*; tell whether it opened the breaker."""
        why = outcome.reason if isinstance(outcome, Deferred | Unknown) and outcome.reason in AILING else None
        if self.state is State.OPEN or began_s < self._since_s or is_ours(outcome):
            return False
        if self.state is State.PROBING:
            self._probed(why, now_s)
            return False
        self._count(now_s, failed=why is not None)
        if why is not None:
            if why is Reason.AUTHENTICATION_FAILED or self._is_bad():
                if why is Reason.AUTHENTICATION_FAILED:
                    self._pause_s = self._policy.pause_max_s  # a login that is refused again and again locks accounts
                self._open(why, now_s)
                return True
        elif self.state is State.RAMPING:
            self._ramp += 1
            if self._ramp >= most:
                self._enter(State.CLOSED, now_s)
                self._pause_s, self.why = self._policy.pause_s, None
        return False

    def _probed(self, why: Reason | None, now_s: float) -> None:
        if why is None:
            self._enter(State.RAMPING, now_s)
            self._ramp = 2
        else:
            self._pause_s = min(self._policy.pause_max_s, self._pause_s * 2)
            self._open(why, now_s)

    def _open(self, why: Reason, now_s: float) -> None:
        self.why = why
        self._enter(State.OPEN, now_s)

    def _enter(self, state: State, now_s: float) -> None:
        self.state, self._since_s = state, now_s
        self._ended.clear()
        self._failures = 0

    def _count(self, now_s: float, *, failed: bool) -> None:
        self._ended.append((now_s, failed))
        self._failures += failed
        while self._ended[0][0] < now_s - self._policy.window_s:
            self._failures -= self._ended.popleft()[1]

    def _is_bad(self) -> bool:
        least = _RAMP_FAILURES_MIN if self.state is State.RAMPING else self._policy.calls_min
        return len(self._ended) >= least and self._failures >= self._policy.share * len(self._ended)
