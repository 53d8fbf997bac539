"""Intake: judge what producers ask for, once for each message id."""

from collections.abc import Iterable, Sequence
from typing import Final

from processor.codec.errors import Fault, RegistryUnavailable, TooLarge, Unreadable
from processor.core.lanes import claims_more
from processor.core.message import Facts, Head
from processor.core.refusal import MESSAGE_ID
from processor.core.retry import inherit
from processor.core.seen import mark_of
from processor.core.verdict import End
from processor.core.words import Reason, Status
from processor.kafka.committed import Place
from processor.kafka.partitioner import hash_of
from processor.kafka.topics import OVERHEAD_BYTES
from processor.kafka.transactions import Output
from processor.logs import logger
from processor.metrics import DUPLICATES, MISPLACED, PRIORITY_CLAIMS_IGNORED
from processor.stages.boundary import Undecided
from processor.stages.duplicates import Duplicates, Owned
from processor.stages.judging import Judging
from processor.stages.publish import Ended, first_facts
from processor.stages.record import Record
from processor.stages.trial import Trial

log = logger()

_TOLD_EVERY_S: Final = 60.0
_HEADER_BYTES: Final = 16  # what a header costs at most beside its name and value


class Intake:
    """Judges what producers ask for; our own headers do not count there, whoever wrote them."""

    header: str | None = None

    def __init__(self, loop: str, judging: Judging, trial: Trial, duplicates: Duplicates | None) -> None:
        """
        Try the records of a partition on which a process died in *trial* first.

        Without *duplicates* every record is judged, wherever it lies.
        """
        self._loop = loop
        self._judging = judging
        self._trial = trial
        self._duplicates = duplicates
        self._owned: Owned | None = None  # the partition whose records are being decided
        self._confirmed = False  # in this tick: the topic has as many partitions as we think
        self._now_s = 0
        self._misplaced = 0
        self._told_at_s = -_TOLD_EVERY_S

    def wait_ms(self, topic: str) -> int | None:
        """Judge at once."""
        return None

    def next_tick(self) -> None:
        """Turn to other partitions, and ask again how many a topic has before a record is passed on."""
        self._judging.routes.next_tick()
        self._confirmed = False

    def beside(self, place: Place) -> Iterable[Output]:
        """Return the ids that this tick has admitted to *place*."""
        return () if self._duplicates is None else self._duplicates.written(place, self._now_s)

    def decide(self, records: Sequence[Record], *, suspect: bool) -> list[list[Output]]:
        """Return the outputs of each record, in order; fewer while the registry is away, or ids have to be read."""
        judging = self._judging
        owned = None if self._duplicates is None else self._duplicates.of(records[0].place)
        if owned is None and self._duplicates is not None:
            return []
        judging.begin(records)
        self._owned, self._now_s = owned, judging.now_ms // 1_000
        deadly = self._trial.deadly([record.value for record in records]) if suspect else frozenset()
        decided: list[list[Output]] = []
        for index, record in enumerate(records):
            try:
                if index in deadly:
                    decided.append(self._quarantined(record))
                else:
                    decided.append(judging.boundary.run(self._one, record, judging.defective))
            except RegistryUnavailable:
                log.warning("registry.unavailable", stage=judging.stage)
                break
            except Undecided:
                break
        judging.end()
        return decided

    def _one(self, record: Record) -> list[Output]:
        judging, owned = self._judging, self._owned
        try:
            head = judging.codec.decode_head(record.value)
            # An id that is none is in no set, and is refused where it lies.
            if owned is None or MESSAGE_ID.fullmatch(head.message_id) is None:
                self._note_claim(head)
                return judging.outputs(record, head, inherit(head, first_facts(record, judging.now_ms)))
            message_id = head.message_id.encode()
            hashed = hash_of(message_id)
            if (home := owned.home_of(hashed)) != record.place[1]:
                return self._moved(record, owned, home)
        except Unreadable as error:
            return judging.unreadable(record, first_facts(record, judging.now_ms), error)
        except TooLarge:
            return judging.dead(record, Reason.TOO_LARGE)
        return self._at_home(record, head, owned, mark_of(message_id, record.value or b""), hashed)

    # -- once for each id -------------------------------------------------------------------------

    def _at_home(self, record: Record, head: Head, owned: Owned, mark: bytes, hashed: int) -> list[Output]:
        judging = self._judging
        facts = first_facts(record, judging.now_ms)
        first = owned.known.seen.content_of(mark, self._now_s)
        if first is not None:
            return self._again(record, head, facts, same=mark.endswith(first))
        self._note_claim(head)
        facts = inherit(head, facts)
        verdict = judging.verdict(head, facts)
        outputs = judging.carried_out(verdict, record, head, facts)
        # Its producer may mend what we refuse outright, and ask again with the same id.
        if not (isinstance(verdict, End) and verdict.status is Status.REJECTED):
            owned.admit(mark, hashed, self._now_s)
        return outputs

    def _again(self, record: Record, head: Head, facts: Facts, *, same: bool) -> list[Output]:
        """Return the result of a record whose id was seen before: its own, and not that of the message."""
        ended = (
            Ended(Status.DUPLICATE, Reason.SAME_CONTENT, 0) if same else Ended(Status.REJECTED, Reason.OTHER_CONTENT, 0)
        )
        DUPLICATES.labels(self._loop, ended.reason).inc()
        return self._judging.publisher.ended(head, facts, record.value, ended)

    # -- where it belongs -------------------------------------------------------------------------

    def _moved(self, record: Record, owned: Owned, home: int) -> list[Output]:
        """
        Return a record as it came, for the partition where it belongs; it is admitted only there.

        Kafka is asked first how many partitions there are now. Two loops that counted differently could pass a record
        to and fro.
        """
        if self._duplicates is not None and not self._confirmed:
            self._confirmed = self._duplicates.counts_still(owned)
            if not self._confirmed:
                raise Undecided
        headers = _headers(record)
        beside = len(record.key or b"") + sum(len(name) + len(value or b"") + _HEADER_BYTES for name, value in headers)
        if beside > OVERHEAD_BYTES:  # compressed it was small enough for the topic; as it is, it may not be
            raise TooLarge(beside, OVERHEAD_BYTES)
        MISPLACED.labels(self._loop).inc()
        self._tell(record)
        return [Output(record.place[0], record.value, record.key, headers, home, max(0, record.timestamp_ms))]

    def _tell(self, record: Record) -> None:
        """Say once a minute that a producer chooses other partitions than we look in."""
        self._misplaced += 1
        now_s = self._judging.clock.monotonic_s()
        if now_s - self._told_at_s >= _TOLD_EVERY_S:
            log.warning("record.misplaced", loop=self._loop, at=record.at, count=self._misplaced)
            self._told_at_s, self._misplaced = now_s, 0

    # -- the rest ---------------------------------------------------------------------------------

    def _quarantined(self, record: Record) -> list[Output]:
        log.error("record.quarantined", stage=self._judging.stage, at=record.at)
        return self._judging.dead(record, Reason.QUARANTINED)

    def _note_claim(self, head: Head) -> None:
        channel = self._judging.plan.channels.get(head.channel)
        if channel is not None and claims_more(head.priority, channel, self._judging.plan.lanes):
            PRIORITY_CLAIMS_IGNORED.labels(channel.code).inc()


def _headers(record: Record) -> list[tuple[str, str | bytes | None]]:
    """Return the headers of a record as its producer wrote them; raises `Unreadable` for names that are no text."""
    try:
        headers = None if record.message is None else record.message.headers()
    except (UnicodeDecodeError, SystemError):  # the client finds out while it makes the list
        raise Unreadable(Fault.TEXT, "headers") from None
    return list(headers.items() if isinstance(headers, dict) else headers or ())
