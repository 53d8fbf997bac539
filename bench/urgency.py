"""
How soon a one-time password is called, from its acknowledgement by Kafka to its arrival at the provider.

    python -m bench.urgency [--bulk 1000000] [--rate 200] [--passwords 600]

Idle first; then while a campaign is taken in, and while it drains through the same provider at its rate limit; while
another provider is down as well; while instances join and leave, and while they die.
"""

from __future__ import annotations

import argparse
import threading
from typing import TYPE_CHECKING, Any

from bench.works import CHANNEL, PASSWORDS, STAGES, Works, quantiles, text, works
from processor.core.words import Purpose
from processor.sandbox.broker import find_broker
from processor.sandbox.ports import free_port

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from processor.core.message import Message

PER_S = 20.0
DOWN = "Down"


def with_one_that_is_down(tree: dict[str, Any]) -> None:
    """Add a provider where nobody listens, and a channel for it."""
    nobody = f"http://127.0.0.1:{free_port()}/"
    tree["providers"][DOWN] = tree["providers"]["Text"] | {"url": nobody, "bus_provider": DOWN, "rate_per_s": None}
    tree["channels"][DOWN] = tree["channels"][CHANNEL] | {"bus_provider": DOWN, "provider": DOWN}


class Watch:
    """Asks for passwords and says how soon each arrived."""

    def __init__(self, made: Works, count: int) -> None:
        self._made, self._count, self._round = made, count, 0

    def took_ms(self) -> list[float]:
        """Return, for each of *count* passwords, the time from its acknowledgement to the provider."""
        self._round += 1
        name = f"otp-{self._round}"
        asked = [text(f"{name}-{n}", PASSWORDS, priority=9, purpose=Purpose.OTP) for n in range(self._count)]
        acknowledged = self._made.ask_urgently(asked, per_s=PER_S)
        arrived = self._made.arrived(name, self._count, within_s=60)
        if sorted(arrived) != sorted(acknowledged):
            raise RuntimeError(f"{len(acknowledged)} passwords were acknowledged, and {len(arrived)} arrived")
        return [arrived[each] - at_ms for each, at_ms in acknowledged.items()]


def told(what: str, took_ms: list[float], idle_p99_ms: float | None = None) -> float:
    """Print a row, and return its p99."""
    p50, p99, worst = quantiles(took_ms, 0.5, 0.99, 1.0)
    ratio = "" if idle_p99_ms is None else f"{p99 / idle_p99_ms:9.1f} x"
    print(f"{what:58}{p50:9.0f}{p99:9.0f}{worst:9.0f}{ratio}", flush=True)
    return p99


def campaign(count: int, channel: str = CHANNEL) -> Iterator[Message]:
    return (text(f"{channel}-{number}", channel, priority=1, purpose=Purpose.MARKETING) for number in range(count))


def meanwhile(work: Callable[[], object], watch: Watch) -> list[float]:
    """Watch while *work* goes on in a thread; returns once both are done."""
    working = threading.Thread(target=work)
    working.start()
    took_ms = watch.took_ms()
    working.join()
    return took_ms


def come_and_go(made: Works) -> None:
    """Let a second instance of every stage join and leave, twice."""
    for _ in range(2):
        made.start(*STAGES, slot="1")
        for stage in STAGES:
            made.stop(stage, slot="1")


def come_and_die(made: Works) -> None:
    """Let a second instance of every stage join, and die: its partitions wait for the end of its sessions."""
    made.start(*STAGES, slot="1")
    for stage in STAGES:
        made.kill(stage, slot="1")


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
        print(f"{'milliseconds to the provider':58}{'p50':>9}{'p99':>9}{'worst':>9}{'p99/idle':>11}")
        watch.took_ms()  # connections, caches
        idle_ms = told("idle", watch.took_ms())
        told(f"{asked.bulk:,} of a campaign come in", meanwhile(lambda: made.ask(campaign(asked.bulk)), watch), idle_ms)
        told("they drain at the provider's limit", watch.took_ms(), idle_ms)
        made.ask(campaign(10_000, DOWN))
        told("and another provider is down, with 10,000 for it", watch.took_ms(), idle_ms)
        told("and an instance of each stage joins and leaves, twice", meanwhile(lambda: come_and_go(made), watch))
        told("and one of each joins and dies", meanwhile(lambda: come_and_die(made), watch))
        drained = made.called()
        print(f"{drained:,} calls in all; of the campaign {drained - 7 * asked.passwords:,}")


if __name__ == "__main__":
    main()
