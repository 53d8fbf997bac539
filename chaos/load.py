"""What producers ask while faults happen: a steady mix of messages, each with what it may and may not become."""

from __future__ import annotations

import threading
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

from tests.support.ledgers import Asked
from tests.support.plant import message

if TYPE_CHECKING:
    from collections.abc import Callable
    from random import Random

    from processor.core.message import Message
    from tests.support.plant import Plant

DAY_MS: Final = 86_400_000
STEP_S: Final = 0.05


@dataclass(frozen=True, slots=True)
class Wish:
    """When a message was asked for (Unix milliseconds), and whether it is a one-time password."""

    asked_ms: int
    once: bool = False


@dataclass(slots=True)
class Load:
    """One producer, in a thread of its own, at a steady rate."""

    plant: Plant
    chance: Random
    word: str  # ids begin with it
    rate_per_s: float
    wishes: dict[str, Wish] = field(default_factory=dict)
    cut: set[str] = field(default_factory=set)  # messages whose provider hangs up on them, whatever else happens
    count: int = 0
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

    def _run(self) -> None:
        began_s = time.monotonic()
        while not self._stop.wait(STEP_S):
            while self.count < (time.monotonic() - began_s) * self.rate_per_s:
                self._ask()

    def _ask(self) -> None:
        self.count += 1
        message_id = f"{self.word}-{self.count}"
        [make] = self.chance.choices(list(MIX), list(MIX.values()))
        now_ms = time.time_ns() // 1_000_000
        asked = make(message_id, now_ms, self.chance)
        if asked is None:
            self.plant.put(b"\xc3\x01 not a message", Asked(None), self.plant.names.outbound)
            return
        self.wishes[message_id] = Wish(now_ms, once=asked.head.channel.endswith("OTP"))
        if asked.to.startswith("drop-"):
            self.cut.add(message_id)
        self.plant.ask_soon(asked)
        if make in PLAIN and self.chance.random() < ASKED_AGAIN:
            self.plant.ask_soon(asked)


def _password(message_id: str, now_ms: int, chance: Random) -> Message:
    return message(message_id, "SMSOTP")


def _short(message_id: str, now_ms: int, chance: Random) -> Message:
    return message(message_id, "Short", to="0722000111")


def _later(message_id: str, now_ms: int, chance: Random) -> Message:
    return _any(message_id, chance, start_at_ms=now_ms + chance.randrange(500, 9_000))


def _until(message_id: str, now_ms: int, chance: Random) -> Message:
    return _any(message_id, chance, end_at_ms=now_ms + chance.randrange(500, 9_000))


def _windowed(message_id: str, now_ms: int, chance: Random) -> Message:
    """Return a message whose window opens in a few seconds, or at any rate is open for an hour."""
    opens_ms = (now_ms + chance.randrange(500, 9_000)) % DAY_MS
    return _any(message_id, chance, interval_min_ms=opens_ms, interval_max_ms=(opens_ms + 3_600_000) % DAY_MS)


def _urgent(message_id: str, now_ms: int, chance: Random) -> Message:
    return _any(message_id, chance, priority=chance.randrange(10))


def _mail_refused(message_id: str, now_ms: int, chance: Random) -> Message:
    to = chance.choice(["defer-451-1x", "bounce-550", "rcpt-550", "drop-before-dot-1x", "drop-after-dot-1x"])
    return message(message_id, to=f"{to}@example.com")


def _text_refused(message_id: str, now_ms: int, chance: Random) -> Message:
    return message(message_id, "SMS", to=chance.choice(["+40700004511", "+40700000550", "+40700004291"]))


def _unreadable(message_id: str, now_ms: int, chance: Random) -> None:
    return None


def _any(message_id: str, chance: Random, **head: Any) -> Message:
    return message(message_id, chance.choice(["Email", "SMS"]), **head)


MIX: Final[dict[Callable[[str, int, Random], Message | None], int]] = {
    _urgent: 50,
    _password: 14,
    _short: 8,
    _later: 7,
    _until: 5,
    _windowed: 4,
    _mail_refused: 8,
    _text_refused: 3,
    _unreadable: 1,
}
"""Shares of a hundred."""

PLAIN: Final = (_urgent, _password, _short)
"""Of these some are asked for again at once: the second record has to end as a DUPLICATE."""

ASKED_AGAIN: Final = 0.03
