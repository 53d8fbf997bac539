"""Every promise by its name, and the sum of what was found of each."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Final, NamedTuple

from processor.core.audit import calling, endings
from processor.core.audit.finding import Finding
from processor.core.audit.story import Rules, Story

EXAMPLES_MAX: Final = 5


class Source(StrEnum):
    """What a promise can only be checked with, beside the topics."""

    TOPICS = "topics"
    ASKED = "asked"
    CALLS = "calls"
    SECRETS = "secrets"


class Promise(NamedTuple):
    """Something that must not be found in the story of any message."""

    what: str
    find: Callable[[Story, Rules], Iterable[Finding]]
    source: Source = Source.TOPICS


PROMISES: Final[Mapping[str, Promise]] = {
    "lost": Promise("records without a result that wait nowhere", endings.lost),
    "repeats_nothing": Promise("ended as repetitions, and nothing else did", endings.repeats_nothing),
    "misjudged": Promise("repetitions not told apart by content", endings.misjudged),
    "unwritten": Promise("acknowledged, and not on the topic", endings.unwritten, Source.ASKED),
    "still_waiting": Promise("records that wait, though all should be done", endings.still_waiting),
    "ended_twice": Promise("messages or records with two results", endings.ended_twice),
    "event_twice": Promise("events whose id another event has", endings.event_twice),
    "attempt_twice": Promise("attempts with two results", endings.attempt_twice),
    "phantom_result": Promise("events of messages that nobody asked for", endings.phantom_result),
    "unburied": Promise("refused or given up, and not one dead letter", endings.unburied),
    "called_twice": Promise("calls beyond one for each attempt", calling.called_twice, Source.CALLS),
    "accepted_twice": Promise("acceptances beyond one for a recipient", calling.accepted_twice, Source.CALLS),
    "password_twice": Promise("one-time passwords sent again", calling.password_twice, Source.CALLS),
    "early": Promise("calls before a start or before the told retry", calling.early, Source.CALLS),
    "late": Promise("calls after an end", calling.late, Source.CALLS),
    "outside": Promise("calls outside a daily window", calling.outside, Source.CALLS),
    "recalled": Promise("calls after a recall", calling.recalled, Source.CALLS),
    "unfounded": Promise("SENT, and accepted by no provider", calling.unfounded, Source.CALLS),
    "untold": Promise("attempts called of which no event tells", calling.untold, Source.CALLS),
    "phantom_call": Promise("calls for messages that nobody asked for", calling.phantom_call, Source.CALLS),
    "sent_unsaid": Promise("accepted, and ended as not sent", calling.sent_unsaid, Source.CALLS),
}
DOUBTED: Final = frozenset({"called_twice", "accepted_twice"})
"""What a reported doubt covers, once for each attempt."""


@dataclass(slots=True)
class Line:
    """What was found of one promise; *broken* of it are covered by no doubt."""

    found: int = 0
    broken: int = 0
    examples: list[str] = field(default_factory=list)

    def add(self, finding: Finding) -> None:
        """Count what was found."""
        self.found += 1
        if not finding.allowed:
            self.broken += 1
            if len(self.examples) < EXAMPLES_MAX:
                self.examples.append(finding.what)


class Account:
    """Adds up story after story; *sources* are those that there are."""

    def __init__(self, rules: Rules, sources: Iterable[Source]) -> None:
        """Begin with nothing."""
        known = {Source.TOPICS, *sources}
        self.lines = {name: Line() for name, promise in PROMISES.items() if promise.source in known}
        self.doubts = 0  # attempts that were reported in doubt
        self.records = 0  # that were asked for, less copies
        self.results = 0
        self.calls = 0
        self._rules = rules

    def add(self, story: Story) -> None:
        """Hold a story against every promise."""
        self.doubts += len(story.doubts)
        self.records += len(story.records)
        self.results += len(story.results)
        self.calls += len(story.calls)
        for name, line in self.lines.items():
            for finding in PROMISES[name].find(story, self._rules):
                line.add(finding)

    def allowed(self, name: str) -> int:
        """Return how many findings doubt may cover."""
        return self.doubts if name in DOUBTED else 0

    def breaches(self) -> dict[str, Line]:
        """Return what is broken, by name."""
        return {name: line for name, line in self.lines.items() if line.broken}
