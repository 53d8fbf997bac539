"""
How long messages wait for another owner after the death of a process.

    python -m bench.takeover [--rounds 3]

Messages come all the time; an intake or a dispatcher is killed. Then its own slot is started again; or another one of
its stage takes over.
Of a slot that is started again the longest time between two calls of the provider around the death is told, and of
another member how long a message waited. Messages whose start was committed as the process died are in doubt: they are
tried again a minute later, and not what is measured here.
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
    from collections.abc import Callable, Iterable

PER_S = 100
LANES = (8, 4, 0)  # priorities of the high, the normal and the bulk lane
SESSION_MS = 10_000  # the default
BEFORE_S, WATCHED_S, AFTER_S = 5.0, 40.0, 2.0


class NobodyTookOver(Exception):
    """No call came where one had to: there is nothing to tell the length of."""


def same_slot(stage: str, made: Works, name: str) -> float:
    """Kill the only process of a stage, and start its slot at once; returns the longest time without a call."""
    stream = Stream(made, name, per_s=PER_S)
    time.sleep(BEFORE_S)  # the schedule of the measurement, as below
    died_ms = now_ms()
    made.kill(stage)
    made.start(stage)
    time.sleep(BEFORE_S)
    ended_ms = now_ms()
    time.sleep(AFTER_S)  # so that there are calls after the end, if there are any at all
    stream.end()
    return longest_gap_ms(made.arrived(name, stream.asked, within_s=90).values(), died_ms, ended_ms) / 1_000


def longest_gap_ms(at_ms: Iterable[int], died_ms: int, ended_ms: int) -> int:
    """
    Return the longest time between two calls from a second before the death to the first call after the end.

    A gap that is open at the end goes on until that call: cut off there, a takeover that never happened would leave
    no gap at all. Raises `NobodyTookOver` where there is no such call, or none before the death.
    """
    ordered = sorted(at_ms)
    near = [each for each in ordered if died_ms - 1_000 <= each <= ended_ms]
    after = [each for each in ordered if each > ended_ms]
    if not after:
        raise NobodyTookOver("no call after the end of what was watched")
    if not near or near[0] > died_ms:
        raise NobodyTookOver("no call in the second before the death: it is not known when the gap began")
    return max(later - sooner for sooner, later in pairwise([*near, after[0]]))


def other_member(stage: str, made: Works, name: str) -> float:
    """
    Kill one of two members of a stage, whose partitions are the other's once its session has ended.

    The survivor's own partitions go on, so the calls have no gap: the wait is that of the messages themselves. They are
    of all lanes that share a group, for the dead one may have owned no partition of one of them.
    """
    made.start(stage, slot="1")
    made.wait_until_owners(stage, ["0", "1"])
    stream, begun_ms = Stream(made, name, per_s=PER_S, priorities=LANES), now_ms()
    time.sleep(BEFORE_S)
    died_ms = now_ms()
    made.kill(stage, slot="1")
    time.sleep(WATCHED_S)
    stream.end()
    arrived = made.arrived(name, stream.asked, within_s=90)
    asked_ms = {each: begun_ms + _number(each) * 1_000 / PER_S for each in arrived}
    waited_ms = [at_ms - asked_ms[each] for each, at_ms in arrived.items() if asked_ms[each] > died_ms]
    if max(waited_ms) < SESSION_MS / 2:
        raise NobodyTookOver("nothing waited for the end of a session: the one that died owned no partition in use")
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
        ("another intake", partial(other_member, "intake"), 20),
        ("another dispatcher", partial(other_member, "dispatch"), 20),
    ]
    with find_broker() as broker:
        for what, measure, wanted_s in measures:
            with works(broker.bootstrap, "takeover") as made:
                found = [measure(made, f"takeover-{number}") for number in range(asked.rounds)]
            shown = ", ".join(f"{each:.1f}" for each in found)
            print(f"{what}: {median(found):.1f} s ({shown}), wanted at most {wanted_s} s", flush=True)


if __name__ == "__main__":
    main()
