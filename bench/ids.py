"""
What it costs to know the message ids of the horizon: memory, time for each record, time to read them again.

    python -m bench.ids [--ids 1000000]
"""

from __future__ import annotations

import argparse
import gc
import os
import platform
import time
from typing import TYPE_CHECKING, TypeVar

from confluent_kafka import Producer

from bench.codec import rounds_us
from bench.field import Field
from bench.memory import resident_mib
from processor.codec.ids import IDS_MAX, encode_entry, encode_ids
from processor.core.seen import MARK_BYTES, Seen, mark_of
from processor.kafka.partitioner import hash_of
from processor.sandbox.broker import find_broker
from processor.stages.clock import SystemClock
from processor.stages.rebuilding import Rebuilding

if TYPE_CHECKING:
    from collections.abc import Callable

HORIZON_S = 3 * 86_400
WANTED_BYTES = 40  # for each id, less than that
MESSAGE_ID = b"4f49be3e-93a7-4a17-980a-30ac90939198"
VALUE = os.urandom(1_660)
BATCH = 10_000
T = TypeVar("T")


def marks(count: int) -> list[bytes]:
    return [os.urandom(MARK_BYTES) for _ in range(count)]


def filled(count: int) -> tuple[Seen, float, float]:
    """Return a set of *count* marks, bytes of resident memory for each, and microseconds to look for it and add it."""
    seen, some = Seen(HORIZON_S), marks(BATCH)  # what they take is taken before, and used again
    gc.collect()
    before_mib, taken_s = resident_mib(), 0.0
    for _ in range(count // BATCH):
        some = marks(BATCH)
        began_s = time.thread_time()
        for mark in some:
            if seen.content_of(mark, 0) is None:
                seen.add(mark, 0)
        taken_s += time.thread_time() - began_s
    return seen, (resident_mib() - before_mib) * 1_048_576 / count, taken_s * 1_000_000 / count


def cases(seen: Seen) -> list[tuple[str, Callable[[], object]]]:
    """Return what is asked of each record, by name."""
    known, unknown = mark_of(MESSAGE_ID, VALUE), mark_of(b"another", VALUE)
    seen.add(known, 0)
    return [
        ("where it belongs (murmur2 of the id)", lambda: hash_of(MESSAGE_ID) % 4),
        ("digests of its id and 1,660 bytes", lambda: mark_of(MESSAGE_ID, VALUE)),
        ("looked for, and not there", lambda: seen.content_of(unknown, 0)),
        ("looked for, and there", lambda: seen.content_of(known, 0)),
    ]


def rebuilt(count: int) -> tuple[float, float]:
    """Return the seconds that an owner takes to read *count* ids of its partition, and of an empty one."""
    with find_broker() as broker:
        field = Field(broker.bootstrap, f"bench{time.time_ns() // 1_000_000}.ids")
        names, clock = field.parts().names, SystemClock()
        ids = names.ids(names.outbound)
        producer = Producer(field.connection.common())
        for _ in range(count // IDS_MAX):
            value = encode_ids(4, clock.now_ms() // 1_000, b"".join(encode_entry(mark, 0) for mark in marks(IDS_MAX)))
            producer.produce(ids, value, partition=0)
            producer.poll(0)
        producer.flush()
        rebuilding = Rebuilding(field.connection, names.outbound, ids, clock, HORIZON_S * 1_000)
        empty_s, _ = timed(lambda: rebuilding.known(1, lambda: True))
        full_s, known = timed(lambda: rebuilding.known(0, lambda: True))
        if known.seen.count != count // IDS_MAX * IDS_MAX:
            raise RuntimeError(f"{known.seen.count} ids of {count}")
        return full_s, empty_s


def timed(call: Callable[[], T]) -> tuple[float, T]:
    began_s = time.perf_counter()
    value = call()
    return time.perf_counter() - began_s, value


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--ids", type=int, default=1_000_000)
    options = parser.parse_args()
    print(f"Python {platform.python_version()}, {platform.machine()}")
    filled(BATCH)
    size_bytes = 0.0
    for count in (100_000, options.ids):
        _, size_bytes, taken_us = filled(count)
        held = f"{size_bytes:.1f} bytes of memory each (wanted < {WANTED_BYTES})"
        print(f"{count:,} ids: {held}, {taken_us:.2f} µs to look for and add each")
    print(f"{'asked of a record':40}{'best µs':>8}")
    for name, call in cases(filled(100_000)[0]):
        print(f"{name:40}{min(rounds_us(call, rounds=9, records=4_000)):8.2f}")
    full_s, empty_s = rebuilt(options.ids)
    print(f"read again by a new owner: {options.ids:,} ids in {full_s:.2f} s, none in {empty_s * 1_000:.0f} ms")
    if size_bytes >= WANTED_BYTES:
        raise SystemExit(f"{size_bytes:.1f} bytes for each id where fewer than {WANTED_BYTES} are wanted")


if __name__ == "__main__":
    main()
