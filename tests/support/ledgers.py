"""Joins what producers asked, what providers received and what events say, by the rules of `commproc audit`."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from processor.cli.audit.notes import call_of
from processor.core.audit.account import Account, Line, Source
from processor.core.audit.facts import Told, asked, place_of, told
from processor.core.audit.story import Rules, Story
from processor.core.events import Control, DeadLetter, DeliveryEvent, EngagementEvent, Receipt, RetryEvent
from processor.core.words import PERHAPS_SENT, Status
from processor.stages.publish import public_id

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Mapping

    from processor.codec.events import Event
    from processor.core.message import Head, Origin
    from processor.sandbox.ledger import Entry


@dataclass(frozen=True, slots=True)
class Asked:
    """A record that Kafka acknowledged; *message_id* None: it cannot be read, or only its *head* can."""

    message_id: str | None
    due_at_ms: int = 0
    head: Head | None = None
    content: int = 0  # a hash of its bytes


@dataclass(slots=True)
class Ledgers:
    """The three ledgers of a run; *rules* say what it is judged by."""

    asked: Mapping[Origin, Asked]
    provider: list[Entry]
    rules: Rules
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
        retried = {(each.message_id, each.attempt) for each in self.retry if each.reason in PERHAPS_SENT}
        return retried | {(each.message_id, each.attempt) for each in self.delivery if each.status is Status.UNKNOWN}

    def statuses(self) -> Counter[Status]:
        """Return how many messages ended how."""
        return Counter(each.status for each in self.delivery if each.terminal)

    def ended(self, waiting: Collection[str] = ()) -> bool:
        """Tell whether there are as many ends as records, so that `breaches` is worth asking."""
        ends = sum(each.terminal for each in self.delivery) + sum(each.message_id is None for each in self.dead)
        return ends >= sum(each.message_id not in waiting for each in self.asked.values())

    def breaches(self, waiting: Collection[str] = ()) -> dict[str, Line]:
        """Return every broken promise by its name; *waiting* are the messages that are known to wait in a topic."""
        account = Account(self.rules, [Source.CALLS])
        for story in self.stories(waiting):
            account.add(story)
        return account.breaches()

    def stories(self, waiting: Collection[str] = ()) -> Iterable[Story]:
        """Return what is known of each message, and of each place of which no message is known."""
        stories: dict[str, Story] = {}

        def told_of(about: str) -> Story:
            return stories.setdefault(about, Story(about))

        named: dict[Origin, str] = {}
        for number, (origin, each) in enumerate(self.asked.items()):
            named[origin] = place_of(*origin) if each.head is None else public_id(each.head.message_id)
            # One instant each: those that are forwarded are not among them, so none is another's copy.
            told_of(named[origin]).add(asked(origin, number, each.content, each.head, waits=each.message_id in waiting))
        events: tuple[Told, ...] = (*self.delivery, *self.retry, *self.dead, *self.engagement)
        for event in events:
            about = event.message_id
            if isinstance(event, DeadLetter) and about is None:
                about = named.get(event.origin, place_of(*event.origin))
            told_of(about or "").add(told(event, 0))
        for about, call in filter(None, map(call_of, self.provider)):
            told_of(about).add(call)
        return stories.values()
