"""Publishes what providers tell later; they are answered only once Kafka has it."""

from collections.abc import Callable
from typing import Final, Protocol

from processor.core.clock import Clock
from processor.core.events import Receipt as Event
from processor.core.events import event_id
from processor.metrics import RECEIPTS
from processor.providers.smpp import receipt as smpp

KIND: Final = "receipt"


class Log(Protocol):
    """Where receipts go; Kafka's."""

    async def publish(self, topic: str, key: bytes, value: bytes) -> None:
        """Return once the record is safe; raise `KafkaException` where it is not."""
        ...


class Receipts:
    """Makes an event of each receipt; one that comes again gets the same id."""

    def __init__(self, log: Log, topic: str, encode: Callable[[Event], bytes], clock: Clock) -> None:
        """Publish to *topic*."""
        self._log = log
        self._topic = topic
        self._encode = encode
        self._clock = clock

    def of(self, provider: str) -> smpp.Receipts:
        """Return what takes the receipts of *provider*; it returns once the event is safe, and else raises."""

        async def take(receipt: smpp.Receipt) -> None:
            event = self._event(provider, receipt)
            await self._log.publish(self._topic, record_key(event), self._encode(event))
            RECEIPTS.labels(provider, event.state).inc()

        return take

    def _event(self, provider: str, receipt: smpp.Receipt) -> Event:
        known = receipt.id_keys[0]
        return Event(
            event_id=event_id(KIND, provider, known, receipt.state, receipt.done_at or "", receipt.error or ""),
            provider=provider,
            provider_message_id=receipt.provider_message_id,
            id_keys=receipt.id_keys,
            message_id=None,
            state=str(receipt.state),
            provider_code=receipt.error,
            done_at=receipt.done_at,
            received_at_ms=self._clock.now_ms(),
        )


def record_key(receipt: Event) -> bytes:
    """Return the key of a receipt's record: all receipts of a message are in one partition, in their order."""
    told = receipt.id_keys[0] if receipt.id_keys else receipt.message_id or receipt.event_id
    return f"{receipt.provider}/{told}".encode()
