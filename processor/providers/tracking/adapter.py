"""An adapter before which mails get their tracked links, their pixel and their ways to unsubscribe."""

from __future__ import annotations

from typing import TYPE_CHECKING

from processor.providers.tracking.tracker import Tracker

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from processor.core.outcome import Outcome
    from processor.providers.adapter import Adapter, Submission
    from processor.providers.tracking.config import TrackingConfig


class WithTracking:
    """Passes batches on as their channels track them; what signs and encodes a mail comes after it."""

    def __init__(self, adapter: Adapter, config: TrackingConfig, *, now_ms: Callable[[], int]) -> None:
        self._adapter = adapter
        self._tracker = Tracker(config)
        self._now_ms = now_ms

    def open(self) -> None:
        """Open the adapter."""
        self._adapter.open()

    async def send(self, batch: Sequence[Submission]) -> Sequence[Outcome]:
        """Send *batch*, each mail as its channel tracks it."""
        now_ms = self._now_ms()
        return await self._adapter.send([self._tracker.tracked(asked, now_ms=now_ms) for asked in batch])

    async def close(self) -> None:
        """Close the adapter."""
        await self._adapter.close()
