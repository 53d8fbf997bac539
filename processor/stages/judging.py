"""What intake and delay share, and delay: judge a message, and move it on or end it."""

from collections import Counter
from collections.abc import Iterable, Sequence
from typing import Final, assert_never

from processor.codec.errors import RegistryUnavailable, TooLarge, Unreadable
from processor.codec.facts import FACTS_HEADER, decode_facts
from processor.codec.outbound import OutboundCodec
from processor.core.clock import Clock, Zones
from processor.core.judge import Judge
from processor.core.message import Facts, Head
from processor.core.plan import Plan
from processor.core.verdict import Dispatch, End, Verdict, Wait
from processor.core.words import Reason
from processor.kafka.committed import Place
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
_AT_ONCE: Final = (DISPATCH_VERDICT, NO_REASON)


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
        self.boundary = Boundary(stage, clock, errors_per_minute_max)
        self.now_ms = clock.now_ms()  # when `begin` was called
        self._judge = Judge(plan, zones)
        self._verdicts: Counter[tuple[str, str]] = Counter()  # since then, by their labels

    def begin(self, records: Sequence[Record]) -> None:
        """Begin to decide *records*, all of one partition: at one instant, for reading a clock costs, too."""
        RECORDS_READ.labels(self.stage, records[0].place[0]).inc(len(records))
        self.now_ms = self.clock.now_ms()

    def end(self) -> None:
        """Count what was decided since `begin`."""
        for labels, count in self._verdicts.items():
            VERDICTS.labels(self.stage, *labels).inc(count)
        self._verdicts.clear()

    def outputs(self, record: Record, head: Head, facts: Facts) -> list[Output]:
        """Return what the verdict of this instant asks for."""
        return self.carried_out(self.verdict(head, facts), record, head, facts)

    def verdict(self, head: Head, facts: Facts) -> Verdict:
        """Return the verdict of this instant."""
        verdict = self._judge(head, facts, now_ms=self.now_ms)
        self._verdicts[_AT_ONCE if isinstance(verdict, Dispatch) else _labels(verdict)] += 1
        return verdict

    def carried_out(self, verdict: Verdict, record: Record, head: Head, facts: Facts) -> list[Output]:
        """Return what *verdict* asks for."""
        match verdict:
            case Dispatch():
                key, (provider, lane) = head.message_id.encode(), verdict
                return [self.routes.at_once(record.value, key, record.header, facts, provider, lane)]
            case Wait():
                key, later = head.message_id.encode(), due(facts, verdict.until_ms)
                return [self.routes.onward(record.value, key, later, verdict.provider, verdict.lane)]
            case End():
                return self.publisher.ended(head, facts, record.value, uncalled(verdict, facts))
            case _:
                assert_never(verdict)

    def unreadable(self, record: Record, facts: Facts, error: Unreadable) -> list[Output]:
        """Return the dead letter of a record that nobody can read."""
        log.warning("record.unreadable", stage=self.stage, at=record.at, why=error.fault, field=error.path or None)
        return [self.publisher.dead_letter(facts, record.value, Reason.UNREADABLE, field_name=error.path or None)]

    def dead(self, record: Record, reason: Reason) -> list[Output]:
        """Return the dead letter of a record that has no facts of ours yet."""
        return [self.publisher.dead_letter(first_facts(record, self.now_ms), record.value, reason)]

    def defective(self, record: Record) -> list[Output]:
        """Return the dead letter of a record at which we have a defect."""
        return self.dead(record, Reason.INTERNAL)


def _labels(verdict: Wait | End) -> tuple[str, str]:
    return (
        (WAIT_VERDICT, str(verdict.reason))
        if isinstance(verdict, Wait)
        else (verdict.status.lower(), str(verdict.reason))
    )


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

    def next_tick(self) -> None:
        """Turn to other partitions."""
        self._judging.routes.next_tick()

    def beside(self, place: Place) -> Iterable[Output]:
        """Write nothing else."""
        return ()

    def decide(self, records: Sequence[Record], *, suspect: bool) -> list[list[Output]]:
        """Return the outputs of each record, in order; fewer while the registry is away."""
        judging = self._judging
        judging.begin(records)
        decided: list[list[Output]] = []
        for record in records:
            try:
                decided.append(judging.boundary.run(self._one, record, judging.defective))
            except RegistryUnavailable:
                log.warning("registry.unavailable", stage=judging.stage)
                break
        judging.end()
        return decided

    def _one(self, record: Record) -> list[Output]:
        judging = self._judging
        try:
            facts = decode_facts(record.header)
            head = judging.codec.decode_head(record.value)
        except Unreadable as error:
            return judging.unreadable(record, first_facts(record, judging.now_ms), error)
        except TooLarge:
            return judging.dead(record, Reason.TOO_LARGE)
        return judging.outputs(record, head, facts)
