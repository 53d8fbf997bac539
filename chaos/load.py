"""One producer, at a steady rate, while faults happen; what it asks for is drawn from `chaos.wishes`."""

from __future__ import annotations

import heapq
import threading
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from chaos.wishes import MIX, PLAIN, THEN, Then, Wish, elsewhere
from processor.kafka.partitioner import partition_of
from tests.support.ledgers import Asked
from tests.support.plant import message

if TYPE_CHECKING:
    from collections.abc import Callable
    from random import Random

    from processor.core.message import Message
    from tests.support.plant import Plant

STEP_S: Final = 0.05
UNREADABLE: Final = b"\xc3\x01 not a message"
AGAIN_WITHIN_S: Final = 12.0
"""Of what comes again half does so at once; of the rest a fault may have moved the partition meanwhile."""


@dataclass(slots=True)
class Load:
    """One producer, in a thread of its own, at a steady rate."""

    plant: Plant
    chance: Random
    word: str  # ids begin with it
    rate_per_s: float
    at_once: int = 0  # messages at the beginning
    wishes: dict[str, Wish] = field(default_factory=dict)
    cut: set[str] = field(default_factory=set)  # messages whose provider hangs up on them, whatever else happens
    other: dict[str, str] = field(default_factory=dict)  # ids that came again with other content: its recipient
    newcomers: set[str] = field(default_factory=set)  # messages that another producer has written in a new schema
    count: int = 0
    _coming: list[tuple[float, int, Then, Message]] = field(default_factory=list)  # what comes again, when, and how
    _stop: threading.Event = field(default_factory=threading.Event)
    _thread: threading.Thread | None = None

    def start(self) -> None:
        """Begin to ask."""
        self._thread = threading.Thread(target=self._run, name="load", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """Stop asking, and return once Kafka has acknowledged everything."""
        self._stop.set()
        assert self._thread is not None
        self._thread.join()
        self.plant.flush()

    def ask_as(self, written: Callable[[Message], bytes]) -> None:
        """Ask for a message that another producer has *written* in its own way; from any thread."""
        asked = message(f"{self.word}-new-{len(self.newcomers) + 1}")
        message_id = asked.head.message_id
        self.newcomers.add(message_id)
        self.wishes[message_id] = Wish(time.time_ns() // 1_000_000)
        self.plant.put(written(asked), Asked(message_id), self.plant.names.outbound, key=message_id.encode())

    def _run(self) -> None:
        began_s = time.monotonic()
        while not self._stop.wait(STEP_S):
            now_s = time.monotonic() - began_s
            while self.count < self.at_once + now_s * self.rate_per_s:
                self.ask_next(now_s)
            self.ask_again(now_s)

    def ask_next(self, now_s: float) -> None:
        """Ask for what is drawn."""
        self.count += 1
        message_id = f"{self.word}-{self.count}"
        [make] = self.chance.choices(list(MIX), list(MIX.values()))
        now_ms = time.time_ns() // 1_000_000
        asked = make(message_id, now_ms, self.chance)
        if asked is None:
            self.plant.put(UNREADABLE, Asked(None), self.plant.names.outbound, key=message_id.encode())
            return
        self.wishes[message_id] = Wish(now_ms, once=asked.head.channel.endswith("OTP"))
        if asked.to.startswith("drop-"):
            self.cut.add(message_id)
        [then] = self.chance.choices(list(THEN), list(THEN.values())) if make in PLAIN else [Then.NOTHING]
        if then is Then.MISPLACED and not self.wishes[message_id].once:  # the express topic has one partition
            self.plant.ask_soon(asked, partition=self._wrong_partition(message_id))
            return
        self.plant.ask_soon(asked)
        if then in {Then.SAME, Then.OTHER}:
            second = asked if then is Then.SAME else asked._replace(to=elsewhere(asked.to))
            at_s = now_s + self.chance.choice([0.0, self.chance.uniform(0.0, AGAIN_WITHIN_S)])
            heapq.heappush(self._coming, (at_s, self.count, then, second))

    def ask_again(self, now_s: float) -> None:
        """Ask again for what is due to come again."""
        while self._coming and self._coming[0][0] <= now_s:
            _, _, how, again = heapq.heappop(self._coming)
            if how is Then.OTHER:
                self.other[again.head.message_id] = again.to
            self.plant.ask_soon(again)

    def _wrong_partition(self, message_id: str) -> int:
        partitions = self.plant.settings.topics.partitions.inbound
        return (partition_of(message_id.encode(), partitions) + 1) % partitions
