"""
How long messages wait for another owner after the death of a process.

    python -m bench.takeover [--rounds 3]

Messages come all the time; an intake or a dispatcher is killed. Then its own slot is started again; or another
dispatcher takes over.
What is told is the longest time between two calls of the provider around the death. Messages whose start was committed
as the process died are in doubt: they are tried again a minute later, and not what is measured here.
"""

from __future__ import annotations

import argparse
import time
from functools import partial
from itertools import pairwise
from statistics import median
from typing import TYPE_CHECKING

from bench.works import Stream, Works, now_ms, works
from processor.sandbox.broker import find_broker

if TYPE_CHECKING:
    from collections.abc import Callable

PER_S = 100
LANES = (8, 4, 0)  # priorities of the high, the normal and the bulk lane
SESSION_MS = 10_000  # the default
BEFORE_S, WATCHED_S = 5.0, 40.0


def same_slot(stage: str, made: Works, name: str) -> float:
    """Kill the only process of a stage, and start its slot at once; returns the longest time without a call."""
    stream = Stream(made, name, per_s=PER_S)
    time.sleep(BEFORE_S)  # the schedule of the measurement, as below
    died_ms = now_ms()
    made.kill(stage)
    made.start(stage)
    time.sleep(BEFORE_S)
    stream.end()
    ended_ms = now_ms()
    at_ms = sorted(made.arrived(name, stream.asked, within_s=90).values())
    near = [each for each in at_ms if died_ms - 1_000 <= each <= ended_ms]
    return max(later - sooner for sooner, later in pairwise(near)) / 1_000


def other_member(made: Works, name: str) -> float:
    """
    Kill one of two dispatchers, whose partitions are the other's once its session has ended.

    The survivor's own partitions go on, so the calls have no gap: the wait is that of the messages themselves. They are
    of all lanes that share a group, for the dead one may have owned no partition of one of them.
    """
    made.start("dispatch", slot="1")
    stream, begun_ms = Stream(made, name, per_s=PER_S, priorities=LANES), now_ms()
    time.sleep(BEFORE_S)
    died_ms = now_ms()
    made.kill("dispatch", slot="1")
    time.sleep(WATCHED_S)
    stream.end()
    arrived = made.arrived(name, stream.asked, within_s=90)
    asked_ms = {each: begun_ms + _number(each) * 1_000 / PER_S for each in arrived}
    waited_ms = [at_ms - asked_ms[each] for each, at_ms in arrived.items() if asked_ms[each] > died_ms]
    if max(waited_ms) < SESSION_MS / 2:
        raise RuntimeError("nothing waited for the end of a session: the one that died owned no partition in use")
    return max(waited_ms) / 1_000


def _number(message_id: str) -> int:
    return int(message_id.rpartition("-")[2])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=3)
    asked = parser.parse_args()
    measures: list[tuple[str, Callable[[Works, str], float], int]] = [
        ("same slot of intake restarted", partial(same_slot, "intake"), 5),
        ("same slot of dispatch restarted", partial(same_slot, "dispatch"), 5),
        ("another dispatcher", other_member, 20),
    ]
    with find_broker() as broker:
        for what, measure, wanted_s in measures:
            with works(broker.bootstrap, "takeover") as made:
                found = [measure(made, f"takeover-{number}") for number in range(asked.rounds)]
            shown = ", ".join(f"{each:.1f}" for each in found)
            print(f"{what}: {median(found):.1f} s ({shown}), wanted at most {wanted_s} s", flush=True)


if __name__ == "__main__":
    main()
