"""Joins what producers asked, what providers received and what events say, as a chaos run must (FAULTS §1)."""

from __future__ import annotations

from collections import Counter, defaultdict
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from processor.core.events import Control, DeadLetter, DeliveryEvent, EngagementEvent, Receipt, RetryEvent
from processor.core.words import Reason, Status

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Mapping

    from processor.codec.events import Event
    from processor.core.message import Origin
    from processor.sandbox.ledger import Entry

AMBIGUOUS = frozenset({Reason.ANSWER_MISSING, Reason.ANSWER_UNLISTED, Reason.IN_DOUBT})
"""Why an attempt may have been sent although nobody said so."""


@dataclass(frozen=True, slots=True)
class Asked:
    """A record that Kafka acknowledged; *message_id* None: it cannot be read."""

    message_id: str | None
    due_at_ms: int = 0
    once: bool = False  # a one-time password: never sent twice


@dataclass(slots=True)
class Ledgers:
    """The three ledgers of a run."""

    asked: Mapping[Origin, Asked]
    provider: list[Entry]
    delivery: list[DeliveryEvent] = field(default_factory=list)
    retry: list[RetryEvent] = field(default_factory=list)
    dead: list[DeadLetter] = field(default_factory=list)
    receipts: list[Receipt] = field(default_factory=list)
    engagement: list[EngagementEvent] = field(default_factory=list)
    controls: list[Control] = field(default_factory=list)

    def add(self, events: Iterable[Event]) -> None:
        """Sort *events* into their ledgers."""
        for event in events:
            match event:
                case DeliveryEvent():
                    self.delivery.append(event)
                case RetryEvent():
                    self.retry.append(event)
                case DeadLetter():
                    self.dead.append(event)
                case Receipt():
                    self.receipts.append(event)
                case EngagementEvent():
                    self.engagement.append(event)
                case Control():
                    self.controls.append(event)

    @property
    def in_doubt(self) -> set[tuple[str, int]]:
        """Return the attempts, as (message id, number), that were reported in doubt or without an answer."""
        retried = {(each.message_id, each.attempt) for each in self.retry if each.reason in AMBIGUOUS}
        return retried | {(each.message_id, each.attempt) for each in self.delivery if each.status is Status.UNKNOWN}

    def statuses(self) -> Counter[Status]:
        """Return how many messages ended how."""
        return Counter(each.status for each in self.delivery if each.terminal)

    def breaches(self, waiting: Collection[str] = ()) -> dict[str, list[object]]:
        """Return every broken promise by its name; *waiting* are the messages that are known to wait in a topic."""
        found: dict[str, list[object]] = {
            "lost": self._lost(waiting),
            "ended twice": _repeated(each.message_id for each in self.delivery if each.terminal),
            "event id twice": _repeated(self._event_ids()),
            "two results for an attempt": _repeated(self._results()),
            "called twice for an attempt": _repeated((each.message_id, each.attempt) for each in self._named()),
            "accepted more often than doubt allows": self._oversent(),
            "one-time password accepted twice": self._passwords_twice(),
            "early": self._early(),
            "sent without a call": self._unfounded(),
            "called without being asked": self._phantoms(),
            "ended unsent, yet accepted": self._sent_unsaid(),
        }
        return {name: each for name, each in found.items() if each}

    def _event_ids(self) -> list[str]:
        events: tuple[DeliveryEvent | RetryEvent | DeadLetter | EngagementEvent, ...] = (
            *self.delivery,
            *self.retry,
            *self.dead,
            *self.engagement,
        )
        return [each.event_id for each in events]

    def _lost(self, waiting: Collection[str]) -> list[object]:
        ended = {each.message_id for each in self.delivery if each.terminal} | set(waiting)
        buried = {each.origin for each in self.dead}
        return [
            (origin, asked)
            for origin, asked in self.asked.items()
            if (asked.message_id not in ended if asked.message_id is not None else origin not in buried)
        ]

    def _results(self) -> list[tuple[str, int]]:
        """Return the attempts that have a result; one that ended a message without a call names no provider."""
        ended = [(each.message_id, each.attempt) for each in self.delivery if each.terminal and each.provider]
        return ended + [(each.message_id, each.attempt) for each in self.retry]

    def acceptances(self) -> Counter[str | None]:
        """Return how often a message was accepted, for the recipient for whom it was most often."""
        each = Counter((entry.message_id, to) for entry in self.provider if entry.accepted for to in entry.recipients)
        most: Counter[str | None] = Counter()
        for (message_id, _), count in each.items():
            most[message_id] = max(most[message_id], count)
        return most

    def _oversent(self) -> list[object]:
        doubts = Counter(message_id for message_id, _ in self.in_doubt)
        return [(each, n) for each, n in self.acceptances().items() if n > 1 + doubts[each or ""]]

    def _passwords_twice(self) -> list[object]:
        passwords = {asked.message_id for asked in self.asked.values() if asked.once}
        return [each for each, count in self.acceptances().items() if each in passwords and count > 1]

    def _early(self) -> list[object]:
        due: dict[tuple[str | None, int], int] = defaultdict(int)
        due |= {(each.message_id, 1): each.due_at_ms for each in self.asked.values()}
        due |= {(each.message_id, each.attempt + 1): each.next_attempt_at_ms for each in self.retry}
        return [entry for entry in self.provider if entry.first_byte_ms < due[entry.message_id, entry.attempt or 1]]

    def _unfounded(self) -> list[object]:
        accepted = {(entry.message_id, entry.attempt) for entry in self.provider if entry.accepted}
        sent = [each for each in self.delivery if each.status is Status.SENT]
        return [each for each in sent if (each.message_id, each.attempt) not in accepted]

    def _phantoms(self) -> list[object]:
        asked = {each.message_id for each in self.asked.values()}
        return [entry for entry in self._named() if entry.message_id not in asked]

    def _named(self) -> list[Entry]:
        """Return what arrived, less recipients that were refused before their message was sent."""
        return [entry for entry in self.provider if entry.accepted or entry.message_id is not None]

    def _sent_unsaid(self) -> list[object]:
        doubtful = {message_id for message_id, _ in self.in_doubt}
        ended = [each for each in self.delivery if each.terminal]
        unsent = {each.message_id: each.status for each in ended if each.status is not Status.SENT}
        accepted = {entry.message_id for entry in self.provider if entry.accepted}
        return [(each, status) for each, status in unsent.items() if each in accepted - doubtful]


def _repeated(keys: Iterable[object]) -> list[object]:
    return [(key, count) for key, count in Counter(keys).items() if count > 1]
