"""How soon an express message is called on an idle system: from produce to the provider call, through real stages."""

import statistics
import threading
import time
from collections.abc import Sequence

from confluent_kafka import Producer

from bench.field import PROVIDER, Field, message
from processor.codec.assembly import open_codecs
from processor.core.outcome import Accepted, Outcome
from processor.providers.adapter import Submission
from processor.stages.assembly import delay_loops, dispatch_loops, intake_loops, run_loops
from processor.stages.dispatch.event_loop import EventLoop

WARM_UP = 50
BETWEEN_S = 0.05


class Noting:
    """A provider that notes when each message reached it, in Unix nanoseconds."""

    def __init__(self) -> None:
        self.called: dict[str, int] = {}
        self.arrived = threading.Event()

    def open(self) -> None:
        """Do nothing."""

    async def send(self, batch: Sequence[Submission]) -> Sequence[Outcome]:
        """Note and accept."""
        now_ns = time.time_ns()
        for each in batch:
            self.called[each.message.head.message_id] = now_ns
        self.arrived.set()
        return [Accepted("1", "250") for _ in batch]

    async def close(self) -> None:
        """Do nothing."""


def express(field: Field, count: int) -> dict[str, float]:
    """Return p50, p99 and the worst of *count* messages, in milliseconds; one at a time, all stages in one process."""
    parts = field.parts()
    provider = Noting()
    events = EventLoop()
    loops = [*intake_loops(parts), *delay_loops(parts), *dispatch_loops(parts, {PROVIDER: provider}, events)]
    stopping = threading.Event()
    running = threading.Thread(target=run_loops, args=(loops, stopping))
    running.start()
    producer = Producer(field.connection.common() | {"acks": "all"})
    took_ms = [_one(field, producer, provider, number) for number in range(count + WARM_UP)][WARM_UP:]
    stopping.set()
    running.join()
    events.close()
    took_ms.sort()
    return {
        "p50_ms": round(statistics.median(took_ms), 1),
        "p99_ms": round(took_ms[int(len(took_ms) * 0.99)], 1),
        "max_ms": round(took_ms[-1], 1),
    }


def _one(field: Field, producer: Producer, provider: Noting, number: int) -> float:
    made = message(number, priority=9)._replace(text="Your code is on its way.")
    value = open_codecs().outbound.encode_message(made)
    provider.arrived.clear()
    began_ns = time.time_ns()
    producer.produce(field.names.express, value, made.head.message_id)
    producer.flush()
    if not provider.arrived.wait(60):
        raise TimeoutError("an express message did not reach its provider in a minute")
    threading.Event().wait(BETWEEN_S)  # the pace of the load, not a synchronisation
    return (provider.called[made.head.message_id] - began_ns) / 1e6
