"""Reads the topics of a processor, running or not, into facts; joins no group and commits nothing."""

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Final

from confluent_kafka import IsolationLevel, Message, TopicPartition
from confluent_kafka.admin import AdminClient, OffsetSpec

from processor.cli.audit.secrets import Secrets
from processor.cli.audit.store import Store
from processor.cli.scan import Scan
from processor.codec.assembly import Codecs
from processor.codec.errors import TooLarge, Unreadable
from processor.codec.facts import FACTS_HEADER, decode_facts
from processor.core.audit.facts import Lies, Told, Waiting, asked, place_of, told
from processor.core.events import Control, DeadLetter, Receipt
from processor.core.message import Head, Origin
from processor.kafka.committed import Committed, Place
from processor.kafka.connection import Connection
from processor.kafka.journal import JournalUnreadable, decode
from processor.kafka.offsets import Offsets, group_of
from processor.kafka.topics import MARKER_KEY, Names
from processor.stages.publish import public_id
from processor.stages.record import record_of

TIMEOUT_S: Final = 30.0
SKEW_MS: Final = 86_400_000
"""Producers' clocks set the timestamps of records: events are read from this long before the records."""


@dataclass(frozen=True, slots=True)
class Bounds:
    """The first offset of each partition, and the one behind its last committed record."""

    starts: Mapping[Place, int]
    ends: Mapping[Place, int]


class Reading:
    """
    One look at the topics; the order in which it looks makes it right beside a processor that runs.

    First how far the inbound topics go, then what every group has committed, then what waits behind that, to its end,
    then the events, to theirs. A message is moved or ended by one transaction, so whatever it did in between, a record
    of it lies behind an offset that was committed before, or its result lies before an end that is read later. Then
    what providers noted, which is there for each of these results; then events again, for the doubts that belong to
    these calls; then what was asked meanwhile, so that none of it is strange.
    """

    def __init__(
        self,
        connection: Connection,
        names: Names,
        counts: Mapping[str, int],
        codecs: Codecs,
        store: Store,
        secrets: Secrets,
    ) -> None:
        """Read the topics of *counts*, by their number of partitions, into *store*."""
        self.waiting: dict[str, int] = {}  # records, by topic
        self.unreadable = 0  # events
        self._connection, self._names, self._counts = connection, names, counts
        self._codecs, self._store, self._secrets = codecs, store, secrets
        self._admin = AdminClient(connection.common())
        self._committed: Mapping[Place, Committed | None] = {}

    def inbound(self, since_ms: int | None, *, noted: bool) -> Bounds:
        """Read what was asked; with *noted*, also where each record lies. Returns what was read."""
        bounds = self.bounds(self._places(self._names.outbound, self._names.express), since_ms)
        self._commits()
        self._ask(bounds, noted=noted, known=True)
        return bounds

    def inbound_since(self, read: Bounds, *, noted: bool) -> Bounds:
        """Read what was asked meanwhile, so that nobody's results are strange; when it must end is not known."""
        bounds = Bounds(read.ends, self.bounds(list(read.ends)).ends)
        self._ask(bounds, noted=noted, known=False)
        return bounds

    def behind(self) -> None:
        """Read what waits in delay tiers and send topics, of the offsets that `inbound` has asked for."""
        mine = [place for place in self._committed if place[0] in self._counts and self._is_ours(place[0])]
        starts = {place: self._mark(place) for place in mine}
        finished = {place: self._finished(place) for place in mine}
        for message in self._scan(starts):
            record = record_of(message, FACTS_HEADER)
            self._look_at_envelope(message)
            if record.key == MARKER_KEY or record.offset in finished[record.place]:
                continue
            self._count(record.place[0])
            try:
                origin = decode_facts(record.header).origin
            except Unreadable:
                continue  # none of ours: its stage dead-letters it
            head = self._head(record.value)
            about = place_of(*origin) if head is None else public_id(head.message_id)
            self._store.add(about, Waiting(record.place[0], *origin))

    def look_again(self) -> None:
        """Ask anew what is committed, and read what waits behind that."""
        self._store.forget(Waiting)
        for topic in [topic for topic in self.waiting if self._is_ours(topic)]:
            del self.waiting[topic]
        self._commits()
        self.behind()

    def events(self, starts: Mapping[Place, int], *, later: bool = False) -> dict[Place, int]:
        """Read events from *starts* to their ends; returns where these are. *later*: other ledgers were read before."""
        ends = dict(starts)
        for message in self._scan(starts):
            place = (message.topic() or "", message.partition() or 0)
            ends[place] = (message.offset() or 0) + 1
            self._look_at_envelope(message)
            try:
                event = self._codecs.events.decode_event(message.value())
            except Unreadable:
                self.unreadable += 1
                continue
            if not isinstance(event, Receipt | Control):
                self._take(message, event, later=later)
        return ends

    def _take(self, message: Message, event: Told, *, later: bool) -> None:
        raw, about = message.value() or b"", event.message_id
        if isinstance(event, DeadLetter):
            about = self._about(event)
            if event.value:
                raw = raw.replace(event.value, b"")  # that is somebody's message, and may be there
        self._secrets.look(_where(message, "value"), raw)
        self._store.add(about or "", told(event, message.timestamp()[1], later=later))

    def others(self, *topics: str, take: Callable[[Message], object]) -> None:
        """Read topics that say nothing of results, for their keys and headers, and for *take*."""
        for message in self._scan(self.starts(*topics)):
            self._look_at_envelope(message)
            take(message)

    def bounds(self, places: list[Place], since_ms: int | None = None) -> Bounds:
        """Return the offsets of *places*: their first, or that of an instant, and their ends."""
        starts, ends = self._offsets(places, OffsetSpec.earliest()), self._offsets(places, OffsetSpec.latest())
        if since_ms is not None:
            at = self._offsets(places, OffsetSpec.for_timestamp(max(0, since_ms)))
            starts = {place: offset if offset >= 0 else ends[place] for place, offset in at.items()}
        return Bounds(starts, ends)

    def tops(self, places: Iterable[Place]) -> Mapping[Place, int]:
        """Return the offsets behind the last records of *places*, committed or not."""
        return self._offsets(list(places), OffsetSpec.latest(), IsolationLevel.READ_UNCOMMITTED)

    def starts(self, *topics: str, since_ms: int | None = None) -> dict[Place, int]:
        """Return where to begin in the partitions of *topics*."""
        return dict(self.bounds(self._places(*topics), since_ms).starts)

    def look_at_commits(self) -> None:
        """Look for secrets in the metadata of what groups have committed."""
        for (topic, partition), commit in self._committed.items():
            if commit is not None:
                self._secrets.look_in_metadata(f"the commit of {topic}/{partition}", commit.metadata)

    def _ask(self, bounds: Bounds, *, noted: bool, known: bool) -> None:
        for message in self._scan(bounds.starts, bounds.ends):
            origin = Origin(message.topic() or "", message.partition() or 0, message.offset() or 0)
            head = self._head(message.value())
            about = place_of(*origin) if head is None else public_id(head.message_id)
            commit = self._committed.get(origin[:2])
            waits = not known or commit is None or origin.offset >= commit.offset
            if known and waits:
                self._count(origin.topic)
            # Python's own hash: only records of this run are compared.
            self._store.add(about, asked(origin, message.timestamp()[1], hash(message.value()), head, waits=waits))
            if noted:
                self._store.add(place_of(*origin), Lies(None if head is None else about))

    def _commits(self) -> None:
        places = self._places(*(topic for topic in self._counts if group_of(topic, self._names) is not None))
        self._committed = Offsets(self._connection, self._names).committed(places)

    def _about(self, letter: DeadLetter) -> str:
        """Return the message of a dead letter; that of one without an id is the one that its value says."""
        if letter.message_id is not None:
            return letter.message_id
        head = None if letter.truncated else self._head(letter.value)
        return place_of(*letter.origin) if head is None else public_id(head.message_id)

    def _head(self, value: bytes | None) -> Head | None:
        try:
            return self._codecs.outbound.decode_head(value)
        except (Unreadable, TooLarge):
            return None

    def _scan(self, starts: Mapping[Place, int], ends: Mapping[Place, int] | None = None) -> Iterator[Message]:
        """Yield the committed records from *starts* to *ends*, or to the present ends."""
        left = {place: start for place, start in starts.items() if ends is None or start < ends[place]}
        if left:
            with Scan(self._connection, left, ends=ends) as scan:
                yield from scan.records()

    def _places(self, *topics: str) -> list[Place]:
        return [(topic, each) for topic in topics for each in range(self._counts.get(topic, 0))]

    def _offsets(
        self, places: list[Place], spec: OffsetSpec, level: IsolationLevel = IsolationLevel.READ_COMMITTED
    ) -> dict[Place, int]:
        """Ask for offsets; what lies behind an open transaction is read by nobody yet, by no scan of ours either."""
        asked_of = {TopicPartition(*place): spec for place in places}
        if not asked_of:
            return {}
        answers = self._admin.list_offsets(asked_of, isolation_level=level, request_timeout=TIMEOUT_S)
        return {(part.topic, part.partition): int(future.result().offset) for part, future in answers.items()}

    def _is_ours(self, topic: str) -> bool:
        return topic.startswith((f"{self._names.prefix}.delay.", f"{self._names.prefix}.send."))

    def _mark(self, place: Place) -> int:
        commit = self._committed[place]
        return 0 if commit is None else commit.offset

    def _finished(self, place: Place) -> frozenset[int]:
        """Return what is finished above the mark; nothing where the journal cannot be read, for it is held then."""
        commit = self._committed[place]
        if commit is None or commit.fresh or not place[0].startswith(f"{self._names.prefix}.send."):
            return frozenset()
        try:
            return decode(commit.offset, commit.metadata).finished
        except JournalUnreadable:
            return frozenset()

    def _count(self, topic: str) -> None:
        self.waiting[topic] = self.waiting.get(topic, 0) + 1

    def _look_at_envelope(self, message: Message) -> None:
        self._secrets.look(_where(message, "key"), message.key())
        for header in message.headers() or ():
            for part in header:
                self._secrets.look(_where(message, "header"), part.encode() if isinstance(part, str) else part)


def _where(message: Message, part: str) -> str:
    return f"{part} of {place_of(message.topic() or '', message.partition() or 0, message.offset() or 0)}"
