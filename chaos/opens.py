"""Recipients who open their mails: each open that was answered has to be an event, once."""

from __future__ import annotations

import threading
import time
from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from processor.core.tokens import Purpose, Sealer, Ticket
from tests.support.web import ask

if TYPE_CHECKING:
    from collections.abc import Iterable

    from processor.core.events import EngagementEvent
    from tests.support.plant import Plant

EVERY_S: Final = 0.25


@dataclass(slots=True)
class Opens:
    """One recipient after the other, in a thread of its own."""

    plant: Plant
    word: str
    answered: set[str] = field(default_factory=set)
    refused: int = 0
    _stop: threading.Event = field(default_factory=threading.Event)
    _thread: threading.Thread | None = None

    def start(self) -> None:
        """Begin to open."""
        self._thread = threading.Thread(target=self._run, name="opens", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """Open no more."""
        self._stop.set()
        assert self._thread is not None
        self._thread.join()

    def _run(self) -> None:
        sealer = Sealer(self.plant.settings.tracking.sealing_keys())
        number = 0
        while not self._stop.wait(EVERY_S):
            number += 1
            name = f"{self.word}-open-{number}"
            token = sealer.seal(Purpose.OPEN, Ticket(name, "Email", int(time.time()) - 3_600))
            try:
                status = ask(self._port(), "GET", f"/{Purpose.OPEN}/{token}").status
            except (OSError, StopIteration):  # it is not there
                continue
            if status == 200:
                self.answered.add(name)
            else:
                self.refused += 1

    def _port(self) -> int:
        lines = self.plant.lines("tracking")
        return next(int(line["port"]) for line in lines if line["event"] == "tracking.listening")

    def breaches(self, events: Iterable[EngagementEvent]) -> dict[str, list[str]]:
        """
        Return the opens that were answered and are no event, and those that became two events.

        One whose acknowledgement came too late may be published again, as the same event (docs/tracking-stage.md).
        """
        seen = Counter(message_id for message_id, _ in {(each.message_id, each.event_id) for each in self._own(events)})
        found = {
            "open lost": sorted(self.answered - seen.keys()),
            "open twice": [each for each, count in seen.items() if count > 1],
        }
        return {name: names for name, names in found.items() if names}

    def counts(self, events: Iterable[EngagementEvent]) -> dict[str, int]:
        """Return how many were answered, refused, and published more than once."""
        copies = Counter(each.event_id for each in self._own(events))
        again = sum(count - 1 for count in copies.values())
        return {"answered": len(self.answered), "refused": self.refused, "published again": again}

    def _own(self, events: Iterable[EngagementEvent]) -> list[EngagementEvent]:
        return [each for each in events if each.message_id.startswith(f"{self.word}-open-")]
