"""
How late messages go that have waited for their instant in the delay tiers.

    python -m bench.lateness [--messages 100000] [--minutes 10] [--kill] [--beside 100]

Their instants are spread evenly; beside them others come that may go at once, so that the machine is loaded. With
--kill the delay stage is killed half way, and started again.
"""

from __future__ import annotations

import argparse
import time
from typing import TYPE_CHECKING, NamedTuple

from bench.works import Stream, Works, now_ms, quantiles, text, works
from processor.sandbox.broker import find_broker

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from processor.core.message import Message

FIRST_S = 30.0  # until the first is due: all of them have to be asked for by then


def appointments(count: int, first_ms: int, spread_ms: int) -> Iterator[Message]:
    """Yield messages whose instants are spread evenly, in no order."""
    for number in range(count):
        slot = number * 7_919 % count  # a permutation, for 7,919 is a prime that divides no count we use
        yield text(f"due-{number}", start_at_ms=first_ms + slot * spread_ms // count)


class Death(NamedTuple):
    """When the delay stage was killed, and when it was ready again; Unix ms."""

    began_ms: int
    ready_ms: int

    def touches(self, due_ms: int, late_ms: int) -> bool:
        """Tell whether a message was due or called between the death and 5 s after it was over."""
        return self.began_ms <= due_ms + max(0, late_ms) and due_ms <= self.ready_ms + 5_000


def main() -> None:
    asked = _arguments()
    spread_s = asked.minutes * 60
    with find_broker() as broker, works(broker.bootstrap, "lateness") as made:
        first_ms = now_ms() + int(FIRST_S * 1_000)
        messages = list(appointments(asked.messages, first_ms, int(spread_s * 1_000)))
        due = {each.head.message_id: each.head.start_at_ms or 0 for each in messages}
        made.ask(messages)
        if now_ms() >= first_ms:
            raise RuntimeError("asking for them took longer than until the first is due")
        ends_s = time.monotonic() + FIRST_S + spread_s
        beside = Stream(made, "beside", per_s=asked.beside)
        death = _died(made, FIRST_S + spread_s / 2) if asked.kill else None
        time.sleep(max(0.0, ends_s - time.monotonic()))  # the schedule of the measurement
        beside.end()
        arrived = made.arrived("due", asked.messages, within_s=120)
        calls = made.called()
    late = {name: at_ms - due[name] for name, at_ms in arrived.items()}
    beside_them = f"{asked.beside:g} a second beside"
    say(f"{asked.messages:,} messages due over {asked.minutes:g} minutes, {beside_them}", list(late.values()))
    print(f"calls in all: {calls:,}")
    if death is not None:
        print(f"delay stage killed and ready again after {death.ready_ms - death.began_ms:,} ms")
        for what, those in told_apart(death, due, late).items():
            say(what, those)


def told_apart(death: Death, due_ms: Mapping[str, int], late_ms: Mapping[str, int]) -> dict[str, list[int]]:
    """Return the lateness of those that a death touched, of those due once it was over, and of all but the first."""
    touched = {name for name, each in late_ms.items() if death.touches(due_ms[name], each)}
    return {
        "of these, due or called from then to 5 s after": [late_ms[name] for name in late_ms if name in touched],
        "due once it was ready again": [each for name, each in late_ms.items() if due_ms[name] > death.ready_ms],
        "all but those touched": [late_ms[name] for name in late_ms if name not in touched],
    }


def _died(made: Works, after_s: float) -> Death:
    time.sleep(after_s)  # the schedule of the measurement
    began_ms = now_ms()
    made.kill("delay")
    made.start("delay")
    return Death(began_ms, now_ms())


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--messages", type=int, default=100_000)
    parser.add_argument("--minutes", type=float, default=10.0)
    parser.add_argument("--beside", type=float, default=100.0, help="messages a second that may go at once")
    parser.add_argument("--kill", action="store_true")
    return parser.parse_args()


def say(what: str, late_ms: Sequence[int]) -> None:
    print(line(what, late_ms), flush=True)


def line(what: str, late_ms: Sequence[int]) -> str:
    """Return what is told of some messages: how late they were, and how many of them were early."""
    if not late_ms:
        return f"{what}: none"
    p50, p99, p999, worst = quantiles(late_ms, 0.5, 0.99, 0.999, 1.0)
    late = f"late by {p50} ms p50, {p99} ms p99, {p999} ms p99.9, {worst} ms at most"
    return f"{what}: {late}; early: {sum(each < 0 for each in late_ms)} (of {len(late_ms):,})"


if __name__ == "__main__":
    main()
