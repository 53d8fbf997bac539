"""Joins the ledgers of a drill: what was promised, what was broken, and what it cost."""

from __future__ import annotations

import json
from collections import Counter, defaultdict
from dataclasses import asdict, dataclass, field, replace
from datetime import datetime
from functools import partial
from itertools import product
from time import monotonic
from typing import TYPE_CHECKING, Any, Final

from processor.cli.audit.notes import call_of
from processor.core.audit.account import EXAMPLES_MAX, Account, Line, Source
from tests.support.ledgers import Ledgers
from tests.support.plant import PASSWORD, PROPERTY, RECIPIENT, SUBJECT, TEXT

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence
    from pathlib import Path

    from chaos.load import Load
    from chaos.opens import Opens
    from chaos.works import Held
    from processor.core.audit.facts import Call
    from processor.core.audit.story import Rules, Story
    from processor.sandbox.ledger import Entry
    from tests.support.plant import Plant

SEEN_WITHIN_MS: Final = 2_000
"""From a step of the clock until every member has seen it."""

ARRIVES_WITHIN_MS: Final = 1_000
"""From the opening of a way until everything that it held back has arrived."""

QUIET_WITHIN_S: Final = 30.0
CANARIES: Final = (TEXT, SUBJECT, PASSWORD, PROPERTY, RECIPIENT, "40700000111", "0722000111")

LOST: Final = ("lost", "open lost", "unwritten", "repeats_nothing")
DOUBLED: Final = ("ended_twice", "event_twice", "attempt_twice", "open twice", "unburied", "misjudged")
OVERCALLED: Final = ("called_twice", "accepted_twice")
WRONG_TIME: Final = ("early", "late", "outside", "recalled")
TWICE: Final = ("password_twice",)
UNTRUE: Final = ("unfounded", "phantom_call", "phantom_result", "sent_unsaid", "untold", "mistaken")
SECRET: Final = ("secret",)
DOUBTED: Final = ("doubted",)
UNREADY: Final = ("not ready again", "ended by itself", "held")
GROWN: Final = ("grown",)


@dataclass(slots=True)
class Findings:
    """What a drill found; every count but the first three and the last ones has to be 0."""

    name: str
    messages: int
    ended: dict[str, int]
    in_doubt: int  # attempts that were reported as perhaps sent
    extra_calls: int  # acceptances of a message beyond the first; never more than its doubts
    drain_s: float
    password_worst_ms: int  # from the producer to the provider's first byte
    retried: dict[str, int]  # attempts that were followed by another, by why: what the fault did
    opens: dict[str, int]  # of mails, by what became of them
    repeated: int = 0  # records that the producer's client wrote once more
    breaches: dict[str, Line] = field(default_factory=dict)
    growth: dict[str, tuple[float, ...]] = field(default_factory=dict)  # see samples.Growth

    def count(self, names: Iterable[str]) -> int:
        """Return how many breaches there are of those *names*."""
        return sum(self.breaches[name].broken for name in names if name in self.breaches)

    def asdict(self) -> dict[str, Any]:
        """Return it as JSON has it."""
        return asdict(self)

    @classmethod
    def fromdict(cls, kept: dict[str, Any]) -> Findings:
        """Return what JSON kept."""
        return cls(**kept | {"breaches": {name: Line(**line) for name, line in kept["breaches"].items()}})


def findings(
    name: str,
    plant: Plant,
    load: Load,
    opens: Opens,
    *,
    drain_s: float,
    steps: Sequence[tuple[int, int]],
    held: Sequence[Held],
    is_certain: bool,
) -> Findings:
    """
    Return what the ledgers say of the messages of one drill, once nothing new comes.

    *steps* say since when the members' clock was how wrong: by that clock they judge, and so does this. *held* says
    what the way to a provider held back: that may have been sent when the way was closed. What *is_certain* may bring
    nothing into doubt.
    """
    own = _of(_quiet(plant, opens), f"{name}-")
    repeated = plant.repeated()  # each is a record like any other: it needs a result of its own
    own.asked = {**own.asked, **repeated}
    unwritten = [f"{topic}/{partition}: {key!r}" for topic, partition, key in plant.unplaced]
    plant.unplaced.clear()
    opened, own.engagement = own.engagement, []  # these have a promise of their own
    _keep(plant.folder / f"{name}.events.jsonl", [*own.delivery, *own.retry, *own.dead, *own.receipts, *opened])
    _keep(plant.folder / f"{name}.asked.jsonl", own.asked.items())
    breaches = _broken(own, partial(_sent_ms, steps, held))
    if is_certain:
        breaches |= _lines({"doubted": sorted({name for name, _ in own.in_doubt} - load.cut)})
    breaches |= _lines(
        {
            "unwritten": unwritten,
            "held": _held(plant, min((each.asked_ms for each in load.wishes.values()), default=0)),
            "mistaken": mistaken(own, load.other),
            "secret": leaked(plant, replace(own, engagement=opened)),
            **opens.breaches(opened),
        }
    )
    first = _first_bytes(own)
    waits_ms = [first[each] - wish.asked_ms for each, wish in load.wishes.items() if wish.once and each in first]
    return Findings(
        name,
        messages=len(own.asked) - len(repeated),
        repeated=len(repeated),
        ended={str(status): count for status, count in sorted(own.statuses().items())},
        in_doubt=len(own.in_doubt),
        extra_calls=sum(max(0, story.acceptances - 1) for story in own.stories()),
        drain_s=round(drain_s, 1),
        password_worst_ms=max(waits_ms, default=0),
        retried=dict(sorted(Counter(str(each.reason) for each in own.retry).items())),
        opens=opens.counts(opened),
        breaches=breaches,
    )


def mistaken(own: Ledgers, other: Mapping[str, str]) -> list[str]:
    """
    Return the messages that were called with content that was refused, or that were buried as unreadable and are not.

    *other* says to whom the content would have gone with which an id came again.
    """
    never = {name: to.lstrip("+0") for name, to in other.items()}  # a provider is told numbers in its own way
    called = {(each.message_id, to) for each in own.provider for to in each.recipients}
    wrong = {f"{name}: called with other content" for name, to in called if name in never and to.endswith(never[name])}
    buried = [own.asked[each.origin] for each in own.dead if each.message_id is None and each.origin in own.asked]
    return sorted(wrong) + [f"{each.message_id}: buried as unreadable" for each in buried if each.message_id]


def _held(plant: Plant, since_ms: int) -> list[str]:
    """Return the partitions that were held since then: no drill damages a journal, so none may be."""
    lines = [json.loads(line) for line in plant.output().splitlines() if '"partition.held"' in line]
    return [
        f"{line['topic']}/{line['partition']}: {line['reason']}"
        for line in lines
        if datetime.fromisoformat(line["time"]).timestamp() * 1_000 >= since_ms
    ]


def leaked(plant: Plant, ledgers: Ledgers) -> list[str]:
    """Return what must stay secret and was found in logs, metrics or events; never where it stood."""
    texts = [plant.output()]
    for name in plant.processes:
        stage, slot = name.split("/")
        if plant.alive()[name]:
            texts.append(plant.metrics(stage, slot))
    texts.append(repr(ledgers.delivery) + repr(ledgers.retry) + repr(ledgers.engagement))
    return [canary for canary in CANARIES if any(canary in text for text in texts)]


def _quiet(plant: Plant, opens: Opens) -> Ledgers:
    """Return the ledgers once a second look finds nothing new, and what tracking had put by has come."""
    deadline_s = monotonic() + QUIET_WITHIN_S
    ledgers, known = plant.ledgers(), -1
    while monotonic() < deadline_s:
        found = len(ledgers.delivery) + len(ledgers.provider) + len(ledgers.engagement)
        if found == known and "open lost" not in opens.breaches(ledgers.engagement):
            break
        known, ledgers = found, plant.ledgers()
    return ledgers


def _of(ledgers: Ledgers, word: str) -> Ledgers:
    """Return the part of *ledgers* whose messages begin with *word*; unreadable records belong to who asked."""

    def own(message_id: str | None) -> bool:
        return message_id is not None and message_id.startswith(word)

    return Ledgers(
        ledgers.asked,
        [each for each in ledgers.provider if own(each.message_id)],
        ledgers.rules,
        [each for each in ledgers.delivery if own(each.message_id)],
        [each for each in ledgers.retry if own(each.message_id)],
        [each for each in ledgers.dead if own(each.message_id) or each.origin in ledgers.asked],
        [each for each in ledgers.receipts if own(each.message_id)],
        [each for each in ledgers.engagement if own(each.message_id)],
    )


def _by_their_clock(steps: Sequence[tuple[int, int]], at_ms: int) -> list[int]:
    """Return the instants that the members' clock may have told when ours told *at_ms*: two, where it was being set."""
    latest = max(number for number, (since_ms, _) in enumerate(steps) if since_ms <= at_ms)
    possible = [steps[latest], *(steps[latest - 1 : latest] if at_ms < steps[latest][0] + SEEN_WITHIN_MS else ())]
    return [at_ms + offset_ms for _, offset_ms in possible]


def _sent_ms(steps: Sequence[tuple[int, int]], held: Sequence[Held], entry: Entry) -> list[int]:
    """
    Return the instants, by the members' clock, at which a call that arrived may have been sent.

    What its way held back may have been sent at any moment since the way was closed. Returned are the first and the
    last instant of each stretch in which their clock was left alone: a start, or another try, is due by the last of
    them if it is by any, and an end is not over at the first.
    """
    at_ms = entry.first_byte_ms
    closed = [
        each.from_ms
        for each in held
        if entry.protocol == each.protocol and each.from_ms <= at_ms < each.until_ms + ARRIVES_WITHIN_MS
    ]
    stepped = [since_ms for since_ms, _ in steps if min(closed, default=at_ms) < since_ms < at_ms]
    return [told for each in [at_ms, *closed, *stepped] for told in _by_their_clock(steps, each)]


def _broken(ledgers: Ledgers, sent_ms: Callable[[Entry], list[int]]) -> dict[str, Line]:
    """Return every broken promise; where it is not known when a call was sent, only what breaks whenever it was."""
    calls: dict[str, list[list[Call]]] = defaultdict(list)
    for entry in ledgers.provider:
        if called := call_of(entry):
            about, call = called
            calls[about].append([call._replace(first_byte_ms=at_ms) for at_ms in sorted(set(sent_ms(entry)))])
    lines: dict[str, Line] = defaultdict(Line)
    for story in ledgers.stories():
        for name, line in _least_broken(ledgers.rules, story, calls[story.about]).items():
            lines[name].found += line.found
            lines[name].broken += line.broken
            lines[name].examples = [*lines[name].examples, *line.examples][:EXAMPLES_MAX]
    return dict(lines)


def _least_broken(rules: Rules, story: Story, calls: Iterable[Sequence[Call]]) -> dict[str, Line]:
    """Return of each promise the fewest breaches that a message's calls leave; each was sent at one of its instants."""
    least: dict[str, Line] | None = None
    for sent in product(*calls):
        account = Account(rules, [Source.CALLS])
        account.add(replace(story, calls=list(sent)))
        broken = account.breaches()
        if least is not None:
            broken = {
                name: min(line, broken[name], key=lambda each: each.broken)
                for name, line in least.items()
                if name in broken
            }
        if not broken:
            return {}
        least = broken
    return least or {}


def _first_bytes(ledgers: Ledgers) -> dict[str, int]:
    first: dict[str, int] = {}
    for entry in ledgers.provider:
        if entry.message_id is not None:
            first[entry.message_id] = min(entry.first_byte_ms, first.get(entry.message_id, entry.first_byte_ms))
    return first


def _keep(path: Path, values: Iterable[object]) -> None:
    """Write what a reader of a broken promise will ask for, one value a line."""
    path.write_text("".join(f"{value}\n" for value in values))


def _lines(found: Mapping[str, Sequence[str]]) -> dict[str, Line]:
    return {name: Line(len(each), len(each), list(each[:EXAMPLES_MAX])) for name, each in found.items() if each}
