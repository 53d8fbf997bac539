"""Where events go: to Kafka, and while it is away into the buffer, from which they follow later."""

import asyncio
from collections import deque
from typing import Final, Protocol

from confluent_kafka import KafkaError, KafkaException

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


class Outlet:
    """Used from one event loop; `drain` runs beside the requests."""

    def __init__(self, kafka: Log, buffer: Buffer) -> None:
        """Begin as if Kafka were there."""
        self._kafka = kafka
        self._buffer = buffer
        self._away = False
        self._due: deque[tuple[float, asyncio.Future[None]]] = deque()
        self._sweeps = False
        self._waiting = asyncio.Event()
        if buffer.count:
            self._waiting.set()

    async def keep(self, record: Record) -> bool:
        """Return True once *record* is in Kafka or on disk; False where it is neither."""
        if not self._away:
            try:
                await self._answered(self._kafka.soon(*record))
            except KafkaException:
                self._gone()
            else:
                return True
        kept = await self._buffer.put(record)
        self._waiting.set()
        return kept

    async def publish(self, records: list[Record]) -> bool:
        """Return True once Kafka has all *records*; False where it has not, or some only."""
        return all(await asyncio.gather(*(self._published(record, SURE_S) for record in records)))

    async def drain(self) -> None:
        """Bring what waits to Kafka, the oldest first, until cancelled."""
        while True:
            await self._waiting.wait()
            # One record is enough to find out whether Kafka is back.
            rows = await self._buffer.first(1 if self._away else _BATCH)
            if not rows:
                self._waiting.clear()
                self._back()
            elif not await self._drained(rows):
                self._gone()
                await asyncio.sleep(_AGAIN_S)

    async def _drained(self, rows: list[tuple[int, Record]]) -> bool:
        done = await asyncio.gather(*(self._published(record, SURE_S) for _, record in rows))
        safe = [row for row, published in zip(rows, done, strict=True) if published]
        if safe:
            self._back()
            await self._buffer.take_out(safe)
        return len(safe) == len(rows)

    async def _published(self, record: Record, within_s: float) -> bool:
        try:
            async with asyncio.timeout(within_s):
                await self._kafka.soon(*record)
        except (KafkaException, TimeoutError):
            return False
        return True

    def _answered(self, acknowledged: "asyncio.Future[None]") -> "asyncio.Future[None]":
        """Return *acknowledged*, which fails when its time is up: one timer for all of them, not one for each."""
        loop = asyncio.get_running_loop()
        self._due.append((loop.time() + ANSWER_S, acknowledged))
        if not self._sweeps:
            self._sweeps = True
            loop.call_later(_SWEEP_S, self._sweep, loop)
        return acknowledged

    def _sweep(self, loop: asyncio.AbstractEventLoop) -> None:
        due, now_s = self._due, loop.time()
        while due and (due[0][1].done() or due[0][0] <= now_s):
            _, acknowledged = due.popleft()
            if not acknowledged.done():
                acknowledged.set_exception(KafkaException(KafkaError(KafkaError._TIMED_OUT)))  # noqa: SLF001
        self._sweeps = bool(due)
        if due:
            loop.call_later(_SWEEP_S, self._sweep, loop)

    def _gone(self) -> None:
        if not self._away:
            self._away = True
            log.warning("tracking.buffering", stage="tracking", records=self._buffer.count)

    def _back(self) -> None:
        if self._away:
            self._away = False
            log.info("tracking.publishing", stage="tracking", records=self._buffer.count)
