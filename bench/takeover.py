"""
How long messages wait for another owner after the death of a process.

    python -m bench.takeover [--rounds 3]

Messages come all the time; a dispatcher is killed. Then its own slot is started again, or another member takes over.
What is told is the longest time between two calls of the provider around the death.
"""

from __future__ import annotations

import argparse
import threading
import time
from itertools import pairwise
from statistics import median

from bench.works import Works, now_ms, text, works
from processor.sandbox.broker import find_broker

PER_S = 100
BEFORE_S, WATCHED_S = 5.0, 40.0


class Stream:
    """Asks for messages at a steady rate until told to end."""

    def __init__(self, made: Works, name: str) -> None:
        self._made, self._name = made, name
        self._ended = threading.Event()
        self.asked = 0
        self._thread = threading.Thread(target=self._run)
        self._thread.start()

    def _run(self) -> None:
        begun_s = time.monotonic()
        while not self._ended.wait(0.02):
            wanted = int((time.monotonic() - begun_s) * PER_S)
            self._made.ask(text(f"{self._name}-{each}") for each in range(self.asked, wanted))
            self.asked = wanted

    def end(self) -> None:
        self._ended.set()
        self._thread.join()


def longest_wait_s(made: Works, name: str, died_ms: int) -> float:
    """Return the longest time that a message asked for around the death of a process was without a call."""
    at_ms = sorted(each.first_byte_ms for each in made.calls() if (each.message_id or "").startswith(f"{name}-"))
    near = [each for each in at_ms if each >= died_ms - 1_000]
    return max(later - sooner for sooner, later in pairwise(near)) / 1_000


def same_slot(made: Works, name: str) -> float:
    """Kill the only dispatcher, and start its slot at once."""
    stream = Stream(made, name)
    time.sleep(BEFORE_S)  # the schedule of the measurement, as below
    died_ms = now_ms()
    made.kill("dispatch")
    made.start("dispatch")
    stream.end()
    _arrived(made, name, stream.asked)
    return longest_wait_s(made, name, died_ms)


def other_member(made: Works, name: str) -> float:
    """Kill one of two dispatchers, whose partitions are the other's once its session has ended."""
    made.start("dispatch", slot="1")
    stream = Stream(made, name)
    time.sleep(BEFORE_S)
    died_ms = now_ms()
    made.kill("dispatch", slot="1")
    time.sleep(WATCHED_S)
    stream.end()
    _arrived(made, name, stream.asked)
    arrived = {each.message_id: each.first_byte_ms for each in made.calls() if (each.message_id or "").startswith(name)}
    # The survivor's own partitions go on, so the calls have no gap: the wait is that of the messages themselves.
    begun_ms = died_ms - int(BEFORE_S * 1_000)
    return max(at_ms - (begun_ms + _number(each) * 1_000 / PER_S) for each, at_ms in arrived.items() if each) / 1_000


def _number(message_id: str) -> int:
    return int(message_id.rpartition("-")[2])


def _arrived(made: Works, name: str, count: int) -> None:
    until_s = time.monotonic() + 90
    while len({each.message_id for each in made.calls() if (each.message_id or "").startswith(f"{name}-")}) < count:
        if time.monotonic() > until_s:
            raise TimeoutError("messages are missing a minute and a half after the death of a process")
        time.sleep(0.5)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=3)
    asked = parser.parse_args()
    with find_broker() as broker:
        for what, measure, wanted_s in (("same slot restarted", same_slot, 5), ("another member", other_member, 20)):
            with works(broker.bootstrap, "takeover") as made:
                found = [measure(made, f"{measure.__name__}-{number}") for number in range(asked.rounds)]
            shown = ", ".join(f"{each:.1f}" for each in found)
            print(f"{what}: {median(found):.1f} s ({shown}), wanted at most {wanted_s} s", flush=True)


if __name__ == "__main__":
    main()
