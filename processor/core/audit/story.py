"""Everything that is known of one message, and what follows from it."""

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from itertools import zip_longest
from typing import Final, assert_never

from processor.core.audit.facts import (
    Acknowledged,
    Act,
    Asked,
    Call,
    Fact,
    Letter,
    Lies,
    Report,
    Result,
    Retry,
    Waiting,
)
from processor.core.clock import Zones
from processor.core.events import ended_id, retry_id
from processor.core.plan import DAY_MS, Plan
from processor.core.status import REPEATED
from processor.core.words import PERHAPS_SENT, Status

NO_RECALLS: Final[Mapping[tuple[str, str], Sequence[tuple[int, int]]]] = {}

ANYBODY: Final = 0
"""The recipient of a call whose recipients its provider has not noted."""

SEVERAL: Final = 2
"""Most messages have one of each, of which there is little to look at."""


@dataclass(frozen=True, slots=True)
class Rules:
    """What a run is judged by; *plan* is the configuration it ran with."""

    plan: Plan
    zones: Zones
    whole: bool = True  # the inbound topics still hold whatever was asked
    drained: bool = False  # nothing may wait any more
    horizon_ms: int | None = None  # an id that comes again later than this is another message; None: never, 0: always
    patience_ms: int = DAY_MS  # a report that comes again later than this is published again
    skew_ms: int = 0  # by which the clocks of providers and of the processor may differ
    latency_ms: int = 1_000  # from the last judgement to the first byte at the provider
    recalls: Mapping[tuple[str, str], Sequence[tuple[int, int]]] = field(default_factory=lambda: NO_RECALLS)
    """The spans in which each (scope, what it is about) was recalled."""


@dataclass
class Story:
    """The facts about one message id, or about one place; in no order."""

    about: str
    asked: list[Asked] = field(default_factory=list)
    waiting: list[Waiting] = field(default_factory=list)
    results: list[Result] = field(default_factory=list)
    reports: list[Report] = field(default_factory=list)
    retries: list[Retry] = field(default_factory=list)
    letters: list[Letter] = field(default_factory=list)
    acts: list[Act] = field(default_factory=list)
    calls: list[Call] = field(default_factory=list)
    acknowledged: list[Acknowledged] = field(default_factory=list)
    lies: list[Lies] = field(default_factory=list)

    @classmethod
    def of(cls, about: str, facts: Iterable[Fact]) -> "Story":
        """Return the story that *facts* tell."""
        story = cls(about)
        for fact in facts:
            story.add(fact)
        return story

    def add(self, fact: Fact) -> None:
        """Put a fact among those of its kind."""
        match fact:
            case Asked():
                self.asked.append(fact)
            case Waiting():
                self.waiting.append(fact)
            case Result():
                self.results.append(fact)
            case Report():
                self.reports.append(fact)
            case Retry():
                self.retries.append(fact)
            case Letter():
                self.letters.append(fact)
            case Act():
                self.acts.append(fact)
            case Call():
                self.calls.append(fact)
            case Acknowledged():
                self.acknowledged.append(fact)
            case Lies():
                self.lies.append(fact)
            case _:
                assert_never(fact)

    @cached_property
    def records(self) -> Sequence[Sequence[Asked]]:
        """
        Return the records that each need a result, with their copies.

        A record that does not lie in the partition of its id is forwarded there as it is: a record of the same topic
        with the same value and timestamp, in another partition, is no record of its own.
        """
        if len(self.asked) == 1:
            return [self.asked]
        alike: dict[tuple[str, int, int], dict[int, list[Asked]]] = defaultdict(lambda: defaultdict(list))
        for each in sorted(self.asked, key=lambda one: one.origin):
            alike[each.topic, each.digest, each.at_ms][each.partition].append(each)
        return [
            [each for each in copies if each is not None]
            for partitions in alike.values()
            for copies in zip_longest(*partitions.values())
        ]

    @cached_property
    def left(self) -> int:
        """Return how many of the records wait."""
        waiting = {each.origin for each in self.waiting}
        return sum(any(each.waits or each.origin in waiting for each in copies) for copies in self.records)

    @cached_property
    def left_of_gone(self) -> int:
        """Return how many wait of which the inbound record is not known."""
        return len({each.origin for each in self.waiting} - {each.origin for each in self.asked})

    @cached_property
    def grows(self) -> bool:
        """Tell whether more came of it meanwhile: of two topics that grow, neither is read to the same instant."""
        return any(each.later for each in self.results) or any(each.later for each in self.letters)

    @cached_property
    def over(self) -> bool:
        """Tell whether each of its records has come to a result."""
        waits = not self.asked or self.left or self.grows
        return not waits and len(self.results) == len(self.records)

    @cached_property
    def message_results(self) -> Sequence[Result]:
        """Return the results of the message; those of a record that repeats it say nothing of it."""
        return [each for each in self.results if each.reason not in REPEATED]

    @cached_property
    def ends(self) -> Sequence[Result]:
        """Return those of them that are the end of it: a message that was REJECTED may be asked for again."""
        return [each for each in self.message_results if each.status != Status.REJECTED]

    @cached_property
    def doubts(self) -> frozenset[int]:
        """Return the attempts of which it was reported that they were perhaps sent."""
        retried = {each.attempt for each in self.retries if each.reason in PERHAPS_SENT}
        return frozenset(retried | {each.attempt for each in self.results if each.status == Status.UNKNOWN})

    @cached_property
    def received(self) -> Sequence[Call]:
        """Return the calls in order."""
        return sorted(self.calls, key=lambda call: call.first_byte_ms)

    @cached_property
    def accepted(self) -> Mapping[int, Sequence[Call]]:
        """Return the calls that were accepted, by recipient; without recipients, those of anybody."""
        accepted: dict[int, list[Call]] = defaultdict(list)
        for call in self.calls:
            for to in call.recipients or (ANYBODY,) if call.accepted else ():
                accepted[to].append(call)
        return accepted

    @cached_property
    def acceptances(self) -> int:
        """Return how often it was accepted, for the recipient for whom it was most often."""
        return max(map(len, self.accepted.values()), default=0)

    def lives(self, rules: Rules) -> int:
        """
        Return how many messages have had this id: one after the other, and in each topic its own.

        Where records may be gone, what came of others than are known is what came of earlier messages.
        """
        gone = 0 if rules.whole else self._gone
        if len(self.asked) < SEVERAL:
            return max(1, len(self.asked) + gone)
        at_ms: dict[str, list[int]] = defaultdict(list)
        for copies in self.records:
            at_ms[copies[0].topic].append(copies[0].at_ms)
        return gone + sum(_lives(sorted(each), rules.horizon_ms) for each in at_ms.values())

    @cached_property
    def _gone(self) -> int:
        """Return how many messages at least have had this id whose records are not known."""
        known = {ended_id(self.about, each.origin) for each in self.asked}
        ended = {each for each in self.ends if each.event_id not in known}
        attempts = Counter(each.attempt for each in ended if each.provider)
        for attempt, event_id in {(each.attempt, each.event_id) for each in self.retries}:
            if event_id not in {retry_id(self.about, each.origin, attempt) for each in self.asked}:
                attempts[attempt] += 1
        return max(len({each.event_id for each in ended}), *attempts.values(), 0)

    def provider_of(self, attempt: int | None, plan: Plan) -> str | None:
        """Return the provider of an attempt, as its event says, or as was asked where it has none yet."""
        told = [each.provider for each in self.retries if each.attempt == attempt]
        told += [each.provider for each in self.results if each.attempt == attempt and each.provider]
        if told or not self.asked:
            return told[0] if told else None
        first = self.asked[0]
        channel = plan.channels.get(first.channel or "")
        return first.provider or (None if channel is None else channel.provider)


def _lives(at_ms: Sequence[int], horizon_ms: int | None) -> int:
    """Return how many messages are those whose records came at these instants."""
    if horizon_ms is None:
        return 1
    count, since_ms = 0, None
    for each in at_ms:
        if since_ms is None or not horizon_ms or each - since_ms > horizon_ms:
            count, since_ms = count + 1, each
    return count
