"""Writes docs/reliability.md from what a run found."""

from __future__ import annotations

import json
import time
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from bench.results import revision
from chaos.checks import DOUBLED, DOUBTED, GROWN, LOST, OVERCALLED, SECRET, TWICE, UNREADY, UNTRUE, WRONG_TIME, Findings
from chaos.faults import FAULTS
from chaos.samples import Growth
from chaos.strikes import Strike, met
from processor.sandbox.versions import versions

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence

DOCS: Final = Path(__file__).parent.parent / "docs"
RESULTS: Final = DOCS / "reliability.json"
REPORT: Final = DOCS / "reliability.md"
NOTES: Final = DOCS / "reliability-notes.md"
TITLES: Final = ("The last run", "The last long run")

COLUMNS: Final[Mapping[str, Sequence[str]]] = {
    "lost": LOST,
    "doubled": DOUBLED,
    "calls beyond doubt": OVERCALLED,
    "passwords twice": TWICE,
    "wrong time": WRONG_TIME,
    "untrue": UNTRUE,
    "secrets": SECRET,
    "doubts without cause": DOUBTED,
    "not back": UNREADY,
    "grown": GROWN,
    "did not strike": ("did not strike",),
}
"""Columns that have to be 0, and the breaches that they count."""


@dataclass(frozen=True, slots=True)
class Run:
    """What a run found, for clusters of each size."""

    title: str
    command: str
    seed: int
    found: Mapping[str, Sequence[Findings]]
    audits: Mapping[str, str]
    strikes: Mapping[str, Mapping[str, Sequence[Strike]]] = field(default_factory=dict)  # by nodes and drill
    on: str = field(default_factory=lambda: time.strftime("%Y-%m-%d"))
    versions: Mapping[str, str] = field(default_factory=lambda: {**versions(), "revision": revision(DOCS.parent)})

    def asdict(self) -> dict[str, Any]:
        """Return it as JSON has it."""
        return asdict(self)

    @classmethod
    def fromdict(cls, kept: dict[str, Any]) -> Run:
        """Return what JSON kept."""
        found = {nodes: [Findings.fromdict(each) for each in rows] for nodes, rows in kept["found"].items()}
        strikes = {
            nodes: {name: [Strike(*each) for each in rows] for name, rows in drills.items()}
            for nodes, drills in kept.get("strikes", {}).items()
        }
        return cls(**kept | {"found": found, "strikes": strikes})


def table(found: Iterable[Findings], *, not_told: Collection[str] = ()) -> list[str]:
    """Return the rows of some drills; nothing is said of the columns *not_told*."""
    names = ["fault", "messages", *COLUMNS, "in doubt", "extra calls", "drained after", "slowest password"]
    lines = _header(names)
    for each in found:
        counts = ["–" if name in not_told else each.count(breaches) for name, breaches in COLUMNS.items()]
        costs = [each.in_doubt, each.extra_calls, f"{each.drain_s:.1f} s", f"{each.password_worst_ms / 1_000:.1f} s"]
        lines.append(f"| {' | '.join(map(str, [each.name, each.messages, *counts, *costs]))} |")
    return lines


def growth(found: Iterable[Findings]) -> list[str]:
    """Return how the members of a long drill grew."""
    rows = [
        f"| {member} | {held.memory_kib:,} | {held.memory_kib_more:+,} | {held.memory_kib_per_min:+,.1f} "
        f"| {held.sockets} | {held.sockets_more:+} | {held.others} | {held.others_more:+} "
        f"| {held.clients} | {held.clients_more:+} |"
        for each in found
        for member, held in ((member, Growth._make(values)) for member, values in each.growth.items())
    ]
    names = ["member", "memory, KiB", "grown by", "a minute"]
    for kind in ("sockets, fewest", "other descriptors", "Kafka clients"):
        names += [kind, "grown by"]
    return ["", *_header(names), *rows] if rows else []


def _header(names: Sequence[str]) -> list[str]:
    return [f"| {' | '.join(names)} |", f"|{' --- |' * len(names)}"]


def write(run: Run) -> None:
    """Keep the results beside those of the other kind of run, and write the report: what people wrote, then numbers."""
    runs = _kept() | {run.title: run}
    kept = {title: each.asdict() for title, each in runs.items()}
    RESULTS.write_text(json.dumps(kept, indent=2) + "\n", encoding="utf-8")
    lines = [NOTES.read_text(encoding="utf-8").rstrip(), "", "## The faults", "", *_faults()]
    for title in TITLES:
        if title in runs:
            lines += ["", f"## {title}", "", *_told(runs[title])]
    REPORT.write_text("\n".join(lines) + "\n", encoding="utf-8")


def _kept() -> dict[str, Run]:
    kept = json.loads(RESULTS.read_text(encoding="utf-8")) if RESULTS.exists() else {}
    return {title: Run.fromdict(each) for title, each in kept.items()}


def _told(run: Run) -> Iterator[str]:
    yield f"{run.on}, seed {run.seed}. {', '.join(f'{name} {number}' for name, number in run.versions.items())}."
    yield from ("", "```", run.command, "```")
    not_told = () if run.strikes else ("did not strike",)
    if not_told:
        yield from ("", "An earlier run, with a smaller load: whether its faults struck was not looked at.")
    for nodes, rows in run.found.items():
        title = "One node" if nodes == "1" else f"{nodes} nodes"
        yield from ("", f"### {title}", "", *table(rows, not_told=not_told), *growth(rows))
        for name, strikes in run.strikes.get(nodes, {}).items():
            if len({each.fault for each in strikes}) > 1:
                yield from ("", f"`{name}`: {met(strikes)}.")
        yield from ("", f"`commproc audit`, {run.audits[nodes]}.")


def _faults() -> Iterator[str]:
    yield from _header(["fault", "what happens", "for", "nodes", "may bring into doubt"])
    for name, fault in FAULTS.items():
        what = (fault.happens.__doc__ or "").strip().splitlines()[0]
        least, most = fault.lasts_s
        lasts = f"{least:g} s" if least == most else f"{least:g}–{most:g} s"
        yield f"| {name} | {what} | {lasts} | {', '.join(map(str, sorted(fault.nodes)))} | {fault.doubt} |"
