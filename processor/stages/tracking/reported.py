"""Puts what a provider reported in one call on its topic, all of it or none that counts."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Final

from processor.stages.receipts import record_key

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Sequence

    from processor.core.events import Receipt
    from processor.stages.receipts import Log


AT_ONCE: Final = 500  # receipts of one call that wait for Kafka; others than this provider call, too


def publisher(
    log: Log, topic: str, encode: Callable[[Receipt], bytes]
) -> Callable[[Sequence[Receipt]], Awaitable[None]]:
    """
    Return what publishes receipts to *topic* and returns once all are safe; it raises what *log* raises.

    Those that were safe before another failed stay: the provider calls again, and they come with the same ids.
    """

    async def publish(receipts: Sequence[Receipt]) -> None:
        for start in range(0, len(receipts), AT_ONCE):
            some = receipts[start : start + AT_ONCE]
            await asyncio.gather(*(log.publish(topic, record_key(each), encode(each)) for each in some))

    return publish
