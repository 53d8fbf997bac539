"""
How late messages go that have waited for their instant in the delay tiers.

    python -m bench.lateness [--messages 100000] [--minutes 10] [--kill] [--beside 100]

Their instants are spread evenly; beside them others come that may go at once, so that the machine is loaded. With
--kill the delay stage is killed half way, and started again.
"""

from __future__ import annotations

import argparse
import threading
import time
from typing import TYPE_CHECKING

from bench.works import Works, now_ms, quantiles, text, works
from processor.sandbox.broker import find_broker

if TYPE_CHECKING:
    from collections.abc import Iterator

    from processor.core.message import Message

FIRST_S = 30.0  # until the first is due: all of them have to be asked for by then


def appointments(count: int, first_ms: int, spread_ms: int) -> Iterator[Message]:
    """Yield messages whose instants are spread evenly, in no order."""
    for number in range(count):
        slot = number * 7_919 % count  # a permutation, for 7,919 is a prime that divides no count we use
        yield text(f"due-{number}", start_at_ms=first_ms + slot * spread_ms // count)


def beside(made: Works, per_s: float, until_s: float) -> None:
    """Ask for what may go at once, at a steady rate."""
    number, begun_s = 0, time.monotonic()
    while (now_s := time.monotonic()) < until_s:
        wanted = int((now_s - begun_s) * per_s)
        made.ask(text(f"beside-{each}") for each in range(number, wanted))
        number = wanted
        time.sleep(0.1)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--messages", type=int, default=100_000)
    parser.add_argument("--minutes", type=float, default=10.0)
    parser.add_argument("--beside", type=float, default=100.0, help="messages a second that may go at once")
    parser.add_argument("--kill", action="store_true")
    asked = parser.parse_args()
    spread_s = asked.minutes * 60
    with find_broker() as broker, works(broker.bootstrap, "lateness") as made:
        first_ms = now_ms() + int(FIRST_S * 1_000)
        due = {
            each.head.message_id: each.head.start_at_ms or 0
            for each in appointments(asked.messages, first_ms, int(spread_s * 1_000))
        }
        made.ask(appointments(asked.messages, first_ms, int(spread_s * 1_000)))
        if now_ms() >= first_ms:
            raise RuntimeError("asking for them took longer than until the first is due")
        ends_s = time.monotonic() + FIRST_S + spread_s
        load = threading.Thread(target=beside, args=(made, asked.beside, ends_s))
        load.start()
        died_ms: tuple[int, int] | None = None
        if asked.kill:
            time.sleep(FIRST_S + spread_s / 2)  # the schedule of the measurement
            began_ms = now_ms()
            made.kill("delay")
            made.start("delay")
            died_ms = (began_ms, now_ms())
        load.join()
        until_s = time.monotonic() + 120
        late: dict[str, int] = {}
        while len(late) < asked.messages and time.monotonic() < until_s:
            time.sleep(1)
            late = {
                each.message_id: each.first_byte_ms - due[each.message_id]
                for each in made.calls()
                if each.message_id in due
            }
        if len(late) != asked.messages:
            raise RuntimeError(f"{len(late):,} of {asked.messages:,} arrived")
        calls = made.called()
    say(
        f"{asked.messages:,} messages due over {asked.minutes:g} minutes, {asked.beside:g} a second beside",
        list(late.values()),
    )
    print(f"early: {sum(each < 0 for each in late.values())}; calls in all: {calls:,}")
    if died_ms is not None:
        began_ms, ready_ms = died_ms
        touched = [
            each
            for name, each in late.items()
            if began_ms <= due[name] + max(0, each) and due[name] <= ready_ms + 5_000
        ]
        print(f"delay stage killed and ready again after {ready_ms - began_ms:,} ms")
        say("of these, due or called from then to 5 s after", touched)
        say(
            "all others",
            [
                each
                for name, each in late.items()
                if not (began_ms <= due[name] + max(0, each) and due[name] <= ready_ms + 5_000)
            ],
        )


def say(what: str, late_ms: list[int]) -> None:
    p50, p99, p999, worst = quantiles(late_ms, 0.5, 0.99, 0.999, 1.0)
    print(
        f"{what}: late by {p50} ms p50, {p99} ms p99, {p999} ms p99.9, {worst} ms at most ({len(late_ms):,})",
        flush=True,
    )


if __name__ == "__main__":
    main()
