"""What a dispatcher holds while a campaign waits: resident memory with many messages in its send topics."""

import threading
import time
from pathlib import Path

from bench.field import Field, fill, send_topics
from bench.loops import Instant
from processor.stages.assembly import dispatch_loops, run_loops
from processor.stages.dispatch.event_loop import EventLoop

WATCHED_S = 20.0


def memory(field: Field, count: int) -> dict[str, float]:
    """Return the highest resident memory in MiB over the first seconds, with *count* messages waiting."""
    parts = field.parts()
    fill(field, send_topics(field), count, facts=True)
    before = resident_mib()
    events = EventLoop()
    loops = dispatch_loops(parts, dict.fromkeys(parts.plan.providers, Instant(1.0)), events)
    stopping = threading.Event()
    running = threading.Thread(target=run_loops, args=(loops, stopping))
    running.start()
    highest = 0.0
    until = time.monotonic() + WATCHED_S
    while time.monotonic() < until:
        highest = max(highest, resident_mib())
        stopping.wait(0.2)
    stopping.set()
    running.join()
    events.close()
    return {"before_mib": round(before), "highest_mib": round(highest), "waiting": count}


def resident_mib() -> float:
    """Return this process's resident memory (Linux)."""
    pages = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[1])
    return pages * 4_096 / 1_048_576
