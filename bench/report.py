"""Writes docs/performance.md from what is kept of measurements."""

from collections.abc import Iterator, Sequence
from statistics import median
from typing import Any, Final, TypedDict

from bench.results import ROOT

REPORT: Final = ROOT / "docs" / "performance.md"
NOTES: Final = ROOT / "docs" / "performance-notes.md"


class Ratio(TypedDict):
    """One round: the measured rate, the bare loop's right before it, and their ratio."""

    rate_per_s: int
    bare_per_s: int
    ratio: float


PROVIDERS: Final = ("smtp", "http", "smpp", "whole")
TRACKING: Final = ("rewriting", "tracking", "controls")
PATH: Final = ("path",)
TIME: Final = ("lateness", "lateness_killed", "urgency", "opening", "takeover")
GROWTH: Final = ("growth", "ids", "audit")
ROWS: Final = {
    "intake": ("Intake of due messages", 0.5),
    "delay_hop": ("A hop through a delay tier", 0.5),
    "dispatch_instant": ("Dispatch, provider answers at once", 0.25),
}
OTHERS: Final = {
    "dispatch_50ms": "Dispatch, answers after 50 ms",
    "express": "Express",
    "memory": "Memory",
}


def write(results: dict[str, Any]) -> None:
    """Write the page; what is to be said about it stands in performance-notes.md and follows."""
    notes = "\n" + NOTES.read_text(encoding="utf-8") if NOTES.exists() else ""
    REPORT.write_text(page(results) + notes, encoding="utf-8")


def page(results: dict[str, Any]) -> str:
    """Return the tables."""
    parts = (_head, _ratios, _others, _path, _time, _growth, _providers, _tracking)
    return "\n".join([*(line for part in parts for line in part(results)), ""])


def _head(_: dict[str, Any]) -> list[str]:
    return [
        "# Performance",
        "",
        "Written by `make bench`, with one broker on the same machine. A run may renew a part of this page: each",
        "section says its command, when its run began, the revision that it measured, and what it ran on and stood",
        "beside.",
        "",
        "Each rate of records of 1,660 bytes, in ticks of 2,000, stands beside that of the bare transactional forward",
        "loop (consume, produce the same bytes, send offsets, commit), run right before it: compare ratios, for the",
        "machine is noisy. Medians, with [lowest–highest].",
        "",
    ]


def _ratios(results: dict[str, Any]) -> list[str]:
    lines = ["| what | per second | bare loop per second | ratio | wanted |", "| --- | --- | --- | --- | --- |"]
    for name, (title, wanted) in ROWS.items():
        if name not in results:  # of a run of --only
            continue
        rounds: list[Ratio] = results[name]["rounds"]
        rate, bare, ratio = (_spread([each[key] for each in rounds]) for key in ("rate_per_s", "bare_per_s", "ratio"))
        lines.append(f"| {title} | {rate} | {bare} | {ratio} | ≥ {wanted} × |")
    return [*lines, "", *_runs(results, {name: title for name, (title, _) in ROWS.items()})]


def _others(results: dict[str, Any]) -> list[str]:
    lines = ["", "| what | measured | wanted |", "| --- | --- | --- |"]
    if "dispatch_50ms" in results:
        slow = [each["rate_per_s"] for each in results["dispatch_50ms"]["rounds"]]
        share = _spread([round(each / (400 / 0.05), 2) for each in slow])
        lines.append(f"| Dispatch, answers after 50 ms, 400 slots: per second | {_spread(slow)} | ≥ 7,200 |")
        lines.append(f"| the same as a share of slots ÷ latency (8,000/s) | {share} | ≥ 0.9 |")
    if "express" in results:
        found = results["express"]
        lines.append(f"| Express, idle system, produce to provider call: p50 | {found['p50_ms']} ms | ≤ 30 ms |")
        lines.append(f"| the same: p99, worst of 300 | {found['p99_ms']} ms, {found['max_ms']} ms | |")
    if "memory" in results:
        held = results["memory"]
        what = f"Dispatcher's memory, {held['waiting']:,} messages waiting"
        lines.append(f"| {what} | {held['highest_mib']} MiB | < 200 MiB |")
    return [*lines, "", *_runs(results, OTHERS)]


def _runs(results: dict[str, Any], titles: dict[str, str]) -> list[str]:
    """Return, for the rows of a table, what each of them is of."""
    return [f"- {title}: {told(results[name])}." for name, title in titles.items() if name in results]


def told(found: dict[str, Any]) -> str:
    """Return what a measurement is of: its command, run, revision and versions, as far as they were kept."""
    revision = f"revision {found.get('revision', 'not kept')}"
    return f"`{found['command']}`, {found['on']}, {revision}: {found.get('versions', 'versions not kept')}"


def _path(results: dict[str, Any]) -> list[str]:
    """Return what the steps of our own take, apart from Kafka and providers."""
    if not results.keys() & set(PATH):  # of a run of --only
        return []
    return ["", "## A message's way", "", "Processor time of each step of our own.", *_printed(results, PATH)]


def _time(results: dict[str, Any]) -> list[str]:
    """Return what was measured of the instants at which messages go."""
    return [
        "",
        "## Time and urgency",
        "",
        "Every stage a process of its own, a sandbox in the provider's place that syncs each message to disk before it",
        "answers, all on the same machine. Wanted: late by at most 10 ms p50 and 100 ms p99, never early; a one-time",
        "password beside a draining campaign within 3 × the p99 of the idle system and 150 ms, and 5 s during a",
        "rebalance; takeover by the same slot within 5 s, by another member within 20 s.",
        *_printed(results, TIME),
    ]


def _growth(results: dict[str, Any]) -> list[str]:
    if not results.keys() & set(GROWTH):  # of a run of --only
        return []
    return [
        "",
        "## Growth",
        "",
        "Processor time a message, of the processes of each stage; the provider answers at once. Memory for each id",
        "that is known (wanted: below 40 bytes), and what `commproc audit` takes.",
        *_printed(results, GROWTH),
    ]


def _providers(results: dict[str, Any]) -> list[str]:
    """Return what the measurements of the adapters printed, as they printed it."""
    return [
        "",
        "## Providers",
        "",
        "Each adapter beside another program that does the same, by the processor time of the client alone;",
        "and the whole path of one dispatcher process (Kafka in, message built, provider called, events out),",
        "by the clock on the wall.",
        *_printed(results, PROVIDERS),
    ]


def _tracking(results: dict[str, Any]) -> list[str]:
    return [
        "",
        "## Tracking",
        "",
        "An HTML body rewritten; the public side beside the same server that answers at once; the list of suppressions",
        "and recalls.",
        *_printed(results, TRACKING),
    ]


def _printed(results: dict[str, Any], names: Sequence[str]) -> Iterator[str]:
    for name in names:
        if name in results:
            found = {"command": f"python -m bench.{name}"} | results[name]
            failed = ["", "**It failed**, and had printed this."] if found.get("failed") else []
            yield from ("", f"{told(found)}.", *failed, "", "```", found["text"], "```")


def _spread(values: list[Any]) -> str:
    def shown(value: Any) -> str:
        return f"{value:,.0f}" if value > 100 else f"{value:.2f}"

    return f"{shown(median(values))} [{shown(min(values))}–{shown(max(values))}]"
