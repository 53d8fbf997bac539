"""
What suppression and recall cost: memory for each entry, time to take one in, and time to ask about one message.

    python -m bench.controls [--entries 1000000]
"""

from __future__ import annotations

import argparse
import gc
import os
import platform
import time
from typing import TYPE_CHECKING

from bench.codec import FACTS, MESSAGE, NOW_MS, rounds_us
from bench.memory import resident_mib
from bench.path import NAME, PLAN
from processor.codec.assembly import open_codecs
from processor.core.control import RECALL, SUPPRESSION, control_key
from processor.core.controls import Controls
from processor.core.events import Control
from processor.core.verdict import Dispatch
from processor.core.words import Lane, Purpose
from processor.stages.dispatch.stopping import Stops

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

KEY = b"a key of the length that one has"
BATCH = 10_000


def records(count: int) -> Iterator[tuple[bytes, bytes]]:
    """Yield keys and values as they lie on the topic, of random addresses."""
    codec = open_codecs().events
    for _ in range(count):
        control = Control(SUPPRESSION, "marketing", os.urandom(16).hex(), None, None, None, None, NOW_MS, "operator")
        yield control_key(control), codec.encode_control(control)


def filled(count: int) -> tuple[Controls, float, float]:
    """Return controls with *count* suppressions, bytes of resident memory for each, and microseconds to take it in."""
    controls, codec = Controls(), open_codecs().events
    gc.collect()
    batch, before_mib, taken_s = list[tuple[bytes, bytes]](), resident_mib(), 0.0
    for _ in range(count // BATCH):
        batch = list(records(BATCH))
        began_s = time.thread_time()
        for key, value in batch:
            event = codec.decode_event(value)
            controls.take(key, event if isinstance(event, Control) else None)
        taken_s += time.thread_time() - began_s
    batch = []
    gc.collect()
    controls.whole = True
    return controls, (resident_mib() - before_mib) * 1_048_576 / count, taken_s * 1_000_000 / count


def cases(full: Controls) -> list[tuple[str, Callable[[], object]]]:
    """Return what is measured, by name."""
    quiet, recalled = Controls(), Controls()
    quiet.whole = recalled.whole = True
    one = Control(RECALL, "campaign", None, None, "another", None, None, NOW_MS, "operator")
    recalled.take(control_key(one), one)
    go = Dispatch(NAME, Lane.NORMAL)
    receipt = MESSAGE._replace(head=MESSAGE.head._replace(purpose=Purpose.TRANSACTIONAL, campaign_id="spring"))
    marketing = MESSAGE._replace(head=receipt.head._replace(purpose=Purpose.MARKETING), cc=(), bcc=())
    none, some, many = (Stops(each, PLAN, KEY) for each in (quiet, recalled, full))
    return [
        ("nothing is stopped", lambda: none.of(marketing, FACTS, go, NOW_MS)),
        ("one recall, of another campaign", lambda: some.of(marketing, FACTS, go, NOW_MS)),
        ("all suppressed, a receipt", lambda: many.of(receipt, FACTS, go, NOW_MS)),
        ("all suppressed, marketing to one", lambda: many.of(marketing, FACTS, go, NOW_MS)),
    ]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--entries", type=int, default=1_000_000)
    options = parser.parse_args()
    print(f"Python {platform.python_version()}, {platform.machine()}")
    full, size_bytes, taken_us = filled(options.entries)
    print(
        f"{full.suppressions.count} entries: {size_bytes:.1f} bytes each, {taken_us:.1f} µs to decode and take in each"
    )
    print(f"{'asked about a message':36}{'best µs':>10}")
    for name, call in cases(full):
        print(f"{name:36}{min(rounds_us(call, rounds=9, records=4_000)):10.2f}")


if __name__ == "__main__":
    main()
