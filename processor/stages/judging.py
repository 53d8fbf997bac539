"""What intake and delay share, and delay: judge a message, and move it on or end it."""

from collections.abc import Sequence
from typing import assert_never

from processor.codec.errors import RegistryUnavailable, TooLarge, Unreadable
from processor.codec.facts import FACTS_HEADER, decode_facts
from processor.codec.outbound import OutboundCodec
from processor.core.clock import Clock, Zones
from processor.core.judge import judge
from processor.core.message import Facts, Head, Origin
from processor.core.plan import Plan
from processor.core.verdict import Dispatch, End, Verdict, Wait
from processor.core.words import Reason
from processor.kafka.topics import Names
from processor.kafka.transactions import Output
from processor.logs import logger
from processor.metrics import (
    DISPATCH_VERDICT,
    NO_REASON,
    RECORDS_READ,
    VERDICTS,
    WAIT_VERDICT,
)
from processor.stages.boundary import Boundary
from processor.stages.publish import Publisher, due, first_facts, uncalled
from processor.stages.record import Record
from processor.stages.routes import Routes

log = logger()


class Judging:
    """What intake and delay share: a head and facts become a verdict, a verdict becomes outputs."""

    def __init__(
        self,
        stage: str,
        *,
        plan: Plan,
        codec: OutboundCodec,
        publisher: Publisher,
        routes: Routes,
        clock: Clock,
        zones: Zones,
        errors_per_minute_max: int,
    ) -> None:
        """Judge by *plan*."""
        self.stage = stage
        self.plan = plan
        self.codec = codec
        self.publisher = publisher
        self.routes = routes
        self.clock = clock
        self.zones = zones
        self.boundary = Boundary(stage, clock, errors_per_minute_max)

    def outputs(self, record: Record, head: Head, facts: Facts) -> list[Output]:
        """Return what the verdict of this instant asks for."""
        return self.carried_out(self.verdict(head, facts), record, head, facts)

    def verdict(self, head: Head, facts: Facts) -> Verdict:
        """Return the verdict of this instant."""
        verdict = judge(head, facts, self.plan, now_ms=self.clock.now_ms(), zones=self.zones)
        self._count(verdict)
        return verdict

    def carried_out(self, verdict: Verdict, record: Record, head: Head, facts: Facts) -> list[Output]:
        """Return what *verdict* asks for."""
        match verdict:
            case Dispatch():
                return [self._onward(record, head, facts, verdict)]
            case Wait():
                return [self._onward(record, head, due(facts, verdict.until_ms), verdict)]
            case End():
                return self.publisher.ended(head, facts, record.value, uncalled(verdict, facts))
            case _:
                assert_never(verdict)

    def unreadable(self, record: Record, facts: Facts, error: Unreadable) -> list[Output]:
        """Return the dead letter of a record that nobody can read."""
        log.warning("record.unreadable", stage=self.stage, at=at(record), why=error.fault, field=error.path or None)
        return [self.publisher.dead_letter(facts, record.value, Reason.UNREADABLE, field_name=error.path or None)]

    def internal(self, record: Record, facts: Facts) -> list[Output]:
        """Return the dead letter of a record at which we have a defect."""
        return [self.publisher.dead_letter(facts, record.value, Reason.INTERNAL)]

    def count_read(self, records: Sequence[Record]) -> None:
        """Count what was taken from one partition."""
        if records:
            RECORDS_READ.labels(self.stage, records[0].place[0]).inc(len(records))

    def _onward(self, record: Record, head: Head, facts: Facts, verdict: Dispatch | Wait) -> Output:
        return self.routes.onward(record.value, head.message_id.encode(), facts, verdict.provider, verdict.lane)

    def _count(self, verdict: Verdict) -> None:
        match verdict:
            case Dispatch():
                labels = (DISPATCH_VERDICT, NO_REASON)
            case Wait():
                labels = (WAIT_VERDICT, str(verdict.reason))
            case End():
                labels = (verdict.status.lower(), str(verdict.reason))
            case _:
                assert_never(verdict)
        VERDICTS.labels(self.stage, *labels).inc()


class Delay:
    """Judges again what comes out of a delay tier."""

    header: str | None = FACTS_HEADER

    def __init__(self, judging: Judging, names: Names) -> None:
        """Read the tiers of *names*."""
        self._judging = judging
        self._names = names

    def wait_ms(self, topic: str) -> int | None:
        """Return the constant wait of a tier."""
        return self._names.delay_wait_ms(topic)

    def decide(self, records: Sequence[Record], *, suspect: bool) -> list[list[Output]]:
        """Return the outputs of each record, in order; fewer while the registry is away."""
        self._judging.count_read(records)
        self._judging.routes.next_tick()
        decided: list[list[Output]] = []
        for record in records:
            try:
                decided.append(self._one(record))
            except RegistryUnavailable:
                log.warning("registry.unavailable", stage=self._judging.stage)
                break
        return decided

    def _one(self, record: Record) -> list[Output]:
        judging = self._judging
        here = first_facts(
            Origin(record.place[0], record.place[1], record.offset),
            produced_at_ms=record.timestamp_ms,
            now_ms=judging.clock.now_ms(),
        )

        def step() -> list[Output]:
            try:
                facts = decode_facts(record.header)
                head = judging.codec.decode_head(record.value)
            except Unreadable as error:
                return judging.unreadable(record, here, error)
            except TooLarge:
                return [judging.publisher.dead_letter(here, record.value, Reason.TOO_LARGE)]
            return judging.outputs(record, head, facts)

        return judging.boundary.run(step, lambda: judging.internal(record, here), at=at(record))


def at(record: Record) -> str:
    """Return the place of a record for a log line."""
    return f"{record.place[0]}/{record.place[1]}@{record.offset}"
