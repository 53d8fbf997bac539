"""What becomes of a record on our own topics that is no event, or at which we failed: its dead letter."""

from collections.abc import Callable

from processor.codec.errors import TooLarge, Unreadable
from processor.core.words import Reason
from processor.kafka.transactions import Output
from processor.stages.publish import Publisher, first_facts
from processor.stages.record import Record


class Burials:
    """Makes dead letters."""

    def __init__(self, publisher: Publisher, now_ms: Callable[[], int]) -> None:
        """Make them at the instants of *now_ms*."""
        self._publisher = publisher
        self._now_ms = now_ms

    def buried(self, record: Record, error: Unreadable | TooLarge | None) -> Output:
        """Return the dead letter of a record; *error* None: a defect of ours."""
        facts = first_facts(record, self._now_ms())
        reason = {Unreadable: Reason.UNREADABLE, TooLarge: Reason.TOO_LARGE}.get(type(error), Reason.INTERNAL)
        return self._publisher.dead_letter(facts, record.value, reason)
