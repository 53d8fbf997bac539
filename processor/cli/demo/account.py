"""Adds up: what was asked against what came of it, from sources that do not know of each other."""

from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from math import ceil
from typing import Final

from processor.cli.demo.feed import Acknowledged
from processor.cli.demo.held import Held
from processor.cli.demo.mix import UNREADABLE, WAITING, ending
from processor.cli.demo.readers import Act
from processor.cli.demo.watch import Evidence
from processor.core.lanes import BY_URGENCY
from processor.core.words import DEAD_LETTERED, Lane, Status
from processor.sandbox.ledger import Entry

_NAMED_MAX: Final = 5


@dataclass(frozen=True)
class Account:
    """The end of a run."""

    asked: int
    acknowledged: Mapping[str, Acknowledged]
    evidence: Evidence
    held: Sequence[Held]
    exit_codes: Mapping[str, int]  # of the stages; empty while they run
    acts: Sequence[Act] = ()  # of the people who got the newsletters

    @cached_property
    def endings(self) -> Mapping[str, Sequence[str]]:
        """Return, for each message that Kafka acknowledged, every ending that was found; exactly one if all is well."""
        found: dict[str, list[str]] = {each: [] for each in self.acknowledged}
        by_origin = {each.origin: message_id for message_id, each in self.acknowledged.items()}
        for event in self.evidence.results:
            if event.terminal:
                found.setdefault(event.message_id, []).append(ending(event.status, event.reason))
        for letter in self.evidence.letters:
            if letter.message_id is None:
                found.setdefault(by_origin.get(letter.origin, str(letter.origin)), []).append(UNREADABLE)
        for each in self.held:
            found.setdefault(each.message_id, []).append(WAITING)
        return found

    @cached_property
    def accepted(self) -> Mapping[str, Sequence[Entry]]:
        """Return what the sandbox's ledger says was taken, by message id."""
        found: dict[str, list[Entry]] = {}
        for entry in self.evidence.entries:
            if entry.accepted:
                found.setdefault(str(entry.message_id), []).append(entry)
        return found

    def totals(self) -> Mapping[str, int]:
        """Return how many messages ended how, by the first word of their ending."""
        words = Counter(each.split()[0] for endings in self.endings.values() for each in endings)
        return {word: words[word] for word in (*Status, UNREADABLE, WAITING) if words[word]}

    def problems(self) -> list[str]:
        """Return what does not add up, a sentence each."""
        return [sentence for check in CHECKS for sentence in check(self)]

    def latencies_ms(self) -> Mapping[Lane, Sequence[int]]:
        """Return, by lane, the time from acknowledgement to ledger; see the function of this name."""
        return latencies_ms(self.acknowledged, self.evidence.entries)

    def latenesses_ms(self) -> Mapping[str, Sequence[int]]:
        """Return, by what they waited for, how long after their instant messages were in the ledger."""
        found: dict[str, list[int]] = {}
        for what, due_at_ms, entry in self._due():
            found.setdefault(what, []).append(entry.at_ms - due_at_ms)
        return found

    def early(self) -> list[str]:
        """Return the ids of messages whose envelope or request began before they were due."""
        return [str(entry.message_id) for _, due_at_ms, entry in self._due() if entry.first_byte_ms < due_at_ms]

    def _due(self) -> Iterator[tuple[str, int, Entry]]:
        attempts = {(entry.message_id, entry.attempt): entry for entry in self.evidence.entries}
        for message_id, each in self.acknowledged.items():
            entry = attempts.get((message_id, 1))
            if each.due_at_ms is not None and entry is not None:
                yield each.ask.case.about, each.due_at_ms, entry
        for retry in self.evidence.retries:
            entry = attempts.get((retry.message_id, retry.attempt + 1))
            if entry is not None:
                yield "retries", retry.next_attempt_at_ms, entry


def latencies_ms(acknowledged: Mapping[str, Acknowledged], entries: Sequence[Entry]) -> Mapping[Lane, Sequence[int]]:
    """Return, by lane, the time from acknowledgement to ledger of messages that could go and be taken at once."""
    found: dict[Lane, list[int]] = {lane: [] for lane in BY_URGENCY}
    for entry in entries:
        asked = acknowledged.get(str(entry.message_id))
        if asked is not None and asked.ask.case.prompt:
            found[asked.ask.case.lane].append(entry.at_ms - asked.at_ms)
    return {lane: values for lane, values in found.items() if values}


def percentile(values: Sequence[int], share: float) -> int:
    """Return the smallest of *values* that *share* of them do not exceed (nearest rank)."""
    return sorted(values)[max(0, ceil(share * len(values)) - 1)]


# -- what must hold -------------------------------------------------------------------------------


def _all_acknowledged(account: Account) -> Iterator[str]:
    if len(account.acknowledged) != account.asked:
        yield f"{account.asked - len(account.acknowledged)} messages were not acknowledged by Kafka"


def _one_ending_each(account: Account) -> Iterator[str]:
    none = [each for each, endings in account.endings.items() if not endings]
    several = [each for each, endings in account.endings.items() if len(endings) > 1]
    strangers = [each for each in account.endings if each not in account.acknowledged]
    yield from _about(none, "have no result and wait nowhere")
    yield from _about(several, "have more than one result, or a result and wait as well")
    yield from _about(strangers, "have a result, and were never asked for")


def _as_expected(account: Account) -> Iterator[str]:
    for message_id, each in account.acknowledged.items():
        endings = account.endings[message_id]
        if len(endings) == 1 and endings[0] != each.ask.case.ending:
            yield f"{message_id} ended as {endings[0]}, and should as {each.ask.case.ending}"


def _no_doubles(account: Account) -> Iterator[str]:
    yield from _about([each for each, entries in account.accepted.items() if len(entries) > 1], "were sent twice")


def _ledger_agrees(account: Account) -> Iterator[str]:
    sent = {event.message_id for event in account.evidence.results if event.status is Status.SENT}
    yield from _about(sorted(sent - set(account.accepted)), "are SENT, and not in the sandbox's ledger")
    yield from _about(sorted(set(account.accepted) - sent), "are in the sandbox's ledger, and not SENT")


def _providers_as_asked(account: Account) -> Iterator[str]:
    for event in account.evidence.results:
        asked = account.acknowledged.get(event.message_id)
        if event.status is Status.SENT and asked is not None and event.provider != asked.ask.route.provider:
            yield f"{event.message_id} went through {event.provider}, and should through {asked.ask.route.provider}"


def _dead_letters(account: Account) -> Iterator[str]:
    results = [event.message_id for event in account.evidence.results if event.status in DEAD_LETTERED]
    letters = [letter.message_id for letter in account.evidence.letters if letter.message_id is not None]
    if sorted(results) != sorted(letters):
        yield f"{len(results)} messages are REJECTED or FAILED, and {len(letters)} of them dead letters"


def _events_once(account: Account) -> Iterator[str]:
    attempts = Counter((event.message_id, event.attempt) for event in account.evidence.retries)
    yield from _about([each for (each, _), count in attempts.items() if count > 1], "have two events for one attempt")


def _acts_told(account: Account) -> Iterator[str]:
    done = Counter((act.type, act.message_id) for act in account.acts)
    confirmed = Counter((act.type, act.message_id) for act in account.acts if act.confirmed)
    told = Counter((event.type, event.message_id) for event in account.evidence.engagement)
    yield from _about([each for _, each in confirmed - told], "were opened, clicked or left, and no event tells it")
    yield from _about([each for _, each in told - done], "have an event of an act that nobody did")


def _never_early(account: Account) -> Iterator[str]:
    yield from _about(account.early(), "were sent before they were due")


def _clean_stops(account: Account) -> Iterator[str]:
    for stage, code in account.exit_codes.items():
        if code:
            yield f"stage {stage} ended with exit code {code}"


CHECKS: Final[Sequence[Callable[[Account], Iterator[str]]]] = (
    _all_acknowledged,
    _one_ending_each,
    _as_expected,
    _no_doubles,
    _ledger_agrees,
    _providers_as_asked,
    _dead_letters,
    _events_once,
    _acts_told,
    _never_early,
    _clean_stops,
)


def _about(message_ids: Sequence[str], what: str) -> Iterator[str]:
    if message_ids:
        named = ", ".join(message_ids[:_NAMED_MAX]) + (", …" if len(message_ids) > _NAMED_MAX else "")
        yield f"{len(message_ids)} messages {what}: {named}"
