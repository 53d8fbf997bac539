"""What a person sees: the steps, a table while messages go out, and what it came to."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from time import monotonic
from typing import Final, Self

from rich.console import Console
from rich.live import Live
from rich.table import Table

from processor.cli.demo.account import percentile
from processor.cli.output import console
from processor.core.words import Lane, Status

LINE_EVERY_S: Final = 2.0


@dataclass(frozen=True, slots=True)
class Snapshot:
    """A run at an instant."""

    seconds: float  # since the first message
    asked: int
    acknowledged: int
    statuses: Mapping[Status, int]
    unreadable: int
    tiers: Mapping[int, int]  # messages that wait, by the seconds of their tier
    attempts: int  # provider calls that the sandbox has seen
    latencies_ms: Mapping[Lane, Sequence[int]]
    engagement: Mapping[str, int]  # events by type


class Screen:
    """A live table on a terminal, else a plain line every two seconds."""

    def __init__(self) -> None:
        """Print on standard output."""
        self.console: Console = console()
        self._live: Live | None = None
        self._told_at_s = 0.0

    def say(self, what: str, how: str) -> None:
        """Tell a step."""
        self.console.print(f"{what:>13}  {how}", soft_wrap=True)  # addresses and paths are to be copied

    def __enter__(self) -> Self:
        """Begin the live table."""
        if self.console.is_terminal:
            self._live = Live(console=self.console, auto_refresh=False)
            self._live.start()
        return self

    def __exit__(self, *_: object) -> None:
        """Leave its last state standing."""
        if self._live is not None:
            self._live.stop()
            self._live = None

    def show(self, now: Snapshot, *, last: bool = False) -> None:
        """Show a run as it is *now*."""
        if self._live is not None:
            self._live.update(_table(now), refresh=True)
        elif last or monotonic() - self._told_at_s >= LINE_EVERY_S:
            self._told_at_s = monotonic()
            self.say(f"{now.seconds:.0f} s", _line(now))


def _line(now: Snapshot) -> str:
    parts = [f"acknowledged {now.acknowledged}/{now.asked}", *(f"{status} {n}" for status, n in now.statuses.items())]
    parts += [f"{what} {count}" for what, count in now.engagement.items()]
    parts += [f"unreadable {now.unreadable}", f"waiting {_tiers(now.tiers)}", f"attempts {now.attempts}"]
    if now.latencies_ms.get(Lane.EXPRESS):
        express = now.latencies_ms[Lane.EXPRESS]
        parts.append(f"express p50 {percentile(express, 0.5)} ms p99 {percentile(express, 0.99)} ms")
    return ", ".join(parts)


def _table(now: Snapshot) -> Table:
    table = Table(title=f"{now.seconds:.1f} s", title_justify="left", show_header=False)
    table.add_row("acknowledged by Kafka", f"{now.acknowledged} of {now.asked}")
    for status, count in now.statuses.items():
        table.add_row(str(status), str(count))
    table.add_row("unreadable", str(now.unreadable))
    table.add_row("waiting, by tier", _tiers(now.tiers))
    table.add_row("attempts at providers", str(now.attempts))
    for what, count in now.engagement.items():
        table.add_row(f"newsletters {what}", str(count))
    for lane, values in now.latencies_ms.items():
        figures = f"p50 {percentile(values, 0.5)} ms, p99 {percentile(values, 0.99)} ms"
        table.add_row(f"latency, {lane}", figures)
    return table


def _tiers(tiers: Mapping[int, int]) -> str:
    each = " + ".join(f"{count} in {seconds} s" for seconds, count in sorted(tiers.items()))
    return f"{sum(tiers.values())} ({each})" if each else "0"


def snapshot_statuses(statuses: Counter[Status]) -> Mapping[Status, int]:
    """Return the counts in the order of the list, so that rows do not jump about."""
    return {status: statuses[status] for status in Status if statuses[status]}
