"""The seam through which the rim hands time, chance and zones to decisions."""

from collections.abc import Callable
from datetime import tzinfo
from typing import Protocol


class Clock(Protocol):
    """Two clocks: one to compare with instants of messages, one to measure how long something took."""

    def now_ms(self) -> int:
        """Return Unix milliseconds."""
        ...

    def monotonic_s(self) -> float:
        """Return seconds that never run backwards."""
        ...


Zones = Callable[[str], tzinfo | None]
"""The time zone of an IANA name, or None where there is none."""
