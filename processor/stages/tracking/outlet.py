"""Where events go: to Kafka, and while it is away into the buffer, from which they follow later."""

import asyncio
from collections.abc import Callable
from itertools import takewhile
from typing import Final, Protocol

from confluent_kafka import KafkaError, KafkaException, Message

from processor.logs import logger
from processor.stages.tracking.buffer import Buffer, Record

log = logger()

ANSWER_S: Final = 1.0
"""A Kafka that has not acknowledged a record by then is away."""

SURE_S: Final = 5.0
"""What must be in Kafka waits for it no longer than that."""

_AGAIN_S: Final = 1.0
_SWEEP_S: Final = 0.1
_BATCH: Final = 500


class Log(Protocol):
    """Kafka, as `Reliable` is it."""

    def soon(self, topic: str, key: bytes, value: bytes) -> "asyncio.Future[None]":
        """Return what is done once the record is safe; it ends with `KafkaException` where it is not."""
        ...

    def hand(
        self, topic: str, key: bytes, value: bytes, told: Callable[[KafkaError | None, Message | None], None]
    ) -> None:
        """Call *told* then, and with an error where the record is not safe."""
        ...


Kept = Callable[[bool], None]
"""Is called once, with True where a record is in Kafka or on disk."""


class _Handed:
    """A record that Kafka was given; `acknowledged` once it has answered, however late."""

    __slots__ = ("_outlet", "acknowledged", "due_s", "kept", "record")

    def __init__(self, outlet: "Outlet", record: Record, kept: Kept, due_s: float) -> None:
        self._outlet = outlet
        self.acknowledged: bool | None = None
        self.record = record
        self.kept = kept
        self.due_s = due_s

    def told(self, error: KafkaError | None, _: Message | None) -> None:
        self.acknowledged = error is None
        self._outlet.told(self, error)


class Outlet:
    """Used from one event loop; `drain` runs beside the requests."""

    def __init__(self, kafka: Log, buffer: Buffer) -> None:
        """Begin as if Kafka were there."""
        self._kafka = kafka
        self._buffer = buffer
        self._away = False
        self._loop = asyncio.get_running_loop()  # to ask again is a system call each time
        self._handed: dict[_Handed, None] = {}  # in the order in which they are due
        self._stores: set[asyncio.Task[None]] = set()
        self._late: dict[int, _Handed] = {}  # by the number of its row: what Kafka was given before it was stored
        self._sweeps = False
        self._waiting = asyncio.Event()
        if buffer.count:
            self._waiting.set()

    def keep(self, record: Record, kept: Kept) -> None:
        """Call *kept* with True once *record* is in Kafka or on disk; with False where it is neither."""
        if self._away:
            self._store(record, kept, None)
            return
        handed = _Handed(self, record, kept, self._loop.time() + ANSWER_S)
        self._handed[handed] = None
        if not self._sweeps:
            self._sweeps = True
            self._loop.call_later(_SWEEP_S, self._sweep)
        self._kafka.hand(*record, handed.told)

    def told(self, handed: _Handed, error: KafkaError | None) -> None:
        """Hear what became of a record; what comes first counts, the answer or the end of its time."""
        if handed not in self._handed:
            if error is None:
                self._back()
            return
        del self._handed[handed]
        if error is None:
            handed.kept(True)  # noqa: FBT003
        else:
            self._gone()
            self._store(handed.record, handed.kept, handed)

    async def publish(self, records: list[Record]) -> bool:
        """Return True once Kafka has all *records*; False where it has not, or some only."""
        return all(await asyncio.gather(*(self._published(record, SURE_S) for record in records)))

    async def drain(self) -> None:
        """Bring what waits to Kafka, the oldest first, until cancelled."""
        while True:
            await self._waiting.wait()
            # One record is enough to find out whether Kafka is back.
            rows = await self._buffer.first(1 if self._away else _BATCH)
            if rows is None:  # which says nothing of what waits
                await asyncio.sleep(_AGAIN_S)
                continue
            answered = list(takewhile(self._answered, rows))
            if not rows and self._buffer.owes:
                if not await self._buffer.take_out(()):
                    await asyncio.sleep(_AGAIN_S)
            elif not rows:
                self._waiting.clear()
                self._back()
            elif not answered:
                await asyncio.sleep(_SWEEP_S)
            elif not await self._drained(answered):
                self._gone()
                await asyncio.sleep(_AGAIN_S)

    def _answered(self, row: tuple[int, Record]) -> bool:
        """Tell whether Kafka will say no more of a row: published before, it could be there twice."""
        handed = self._late.get(row[0])
        return handed is None or handed.acknowledged is not None

    async def _drained(self, rows: list[tuple[int, Record]]) -> bool:
        done = await asyncio.gather(*(self._there(number, record) for number, record in rows))
        safe = [row for row, there in zip(rows, done, strict=True) if there]
        if safe:
            self._back()
            await self._buffer.take_out(safe)
        return len(safe) == len(rows)

    async def _there(self, number: int, record: Record) -> bool:
        handed = self._late.pop(number, None)
        if handed is not None and handed.acknowledged:
            return True
        return await self._published(record, SURE_S)

    async def _published(self, record: Record, within_s: float) -> bool:
        try:
            async with asyncio.timeout(within_s):
                await self._kafka.soon(*record)
        except (KafkaException, TimeoutError):
            return False
        return True

    def _store(self, record: Record, kept: Kept, handed: _Handed | None) -> None:
        store = self._loop.create_task(self._stored(record, kept, handed))
        self._stores.add(store)  # the loop itself only knows it weakly
        store.add_done_callback(self._stores.discard)

    async def _stored(self, record: Record, kept: Kept, handed: _Handed | None) -> None:
        row = self._buffer.put(record)
        if row is None:
            kept(False)  # noqa: FBT003
            return
        if handed is not None:
            self._late[row.number] = handed
        safe = await row.written
        if not safe:
            self._late.pop(row.number, None)
        self._waiting.set()
        kept(safe)

    def _sweep(self) -> None:
        """End what Kafka has not acknowledged in time: one timer for all, not one for each."""
        now_s = self._loop.time()
        while self._handed and (first := next(iter(self._handed))).due_s <= now_s:
            self.told(first, KafkaError(KafkaError._TIMED_OUT))  # noqa: SLF001
        self._sweeps = bool(self._handed)
        if self._sweeps:
            self._loop.call_later(_SWEEP_S, self._sweep)

    def _gone(self) -> None:
        if not self._away:
            self._away = True
            log.warning("tracking.buffering", stage="tracking", records=self._buffer.count)

    def _back(self) -> None:
        if self._away:
            self._away = False
            log.info("tracking.publishing", stage="tracking", records=self._buffer.count)
