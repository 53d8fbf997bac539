"""The events of one message."""

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final

from processor.cli.events import Event, when_ms
from processor.cli.scan import BEGINNING, Scan
from processor.cli.tail import decoded
from processor.codec.events import EventCodec
from processor.core.events import Control, DeadLetter, DeliveryEvent, EngagementEvent, Receipt, RetryEvent
from processor.core.status import REPEATED, status_of
from processor.core.words import Reason, Status
from processor.kafka.admin import Topics
from processor.kafka.committed import Place
from processor.kafka.connection import Connection
from processor.kafka.partitioner import partition_of
from processor.kafka.topics import Names

ORDER: Final = (RetryEvent, DeliveryEvent, EngagementEvent, DeadLetter, Receipt, Control)
"""Of events of one instant: the attempt, the result, the copy."""


@dataclass(frozen=True, slots=True)
class History:
    """The events of a message in the order of time; *whole*: nothing was left unread."""

    events: tuple[Event, ...]
    whole: bool

    @property
    def status(self) -> Status | None:
        """Return what the message has come to; None where nothing has happened to it yet, whoever asked again."""
        return status_of(each for each in self._delivery() if each.reason not in REPEATED)

    @property
    def repeats(self) -> Counter[Reason]:
        """Return how often the message was asked for again, with the same content and with other content."""
        return Counter(each.reason for each in self._delivery() if each.reason in REPEATED)

    def _delivery(self) -> Iterator[DeliveryEvent]:
        return (each for each in self.events if isinstance(each, DeliveryEvent))


def read_history(
    connection: Connection, topics: Topics, names: Names, codec: EventCodec, message_id: str, *, within_s: float
) -> History:
    """
    Return the events of *message_id*.

    The partitions of its key come first. Others are only read where those hold no result: partitions may have been
    added since.
    """
    counts = topics.partitions([names.delivery, names.retry, names.engagement, names.dead_letter])
    keyed = {(topic, partition_of(message_id.encode(), count)) for topic, count in counts.items()}
    rest = {(topic, each) for topic, count in counts.items() for each in range(count)} - keyed
    found = _read(connection, sorted(keyed), codec, message_id, within_s)
    if found.status is None and rest:
        more = _read(connection, sorted(rest), codec, message_id, within_s)
        found = History(_sorted((*found.events, *more.events)), found.whole and more.whole)
    return found


def _read(
    connection: Connection, places: Sequence[Place], codec: EventCodec, message_id: str, within_s: float
) -> History:
    key = message_id.encode()
    with Scan(connection, dict.fromkeys(places, BEGINNING)) as scan:
        ours = (message for message in scan.records(within_s=within_s) if message.key() == key)
        return History(_sorted(tuple(decoded(codec, ours))), scan.whole)


def _sorted(events: tuple[Event, ...]) -> tuple[Event, ...]:
    return tuple(sorted(events, key=lambda event: (when_ms(event), ORDER.index(type(event)))))
