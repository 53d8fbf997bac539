"""
How soon a one-time password is with its provider, from its acknowledgement by Kafka until the provider has taken it.

    python -m bench.urgency [--bulk 1000000] [--rate 200] [--passwords 600]

Idle first; then while a campaign is taken in, and while it drains through the same provider at its rate limit; while
another provider is down as well; while instances join and leave, and while they die.
Each row says how many calls of the campaign the provider had a second, beside those that its limit leaves: a row in
which the campaign did not drain says nothing of passwords beside one that does, and fails.
A password is taken when the provider has it whole and accepts it; its answer follows once that is synced to disk.
"""

from __future__ import annotations

import argparse
import time
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any, NamedTuple

from bench.works import CHANNEL, PASSWORDS, STAGES, Works, began_ms, now_ms, quantiles, text, works
from processor.core.words import Purpose
from processor.sandbox.broker import find_broker
from processor.sandbox.ports import free_port

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from processor.core.message import Message

PER_S = 20.0
DOWN = "Down"
DRAINS = 0.9
"""The part that a campaign has to have of what the limit leaves it."""
SESSION_S = 10.0  # the default


def with_one_that_is_down(tree: dict[str, Any]) -> None:
    """Add a provider where nobody listens, and a channel for it."""
    nobody = f"http://127.0.0.1:{free_port()}/"
    tree["providers"][DOWN] = tree["providers"]["Text"] | {"url": nobody, "bus_provider": DOWN, "rate_per_s": None}
    tree["channels"][DOWN] = tree["channels"][CHANNEL] | {"bus_provider": DOWN, "provider": DOWN}


class Row(NamedTuple):
    """How long passwords took, in milliseconds, and how many calls of the campaign there were a second meanwhile."""

    took_ms: list[float]
    drained_per_s: float
    until_ms: int = 0  # Unix, when the last was asked for
    outlasted: bool = False  # by what was to be watched: the row does not tell of its end


class Watch:
    """Asks for passwords and says how soon each was accepted."""

    def __init__(self, made: Works, count: int) -> None:
        self._made, self._count, self._round = made, count, 0

    def row(self) -> Row:
        """Return, for each of *count* passwords, the time from its acknowledgement until the provider took it."""
        self._round += 1
        name = f"otp-{self._round}"
        asked = [text(f"{name}-{n}", PASSWORDS, priority=9, purpose=Purpose.OTP) for n in range(self._count)]
        since_ms = now_ms()
        acknowledged = self._made.ask_urgently(asked, per_s=PER_S)
        until_ms = now_ms()
        accepted = self._made.accepted(name, self._count, within_s=60)
        if sorted(accepted) != sorted(acknowledged):
            raise RuntimeError(f"{len(acknowledged)} passwords were acknowledged, and {len(accepted)} accepted")
        took_ms = [accepted[each] - at_ms for each, at_ms in acknowledged.items()]
        drained_per_s = rate_per_s(began_ms(self._made.calls(), CHANNEL).values(), since_ms, until_ms)
        return Row(took_ms, drained_per_s, until_ms)


def rate_per_s(at_ms: Iterable[int], since_ms: int, until_ms: int) -> float:
    """Return how many of some calls there were a second between two instants."""
    return sum(since_ms <= each < until_ms for each in at_ms) * 1_000 / (until_ms - since_ms)


def share(count: int) -> float:
    """
    Return the part of its rate that is left to a campaign in a row in which members come and go.

    Half of the partitions may have no owner for a session, and their share of the rate is nobody's; *count* passwords
    take as long as the row does.
    """
    return 1 - min(1.0, SESSION_S * PER_S / count) / 2


class Table:
    """Prints the rows, and knows which of them do not tell what they say."""

    def __init__(self, limit_per_s: float) -> None:
        self._left_per_s = limit_per_s - PER_S  # the passwords have their part of the limit
        self._idle_p99_ms: float | None = None
        self.failed: list[str] = []
        print(f"{'milliseconds until the provider took it':58}{'p50':>9}{'p99':>9}{'worst':>9}{'p99/idle':>11}", end="")
        print(f"{'campaign/s':>12}{'of':>6}")

    def say(self, what: str, row: Row, *, at_least: float = 0.0) -> None:
        """
        Print a row.

        One that has to have *at_least* a part of what the limit leaves it fails with less, or where it was outlasted.
        """
        p50, p99, worst = quantiles(row.took_ms, 0.5, 0.99, 1.0)
        self._idle_p99_ms = self._idle_p99_ms or p99
        wrong = "it did not drain" if row.drained_per_s < at_least * self._left_per_s else ""
        if at_least and row.outlasted:
            wrong = "the passwords ended first"
        if wrong:
            self.failed.append(f"{what}: {wrong}")
        told = f"{p50:9.0f}{p99:9.0f}{worst:9.0f}{p99 / self._idle_p99_ms:9.1f} x"
        drained = f"{row.drained_per_s:12.0f}{self._left_per_s:6.0f}"
        print(f"{what:58}{told}{drained}{f'  FAILED: {wrong}' if wrong else ''}", flush=True)


def campaign(count: int, channel: str = CHANNEL) -> Iterator[Message]:
    return (text(f"{channel}-{number}", channel, priority=1, purpose=Purpose.MARKETING) for number in range(count))


def meanwhile(work: Callable[[], object], watch: Callable[[], Row]) -> Row:
    """Watch while *work* goes on in a thread; returns once both are done. Raises what the work does."""

    def worked() -> int:
        work()
        return now_ms()

    with ThreadPoolExecutor(1) as apart:
        working = apart.submit(worked)
        row = watch()
        return row._replace(outlasted=working.result() > row.until_ms)


def come_and_go(made: Works) -> None:
    """Let a second instance of every stage join and leave, twice. Raises `Unclean` where one does not."""
    for _ in range(2):
        made.start(*STAGES, slot="1")
        for stage in STAGES:
            made.stop(stage, slot="1")


def come_and_die(made: Works) -> None:
    """Let a second instance of every stage join, and die: its partitions wait for the end of its sessions."""
    made.start(*STAGES, slot="1")
    for stage in STAGES:
        made.kill(stage, slot="1")
    time.sleep(SESSION_S)  # the schedule of the measurement


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--bulk", type=int, default=1_000_000)
    parser.add_argument("--rate", type=float, default=200.0, help="calls a second that the provider allows")
    parser.add_argument("--passwords", type=int, default=600)
    asked = parser.parse_args()
    limits = {"rate_per_s": asked.rate}
    with find_broker() as broker, works(broker.bootstrap, "urgency", change=with_one_that_is_down, **limits) as made:
        watch = Watch(made, asked.passwords)
        print(f"{asked.passwords} passwords each, {PER_S:g} a second; a limit of {asked.rate:g} calls a second")
        table = Table(asked.rate)
        watch.row()  # connections, caches
        table.say("idle", watch.row())
        table.say(f"{asked.bulk:,} of a campaign come in", meanwhile(lambda: made.ask(campaign(asked.bulk)), watch.row))
        table.say("they drain at the provider's limit", watch.row(), at_least=DRAINS)
        made.ask(campaign(10_000, DOWN))
        table.say("and another provider is down, with 10,000 for it", watch.row(), at_least=DRAINS)
        at_least = DRAINS * share(asked.passwords)
        moved = meanwhile(lambda: come_and_go(made), watch.row)
        table.say("and an instance of each stage joins and leaves, twice", moved, at_least=at_least)
        died = meanwhile(lambda: come_and_die(made), watch.row)
        table.say("and one of each joins and dies", died, at_least=at_least)
        print(f"{made.called():,} calls in all; of the campaign {len(began_ms(made.calls(), CHANNEL)):,}")
    if table.failed:
        raise SystemExit(f"failed: {'; '.join(table.failed)}")


if __name__ == "__main__":
    main()
