"""What keeps a message from its provider at the instant of submission: a recall, or the suppression list."""

from dataclasses import replace
from typing import Final

from processor.core.control import address_hash
from processor.core.controls import Controls
from processor.core.message import Facts, Head, Message
from processor.core.outcome import Outcome, Partly
from processor.core.plan import Plan
from processor.core.verdict import Dispatch, End, Wait
from processor.core.words import Purpose, Reason, Status
from processor.providers.adapter import Submission
from processor.providers.listed import listed

_UNREAD_WAIT_MIN_MS: Final = 2_000
_UNREAD_WAIT_MAX_MS: Final = 300_000

Missing = tuple[int, ...]
"""Recipients that a message goes without, by index into to, cc, bcc in that order."""


class Stops:
    """
    Asks the controls about one message after the other; each dispatch loop has its own.

    While nothing is stopped, a message costs one look at a flag. Addresses are only hashed for marketing, and only
    when some address is suppressed.
    """

    def __init__(self, controls: Controls, plan: Plan, hash_key: bytes) -> None:
        """Judge by *controls*, which another thread keeps up to date."""
        self._controls = controls
        self._plan = plan
        self._hash_key = hash_key
        self._unread_since_ms: int | None = None

    def of(self, message: Message, facts: Facts, go: Dispatch, now_ms: int) -> Wait | End | Missing:
        """
        Return why a message that may *go* may not, else the recipients that it goes without; mostly none.

        A message whose `to` is suppressed does not go; copies to others are copies of nothing then.
        """
        controls = self._controls
        if controls.quiet:
            return ()
        head = message.head
        if controls.recalled(head, now_ms):
            return _over(Status.CANCELLED, Reason.RECALLED, facts)
        if self._plan.channels[head.channel].form.purpose_of(head) is not Purpose.MARKETING:
            return ()
        if not controls.whole:
            return self._until_read(go, now_ms)
        if not controls.suppressions.count:
            return ()
        missing = self._missing(message, facts, now_ms)
        still_open = range(count_of(message)) if facts.open_recipients is None else facts.open_recipients
        if missing and (len(missing) == len(still_open) or (0 in missing and facts.open_recipients is None)):
            return _over(Status.SUPPRESSED, Reason.RECIPIENT_SUPPRESSED, facts)
        return missing

    def _until_read(self, go: Dispatch, now_ms: int) -> Wait:
        """
        Return when a marketing message is to be judged again: it goes to a delay tier, and is in nobody's way.

        The wait doubles with the time that the list has not been read, so that a long outage of one partition does
        not turn a campaign's backlog round and round.
        """
        if self._unread_since_ms is None:
            self._unread_since_ms = now_ms
        wait_ms = min(max(_UNREAD_WAIT_MIN_MS, now_ms - self._unread_since_ms), _UNREAD_WAIT_MAX_MS)
        return Wait(go.provider, go.lane, now_ms + wait_ms, Reason.LIST_UNREAD)

    def _missing(self, message: Message, facts: Facts, now_ms: int) -> Missing:
        addresses = (message.to, *message.cc, *message.bcc)
        still_open = range(len(addresses)) if facts.open_recipients is None else facts.open_recipients
        return tuple(at for at in still_open if self._suppressed(addresses[at], message.head, now_ms))

    def _suppressed(self, address: str, head: Head, now_ms: int) -> bool:
        country = self._plan.channels[head.channel].form.country
        hashed = address_hash(listed(address, country=country) or address, self._hash_key)
        return self._controls.suppressed(hashed, head.campaign_id, now_ms)


def count_of(message: Message) -> int:
    """Return how many recipients a message names."""
    return 1 + len(message.cc) + len(message.bcc)


def reduced(submission: Submission, missing: Missing) -> Submission:
    """
    Return a submission without the copies to *missing*, so that no adapter needs to know of them, and no header.

    A `to` that had its copy in an earlier attempt stays in the message, and is not sent to again.
    """
    message, kept = submission.message, _kept(submission.message, missing)
    copies = len(message.cc)
    return submission._replace(
        message=message._replace(
            cc=tuple(each for at, each in enumerate(message.cc, 1) if at not in missing),
            bcc=tuple(each for at, each in enumerate(message.bcc, 1 + copies) if at not in missing),
        ),
        recipients=None
        if submission.recipients is None
        else tuple(now for now, at in enumerate(kept) if at in submission.recipients and at not in missing),
    )


def widened(outcome: Outcome, message: Message, missing: Missing) -> Outcome:
    """Return an outcome of a `reduced` submission with the indexes of the whole *message*."""
    if not isinstance(outcome, Partly):
        return outcome
    kept = _kept(message, missing)
    return replace(
        outcome,
        still_open=tuple(kept[at] for at in outcome.still_open),
        refused=tuple(kept[at] for at in outcome.refused),
    )


def _kept(message: Message, missing: Missing) -> tuple[int, ...]:
    """Return the index in the whole message of each recipient that a reduced one names."""
    return tuple(at for at in range(count_of(message)) if at == 0 or at not in missing)


def _over(status: Status, reason: Reason, facts: Facts) -> End:
    """Return the end, or SENT for a message that has reached some of its recipients already."""
    return End(status if facts.open_recipients is None else Status.SENT, reason)
