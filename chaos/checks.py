"""Joins the ledgers of a drill: what was promised, what was broken, and what it cost."""

from __future__ import annotations

from collections import Counter
from dataclasses import asdict, dataclass, field, replace
from functools import partial
from time import monotonic
from typing import TYPE_CHECKING, Any, Final

from tests.support.ledgers import Ledgers
from tests.support.plant import PASSWORD, PROPERTY, RECIPIENT, SUBJECT, TEXT

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence
    from pathlib import Path

    from chaos.load import Load
    from chaos.opens import Opens
    from tests.support.plant import Plant

SEEN_WITHIN_MS: Final = 2_000
"""From a step of the clock until every member has seen it."""

WAY_MS: Final = 1_000
"""From the last judgement to the provider's first byte: judged before an end, a call may arrive so much after it."""

QUIET_WITHIN_S: Final = 30.0
CANARIES: Final = (TEXT, SUBJECT, PASSWORD, PROPERTY, RECIPIENT, "40700000111", "0722000111")

LOST: Final = ("lost", "open lost")
DOUBLED: Final = ("ended twice", "event id twice", "two results for an attempt", "open twice")
OVERCALLED: Final = ("called twice for an attempt", "accepted more often than doubt allows")
WRONG_TIME: Final = ("early", "late")
TWICE: Final = ("one-time password accepted twice",)
UNTRUE: Final = ("sent without a call", "called without being asked", "ended unsent, yet accepted")
SECRET: Final = ("secret",)
UNREADY: Final = ("not ready again",)


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
    breaches: dict[str, list[str]] = field(default_factory=dict)
    growth: dict[str, tuple[float, ...]] = field(default_factory=dict)  # see samples.Growth

    def count(self, names: Iterable[str]) -> int:
        """Return how many breaches there are of those *names*."""
        return sum(len(self.breaches.get(name, ())) for name in names)

    def asdict(self) -> dict[str, Any]:
        """Return it as JSON has it."""
        return asdict(self)


def findings(
    name: str, plant: Plant, load: Load, opens: Opens, *, drain_s: float, steps: Sequence[tuple[int, int]]
) -> Findings:
    """
    Return what the ledgers say of the messages of one drill, once nothing new comes.

    *steps* say since when the members' clock was how wrong: by that clock they judge, and so does this.
    """
    arrived_ms = partial(_by_their_clock, steps)
    own = _of(_quiet(plant, opens), f"{name}-")
    opened, own.engagement = own.engagement, []  # these have a promise of their own
    judged = [replace(each, first_byte_ms=max(arrived_ms(each.first_byte_ms))) for each in own.provider]
    _keep(plant.folder / f"{name}.events.jsonl", [*own.delivery, *own.retry, *own.dead, *own.receipts, *opened])
    _keep(plant.folder / f"{name}.asked.jsonl", own.asked.items())
    breaches = {what: [str(each) for each in found] for what, found in replace(own, provider=judged).breaches().items()}
    breaches |= _named("late", _late(own, load, arrived_ms)) | _named(
        "secret", leaked(plant, replace(own, engagement=opened))
    )
    breaches |= opens.breaches(opened)
    first = _first_bytes(own)
    waits_ms = [first[each] - limits.asked_ms for each, limits in load.limits.items() if limits.once and each in first]
    return Findings(
        name,
        messages=len(own.asked),
        ended={str(status): count for status, count in sorted(own.statuses().items())},
        in_doubt=len(own.in_doubt),
        extra_calls=sum(count - 1 for count in own.acceptances().values()),
        drain_s=round(drain_s, 1),
        password_worst_ms=max(waits_ms, default=0),
        retried=dict(sorted(Counter(str(each.reason) for each in own.retry).items())),
        opens=opens.counts(opened),
        breaches=breaches,
    )


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
    while (found := len(ledgers.delivery) + len(ledgers.provider) + len(ledgers.engagement)) > known or (
        "open lost" in opens.breaches(ledgers.engagement) and monotonic() < deadline_s
    ):
        known, ledgers = found, plant.ledgers()
    return ledgers


def _of(ledgers: Ledgers, word: str) -> Ledgers:
    """Return the part of *ledgers* whose messages begin with *word*; unreadable records belong to who asked."""

    def own(message_id: str | None) -> bool:
        return message_id is not None and message_id.startswith(word)

    return Ledgers(
        ledgers.asked,
        [each for each in ledgers.provider if own(each.message_id)],
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


def _late(ledgers: Ledgers, load: Load, arrived_ms: Callable[[int], list[int]]) -> list[str]:
    """Return calls that arrived after their message's end."""
    ends = {each: limits.until_ms + WAY_MS for each, limits in load.limits.items() if limits.until_ms is not None}
    after_ms = [
        (entry, min(arrived_ms(entry.first_byte_ms)) - ends[entry.message_id])
        for entry in ledgers.provider
        if entry.message_id in ends
    ]
    return [f"{entry.message_id} attempt {entry.attempt}, by {ms} ms" for entry, ms in after_ms if ms > 0]


def _first_bytes(ledgers: Ledgers) -> dict[str, int]:
    first: dict[str, int] = {}
    for entry in ledgers.provider:
        if entry.message_id is not None:
            first[entry.message_id] = min(entry.first_byte_ms, first.get(entry.message_id, entry.first_byte_ms))
    return first


def _keep(path: Path, values: Iterable[object]) -> None:
    """Write what a reader of a broken promise will ask for, one value a line."""
    path.write_text("".join(f"{value}\n" for value in values))


def _named(name: str, found: list[str]) -> dict[str, list[str]]:
    return {name: found} if found else {}
