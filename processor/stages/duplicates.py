"""What an intake loop knows of the ids that its partitions have seen: asked of each record, written with each tick."""

import threading
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Final

from confluent_kafka import KafkaException

from processor.codec.ids import ENTRY_BYTES, IDS_MAX, encode_entry, encode_ids
from processor.core.clock import Clock
from processor.kafka.committed import Place
from processor.kafka.connection import Connection
from processor.kafka.counts import Counts
from processor.kafka.transactions import Output
from processor.logs import logger
from processor.metrics import IDS_HELD, IDS_REBUILD, IDS_UNREAD
from processor.stages.rebuilding import Known, Rebuilding

log = logger()

_AT_ONCE: Final = 4  # partitions whose ids are read side by side
_AGAIN_S: Final = 1.0
_TOLD_EVERY_S: Final = 30.0
_COUNT_EVERY_S: Final = 10.0
_RECORD_BYTES: Final = IDS_MAX * ENTRY_BYTES
_OBSERVE_S: Final = 1.0


@dataclass(slots=True)
class Owned:
    """A partition whose ids are known."""

    place: Place
    known: Known
    admitted: bytearray = field(default_factory=bytearray)  # by the tick that is being decided, as it is written

    def home_of(self, hashed: int) -> int:
        """Return the partition where a record belongs."""
        return hashed % self.known.partitions

    def admit(self, mark: bytes, hashed: int, now_s: int) -> None:
        """
        Know a record from now on.

        Its tick may still be aborted: then it is tried again until it counts, or until the partition is forgotten
        together with this set.
        """
        self.known.seen.add(mark, now_s)
        self.admitted += encode_entry(mark, hashed)


@dataclass(slots=True)
class _Reading:
    """A partition whose ids are being read."""

    began_s: float
    given_up: threading.Event = field(default_factory=threading.Event)
    future: Future[Known] | None = None
    again_at_s: float = 0.0
    tell_at_s: float = 0.0


class Duplicates:
    """
    The sets of a loop's partitions, each read again from Kafka by whoever takes its partition over.

    One thread uses it; what has to wait for Kafka runs in threads of its own.
    """

    def __init__(
        self, loop: str, connection: Connection, inbound: str, ids: str, clock: Clock, *, horizon_ms: int
    ) -> None:
        """Own nothing yet: partitions of the topic *inbound*, whose ids are kept on the topic *ids*."""
        self._loop = loop
        self._rebuilding = Rebuilding(connection, inbound, ids, clock, horizon_ms)
        self._counts = Counts(connection)
        self._inbound = inbound
        self._ids = ids
        self._clock = clock
        self._owned: dict[Place, Owned] = {}
        self._reading: dict[Place, _Reading] = {}
        self._count = 0  # partitions of the topic, as Kafka told last
        self._counted_at_s = clock.monotonic_s()
        self._observed_at_s = 0.0
        self._threads = ThreadPoolExecutor(_AT_ONCE, thread_name_prefix=f"{loop}.ids")

    # -- what the loop tells ----------------------------------------------------------------------

    def begin(self, place: Place) -> None:
        """Read what *place* has seen; until that is known nothing of it may be decided."""
        self.forget(place)
        self._reading[place] = _Reading(self._clock.monotonic_s())
        self._read(place, self._reading[place])

    def known(self, place: Place) -> bool:
        """Tell whether it is known what *place* has seen; asked between ticks, when all that was admitted counts."""
        reading, owned = self._reading.get(place), self._owned.get(place)
        if reading is not None:
            self._advance(place, reading)
        elif owned is not None and self._outgrown(owned):
            log.warning("topic.grown", loop=self._loop, topic=place[0], partition=place[1], partitions=self._count)
            self.begin(place)
        return place in self._owned

    def forget(self, place: Place) -> None:
        """Let go of a partition, and of what was admitted to it and perhaps never committed."""
        self._owned.pop(place, None)
        reading = self._reading.pop(place, None)
        if reading is not None:
            reading.given_up.set()

    def observe(self) -> None:
        """Set the gauges, once a second."""
        now_s = self._clock.monotonic_s()
        if now_s - self._observed_at_s < _OBSERVE_S:
            return
        self._observed_at_s = now_s
        IDS_HELD.labels(self._loop).set(sum(owned.known.seen.count for owned in self._owned.values()))
        IDS_UNREAD.labels(self._loop).set(max((now_s - each.began_s for each in self._reading.values()), default=0.0))

    def close(self) -> None:
        """End the threads."""
        for place in tuple(self._reading):
            self.forget(place)
        self._threads.shutdown()

    # -- what intake asks -------------------------------------------------------------------------

    def of(self, place: Place) -> Owned | None:
        """Return what is known of *place*; None where it has to be read first, or again."""
        if self._clock.monotonic_s() - self._counted_at_s >= _COUNT_EVERY_S:
            self._recount()
        owned = self._owned.get(place)
        return None if owned is None or self._outgrown(owned) else owned

    def counts_still(self, owned: Owned) -> bool:
        """Ask Kafka whether the topic has as many partitions as it had; False where it does not tell."""
        return self._recount() and not self._outgrown(owned)

    def _recount(self) -> bool:
        count = self._counts.of(self._inbound)
        if count is not None:
            self._count, self._counted_at_s = count, self._clock.monotonic_s()
        return count is not None

    def _outgrown(self, owned: Owned) -> bool:
        return owned.known.partitions < self._count

    def written(self, place: Place, now_s: int) -> Iterator[Output]:
        """Yield what a tick writes of the ids that it has admitted to *place*, and begin the next one."""
        owned = self._owned.get(place)
        if owned is None:
            return  # it has to be read first: nothing was decided
        admitted, owned.admitted = owned.admitted, bytearray()
        for begin in range(0, len(admitted), _RECORD_BYTES):
            value = encode_ids(owned.known.partitions, now_s, bytes(admitted[begin : begin + _RECORD_BYTES]))
            yield Output(self._ids, value, partition=owned.place[1])

    # -- reading ----------------------------------------------------------------------------------

    def _read(self, place: Place, reading: _Reading) -> None:
        wanted = reading.given_up
        reading.future = self._threads.submit(self._rebuilding.known, place[1], lambda: not wanted.is_set())

    def _advance(self, place: Place, reading: _Reading) -> None:
        now_s = self._clock.monotonic_s()
        if reading.future is None:
            if now_s >= reading.again_at_s:
                self._read(place, reading)
        elif reading.future.done():
            future, reading.future = reading.future, None
            error = future.exception()
            if error is None:
                self._own(place, reading, future.result())
            else:
                self._failed(place, reading, error)

    def _own(self, place: Place, reading: _Reading, known: Known) -> None:
        del self._reading[place]
        self._owned[place] = Owned(place, known)
        self._count = max(self._count, known.partitions)
        took_s = self._clock.monotonic_s() - reading.began_s
        IDS_REBUILD.labels(self._loop).observe(took_s)
        log.info(
            "ids.read",
            loop=self._loop,
            topic=place[0],
            partition=place[1],
            count=known.seen.count,
            elapsed_ms=round(took_s * 1_000),
        )

    def _failed(self, place: Place, reading: _Reading, error: BaseException) -> None:
        now_s = self._clock.monotonic_s()
        reading.again_at_s = now_s + _AGAIN_S
        if now_s >= reading.tell_at_s:
            reading.tell_at_s = now_s + _TOLD_EVERY_S
            code = str(error.args[0].name()) if isinstance(error, KafkaException) else None
            log.error("ids.unread", loop=self._loop, topic=place[0], partition=place[1], error=error, kafka_code=code)
