"""The loops that are measured, each over a topic that is filled before: records per second, wall clock."""

import asyncio
import threading
import time
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context

from confluent_kafka import Consumer, Producer, TopicPartition

from bench.field import Field, event_instants, fill, send_topics
from processor.core.outcome import Accepted, Outcome
from processor.core.tiers import TIERS_S
from processor.core.words import DelayClass
from processor.kafka.transactions import Output
from processor.providers.adapter import Adapter, Submission
from processor.stages.assembly import Loop, delay_loops, dispatch_loops, intake_loops, run_loops
from processor.stages.dispatch.event_loop import EventLoop
from processor.stages.forward import ForwardLoop
from processor.stages.heap import calm_collector
from processor.stages.record import Record

TICK = 2_000


def bare(field: Field, count: int) -> float:
    """Return the rate of the bare transactional forward loop: consume, produce the same bytes, offsets, commit."""
    names = field.names
    fill(field, [names.outbound], count, facts=False)
    consumer = Consumer(field.connection.consumer(f"{field.prefix}.bare") | {"auto.offset.reset": "earliest"})
    consumer.subscribe([names.outbound])
    producer = Producer(field.connection.producer(f"{field.prefix}.bare", lambda *_: None))
    producer.init_transactions(30)
    target, done, began, tick = send_topics(field)[1], 0, 0.0, 0
    while done < count:
        batch = [each for each in consumer.consume(TICK, 0.05) if each.error() is None]
        if not batch:
            continue
        began = began or time.perf_counter()
        tick += 1
        producer.begin_transaction()
        ends: dict[tuple[str, int], int] = {}
        for each in batch:
            producer.produce(target, each.value(), each.key(), tick % 2)
            ends[each.topic() or "", each.partition() or 0] = (each.offset() or 0) + 1
        offsets = [TopicPartition(*place, end) for place, end in ends.items()]
        producer.send_offsets_to_transaction(offsets, consumer.consumer_group_metadata(), 10)
        producer.commit_transaction(10)
        done += len(batch)
    rate = done / (time.perf_counter() - began)
    consumer.close()
    return rate


class _Counted(threading.Event):
    """Asks a loop to stop once *count* records were decided, and knows when the loop noticed."""

    def __init__(self, loop: ForwardLoop, count: int) -> None:
        super().__init__()
        self.began = self.ended = 0.0
        self._left = count
        self._decide = loop._decider.decide  # noqa: SLF001 - measured from inside
        loop._decider.decide = self._counted  # type: ignore[method-assign] # noqa: SLF001

    def _counted(self, records: Sequence[Record], *, suspect: bool) -> list[list[Output]]:
        self.began = self.began or time.perf_counter()
        self._left -= len(records)
        return self._decide(records, suspect=suspect)

    def is_set(self) -> bool:
        if self._left <= 0 and not self.ended:
            self.ended = time.perf_counter()
        return self._left <= 0


def intake(field: Field, count: int) -> float:
    """Return the rate at which intake judges due messages and forwards them to their send topic."""
    parts = field.parts()
    fill(field, [field.names.outbound], count, facts=False)
    express, rest = intake_loops(parts)
    return _forwarded(rest, [express], count)


def delay_hop(field: Field, count: int) -> float:
    """Return the rate at which delay judges what comes out of a tier, and forwards it to its send topic."""
    parts = field.parts()
    fill(field, [field.names.delay(DelayClass.REST, TIERS_S[0])], count, facts=True)
    time.sleep(TIERS_S[0])  # until the last of them has waited its time: what is measured is not the wait
    *others, rest = delay_loops(parts)
    return _forwarded(rest, others, count)


def _forwarded(loop: Loop, others: Sequence[Loop], count: int) -> float:
    if not isinstance(loop, ForwardLoop):
        raise TypeError("intake and delay are made of forward loops")
    at_once = threading.Event()
    at_once.set()
    for other in others:
        other.run(at_once)  # it leaves its group: a consumer that is let go while it joins may never end
    counted = _Counted(loop, count)
    calm_collector()
    loop.run(counted)
    return count / (counted.ended - counted.began)


class Instant:
    """A provider in this process that answers after *answer_s*."""

    def __init__(self, answer_s: float) -> None:
        self._answer_s = answer_s

    def open(self) -> None:
        """Do nothing."""

    async def send(self, batch: Sequence[Submission]) -> Sequence[Outcome]:
        """Accept everything."""
        if self._answer_s:
            await asyncio.sleep(self._answer_s)
        return [Accepted("1", "250") for _ in batch]

    async def close(self) -> None:
        """Do nothing."""


def dispatch(field: Field, count: int, adapter: Adapter) -> float:
    """Return the rate from the first to the last delivery event, over three lanes of one provider."""
    parts = field.parts()
    fill(field, send_topics(field), count, facts=True)
    events = EventLoop()
    loops = dispatch_loops(parts, dict.fromkeys(parts.plan.providers, adapter), events)
    stopping = threading.Event()
    running = threading.Thread(target=run_loops, args=(loops, stopping))
    running.start()
    with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as apart:  # a reader here would share our interpreter
        instants = apart.submit(event_instants, field, count, within_s=120).result()
    stopping.set()
    running.join()
    events.run(adapter.close())
    events.close()
    if len(instants) != count:
        raise RuntimeError(f"{len(instants)} events of {count}")
    return (count - 1) * 1_000 / (instants[-1] - instants[0])


def dispatch_instant(field: Field, count: int) -> float:
    """Dispatch to a provider that answers at once."""
    return dispatch(field, count, Instant(0.0))


def dispatch_50ms(field: Field, count: int) -> float:
    """Dispatch to a provider that answers after 50 ms."""
    return dispatch(field, count, Instant(0.05))
