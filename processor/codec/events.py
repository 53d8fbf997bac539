"""Events and dead letters to Avro bytes, and back for those who read them (`tail`, `show`, tests)."""

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, Final

from processor.codec.contracts import latest
from processor.codec.errors import Fault, RefusedSchema, Unreadable
from processor.codec.flat import writer
from processor.codec.framing import prefix_of
from processor.codec.read import Read
from processor.codec.resolve import Resolver
from processor.codec.schema import Record
from processor.codec.writers import Readers
from processor.core.events import Control, DeadLetter, DeliveryEvent, EngagementEvent, Receipt, RetryEvent
from processor.core.message import Origin
from processor.core.words import Lane, Reason, Status

if TYPE_CHECKING:
    from processor.codec.registry import Registry

Event = DeliveryEvent | RetryEvent | EngagementEvent | DeadLetter | Receipt | Control
"""Their fields are in the order of their schemas."""

ORIGIN: Final = DeadLetter._fields.index("origin")  # three fields of the schema


class EventCodec:
    """Writes each event with the framing bytes of its contract in *prefixes*; reads both framings."""

    def __init__(self, *, prefixes: Mapping[str, bytes], registry: "Registry | None" = None) -> None:
        self._readers = Readers(_compiled, registry)
        self._delivery = writer(latest("DeliveryEvent"), prefixes["DeliveryEvent"])
        self._retry = writer(latest("RetryEvent"), prefixes["RetryEvent"])
        self._receipt = writer(latest("Receipt"), prefixes["Receipt"])
        self._engagement = writer(latest("EngagementEvent"), prefixes["EngagementEvent"])
        self._control = writer(latest("Control"), prefixes["Control"])
        self._dead_letter = writer(latest("DeadLetter"), prefixes["DeadLetter"])

    def encode_delivery(self, event: DeliveryEvent) -> bytes:
        """Return the framed record."""
        return self._delivery(event)

    def encode_retry(self, event: RetryEvent) -> bytes:
        """Return the framed record."""
        return self._retry(event)

    def encode_receipt(self, receipt: Receipt) -> bytes:
        """Return the framed record."""
        return self._receipt(receipt)

    def encode_engagement(self, event: EngagementEvent) -> bytes:
        """Return the framed record."""
        return self._engagement(event)

    def encode_control(self, control: Control) -> bytes:
        """Return the framed record."""
        return self._control(control)

    def encode_dead_letter(self, letter: DeadLetter) -> bytes:
        """Return the framed record."""
        return self._dead_letter((*letter[:ORIGIN], *letter.origin, *letter[ORIGIN + 1 :]))

    def decode_event(self, value: bytes | None) -> Event:
        """
        Return the event; its schema says which of them it is.

        Raises `Unreadable`, also for a status or reason of a newer release, and `RegistryUnavailable`.
        """
        prefix = prefix_of(value)
        read = self._readers.of(prefix)
        raw = value or b""
        try:
            event, end = read(raw, len(prefix))
        except ValueError:  # what StrEnum raises for a word that is not in its list
            raise Unreadable(Fault.VALUE) from None
        if end != len(raw):
            raise Unreadable(Fault.TRAILING)
        return event  # type: ignore[no-any-return] # what the shape of the record makes


def _delivery(*values: Any) -> DeliveryEvent:
    fields = list(values)
    fields[8] = fields[8] and Lane(fields[8])
    fields[9] = Status(fields[9])
    fields[11] = Reason(fields[11])
    return DeliveryEvent(*fields)


def _retry(*values: Any) -> RetryEvent:
    fields = list(values)
    fields[9:11] = Lane(fields[9]), Reason(fields[10])
    return RetryEvent(*fields)


def _dead_letter(*values: Any) -> DeadLetter:
    fields = list(values)
    fields[ORIGIN : ORIGIN + 3] = [Origin(*fields[ORIGIN : ORIGIN + 3])]
    fields[3] = Reason(fields[3])
    return DeadLetter(*fields)


SHAPES: Final[Mapping[str, tuple[str, Callable[..., Event]]]] = {
    "comm.DeliveryEvent": ("DeliveryEvent", _delivery),
    "comm.RetryEvent": ("RetryEvent", _retry),
    "comm.EngagementEvent": ("EngagementEvent", EngagementEvent),
    "comm.Receipt": ("Receipt", Receipt),
    "comm.Control": ("Control", Control),
    "comm.DeadLetter": ("DeadLetter", _dead_letter),
}


def _compiled(record: Record) -> Read:
    if record.name not in SHAPES:
        raise RefusedSchema("no event")
    name, shape = SHAPES[record.name]
    return Resolver({record.name: shape}).record(record, latest(name).record)
