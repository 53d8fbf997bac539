"""The seam between dispatch and providers: what an adapter is asked to send, and what it answers."""

from __future__ import annotations

from dataclasses import dataclass
from math import inf
from time import monotonic
from typing import TYPE_CHECKING, Final, NamedTuple, Protocol

from processor.core.outcome import Deferred, Stage
from processor.core.plan import PLAIN_FORM, Form
from processor.core.words import Reason

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from processor.core.message import Message
    from processor.core.outcome import Outcome


def never() -> bool:
    """Tell of what nothing stops."""
    return False


class Submission(NamedTuple):
    """One provider call that an adapter is asked to make; one is made for each message, so a named tuple."""

    message: Message
    attempt: int  # number of this provider call for the message, from 1
    recipients: tuple[int, ...] | None = None  # indexes into to, cc, bcc in that order; None is all
    form: Form = PLAIN_FORM  # what its channel asks for
    until_s: float = inf  # on time.monotonic(): no byte of it may leave from then on, however long connecting takes
    is_stopped: Callable[[], bool] = never  # recalled meanwhile, or suppressed: nor may any then

    def is_over(self) -> bool:
        """Tell whether it is too late to hand the message over; to be asked right before."""
        return monotonic() >= self.until_s or self.is_stopped()


TOO_LATE: Final = Deferred(Reason.PAST_END, stage=Stage.PREPARE)
"""Nothing was handed over, for by then `Submission.is_over`: no attempt, and none of the provider's fault."""


@dataclass(frozen=True, slots=True)
class Broken:
    """A wire exchange that ended without an answer."""

    stage: Stage  # HAND_OVER: the message may have arrived; earlier: it certainly has not


class Adapter(Protocol):
    """One configured provider."""

    def open(self) -> None:
        """Begin what takes time before the first call, and listen to receipts of earlier ones; needs an event loop."""
        ...

    async def send(self, batch: Sequence[Submission]) -> Sequence[Outcome]:
        """
        Make one provider call and return an outcome for each submission, in order.

        Never raises for anything that a provider, a network or a message does. When cancelled, the
        call may have been made: its outcome is Unknown to the caller. `TOO_LATE` is the outcome of what is over before
        it could be handed over.
        """
        ...

    async def close(self) -> None:
        """Say goodbye on kept connections and drop them; a second call does nothing."""
        ...
