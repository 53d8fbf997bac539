"""What a dispatch loop does with the records that it reads: keep them, skip them, or settle their doubt."""

from collections import Counter
from collections.abc import Iterable
from typing import Final

from confluent_kafka import Message

from processor.codec.errors import RegistryUnavailable, Unreadable
from processor.codec.facts import FACTS_HEADER, decode_facts
from processor.core.clock import Clock
from processor.core.message import Facts
from processor.kafka.topics import MARKER_KEY
from processor.metrics import RECORDS_READ
from processor.stages.dispatch.calls import Start, Withdrawn
from processor.stages.dispatch.holdings import Holdings
from processor.stages.dispatch.partition import SendPartition
from processor.stages.dispatch.settling import Settling
from processor.stages.publish import first_facts
from processor.stages.record import Record, record_of

_REGISTRY_AGAIN_S: Final = 0.5


class Reading:
    """Takes records into the partitions that *holdings* hold."""

    def __init__(self, holdings: Holdings, settling: Settling, clock: Clock) -> None:
        """Settle doubt with *settling*."""
        self._holdings = holdings
        self._settling = settling
        self._clock = clock
        self._undecided: list[Record] = []  # in doubt, while the registry is away
        self._again_at_s = 0.0

    def take_in(self, messages: Iterable[Message]) -> None:
        """Read each record into its partition, and let what has come due ripen."""
        now_ms = self._clock.now_ms()
        partitions = self._holdings.partitions
        counts: Counter[str] = Counter()
        for message in messages:
            record = record_of(message, FACTS_HEADER)
            part = partitions.get(record.place)
            if part is not None:
                counts[record.place[0]] += 1
                self._read(part, record, now_ms)
        for topic, count in counts.items():
            RECORDS_READ.labels("dispatch", topic).inc(count)
        for part in partitions.values():
            part.ripen(now_ms)

    def decide_undecided(self) -> None:
        """Settle the doubts that had to wait for the registry."""
        if self._undecided and self._clock.monotonic_s() >= self._again_at_s:
            undecided, self._undecided = self._undecided, []
            for record in undecided:
                part = self._holdings.partitions.get(record.place)
                if part is not None:
                    self._meet_again(part, record)

    def forget(self, places: Iterable[tuple[str, int]]) -> None:
        """Forget the doubts of partitions that go: their next owner has them."""
        gone = set(places)
        self._undecided = [record for record in self._undecided if record.place not in gone]

    def _read(self, part: SendPartition, record: Record, now_ms: int) -> None:
        journal, offset = part.journal, record.offset
        journal.read(offset)
        # A start of ours whose call ended between the claim and this record is finished, and may be below the mark.
        if offset < journal.mark or offset in journal.finished:
            return
        if record.key == MARKER_KEY and record.header is None:
            journal.finished.add(offset)
            part.dirty = True
            return
        part.untrimmed = part.untrimmed and offset > 0  # a topic made by hand has no marker to trim
        if offset in journal.started:
            self._meet_again(part, record)
        else:
            self._keep(part, record, now_ms)

    def _keep(self, part: SendPartition, record: Record, now_ms: int) -> None:
        facts = self._facts(record)
        if facts is not None:
            part.add(Start(record, facts, part.provider, part.lane), now_ms)

    def _meet_again(self, part: SendPartition, record: Record) -> None:
        """Settle a start that has no result: ours and under way, just ended or never begun; or in doubt."""
        if self._holdings.adopts(record.place, record.offset):
            return
        unbegun = self._holdings.take_unbegun(record.place, record.offset)
        if unbegun is not None:
            self._holdings.done.append(self._settling.done(Withdrawn(unbegun, None, None)))
            return
        facts = self._facts(record)
        if facts is None:
            return
        try:
            self._holdings.done.append(self._settling.in_doubt(record, facts, part.provider, part.lane))
        except RegistryUnavailable:
            self._undecided.append(record)
            self._again_at_s = self._clock.monotonic_s() + _REGISTRY_AGAIN_S

    def _facts(self, record: Record) -> Facts | None:
        """Return what the header says; a record without ours was put here by somebody else, and is dead-lettered."""
        try:
            return decode_facts(record.header)
        except Unreadable as error:
            here = first_facts(record, self._clock.now_ms())
            self._holdings.done.append(self._settling.unreadable(record, here, error))
            return None
