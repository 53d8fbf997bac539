"""A partition of reports of parts: a text is delivered when all its parts are, and bounced with the first that is."""

from collections.abc import Mapping
from typing import Final

from processor.core.events import DeliveryEvent
from processor.core.report import whole
from processor.core.words import Status
from processor.kafka.committed import Place
from processor.stages.joining.messages import hashed, opened
from processor.stages.joining.part import Part
from processor.stages.joining.progress import Progress
from processor.stages.joining.receipts import Reports
from processor.stages.record import Record

_TABLES: Final = """
pragma journal_mode = off;
pragma synchronous = off;
pragma cache_size = -8192;
create table told (message integer, what text, offset integer, at_ms integer,
  primary key (message, what)) without rowid;
begin;
"""


class PartsPart(Part):
    """A partition of the topic of parts; what it publishes follows from the records in it alone."""

    def __init__(self, place: Place, done: Progress, *, patience_ms: int, reports: Reports) -> None:
        """Forget a text *patience_ms* after its parts came."""
        super().__init__(place, done, patience_ms)
        self._reports = reports
        self._tables = opened(_TABLES)

    def receive(self, record: Record) -> None:
        """Add a part up."""
        part = self._reports.decode(record.value)
        if not isinstance(part, DeliveryEvent) or part.provider_message_id not in part.part_ids:
            return
        at_ms = self._come_to(part, record.offset)
        if at_ms is not None and record.offset >= self.done.read_to:
            self.outputs.append(self._reports.published(whole(part, at_ms)))

    def expire(self, now_ms: int, most: int) -> int:
        """Forget old texts; of those whose parts are not all delivered nothing is said."""
        over = self._ages.advance(now_ms)
        if over > self._over:
            self._over = over
            self._tables.execute("delete from told where offset < ?", (over,))
        return 0

    def progress(self, applied: Mapping[int, int]) -> Progress:
        """Return how far it was read: no result of a message is needed here."""
        return super().progress({})

    def close(self) -> None:
        """Delete the file."""
        self._tables.close()

    def _come_to(self, part: DeliveryEvent, offset: int) -> int | None:
        """Return since when the text has the status of *part*, if it has come to it with this part."""
        message = hashed("\n".join((part.message_id, str(part.attempt), *part.part_ids)))
        delivered = part.status is Status.DELIVERED
        what = str(part.part_ids.index(part.provider_message_id or "")) if delivered else str(part.status)
        row = (message, what, offset, part.occurred_at_ms)
        if self._tables.execute("insert or ignore into told values (?, ?, ?, ?)", row).rowcount == 0:
            return None
        if not delivered:
            return part.occurred_at_ms
        count, at_ms = self._tables.execute(
            "select count(*), max(at_ms) from told where message = ? and what between '0' and '999'", (message,)
        ).fetchone()
        return int(at_ms) if count == len(set(part.part_ids)) else None
