"""Writes docs/reliability.md from what a run found."""

from __future__ import annotations

import json
import platform
import time
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import confluent_kafka

from chaos.checks import DOUBLED, LOST, OVERCALLED, SECRET, TWICE, UNREADY, UNTRUE, WRONG_TIME
from chaos.faults import FAULTS
from processor.sandbox.local_kafka import VERSION

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from chaos.checks import Findings

DOCS: Final = Path(__file__).parent.parent / "docs"
RESULTS: Final = DOCS / "reliability.json"
REPORT: Final = DOCS / "reliability.md"
NOTES: Final = DOCS / "reliability-notes.md"
MARK: Final = "<!-- what follows is written by python -m chaos -->"

COLUMNS: Final[Mapping[str, Sequence[str]]] = {
    "lost": LOST,
    "doubled": DOUBLED,
    "calls beyond doubt": OVERCALLED,
    "passwords twice": TWICE,
    "wrong time": WRONG_TIME,
    "untrue": UNTRUE,
    "secrets": SECRET,
    "not back": UNREADY,
}
"""Columns that have to be 0, and the breaches that they count."""


def versions() -> dict[str, str]:
    """Return what ran."""
    return {
        "Python": platform.python_version(),
        "confluent-kafka": version("confluent-kafka"),
        "librdkafka": str(confluent_kafka.libversion()[0]),
        "Apache Kafka": VERSION,
    }


def table(found: Iterable[Findings]) -> list[str]:
    """Return the rows of some drills."""
    names = ["fault", "messages", *COLUMNS, "in doubt", "extra calls", "drained after", "slowest password"]
    lines = [f"| {' | '.join(names)} |", f"|{' --- |' * len(names)}"]
    for each in found:
        counts = [each.count(breaches) for breaches in COLUMNS.values()]
        costs = [each.in_doubt, each.extra_calls, f"{each.drain_s:.1f} s", f"{each.password_worst_ms / 1_000:.1f} s"]
        lines.append(f"| {' | '.join(map(str, [each.name, each.messages, *counts, *costs]))} |")
    return lines


def growth(found: Iterable[Findings]) -> list[str]:
    """Return how the members of a long drill grew over its second half."""
    rows = [
        f"| {member} | {memory:,.0f} | {memory_slope:+,.1f} | {files:.0f} | {files_slope:+.2f} |"
        for each in found
        for member, (memory, memory_slope, files, files_slope) in each.growth.items()
    ]
    names = "| member | memory, KiB | a minute | files | a minute |"
    return ["", names, "| --- | --- | --- | --- | --- |", *rows] if rows else []


def write(command: str, seed: int, found: Mapping[str, Sequence[Findings]], audits: Mapping[str, str]) -> None:
    """Keep the results, and write the report: the notes, which people write, and then the numbers."""
    results: dict[str, Any] = {"on": time.strftime("%Y-%m-%d"), "command": command, "seed": seed}
    results |= {
        "versions": versions(),
        "found": {nodes: [each.asdict() for each in rows] for nodes, rows in found.items()},
    }
    RESULTS.write_text(json.dumps(results, indent=2) + "\n", encoding="utf-8")
    told = ", ".join(f"{name} {number}" for name, number in versions().items())
    lines = [
        NOTES.read_text(encoding="utf-8").rstrip(),
        "",
        "## The faults",
        "",
        *_faults(),
        "",
        "## The last run",
        "",
        f"{results['on']}, seed {seed}. {told}.",
        "",
        "```",
        command,
        "```",
    ]
    for nodes, rows in found.items():
        lines += ["", f"### {'One node' if nodes == '1' else f'{nodes} nodes'}", "", *table(rows), *growth(rows)]
        lines += ["", f"`commproc audit`, of all but drills of clocks: {audits[nodes]}."]
    REPORT.write_text("\n".join(lines) + "\n", encoding="utf-8")


def _faults() -> Iterator[str]:
    yield "| fault | what happens | for | nodes | may bring into doubt |"
    yield "| --- | --- | --- | --- | --- |"
    for name, fault in FAULTS.items():
        what = (fault.happens.__doc__ or "").strip().splitlines()[0]
        least, most = fault.lasts_s
        lasts = f"{least:g} s" if least == most else f"{least:g}–{most:g} s"
        yield f"| {name} | {what} | {lasts} | {', '.join(map(str, sorted(fault.nodes)))} | {fault.doubt} |"
