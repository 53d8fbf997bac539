"""Turns the results of calls into outputs, once: an aborted tick publishes the same ones again."""

import random
from dataclasses import replace
from typing import NamedTuple, assert_never

from processor.codec.errors import RegistryUnavailable, TooLarge, Unreadable
from processor.codec.outbound import OutboundCodec
from processor.core.clock import Clock, Zones
from processor.core.judge import over, turn_to
from processor.core.message import Facts, Head
from processor.core.outcome import Accepted, Deferred, Outcome, Partly, Rejected, Stage, Throttled, Unknown
from processor.core.plan import Plan
from processor.core.settle import after, settle, settle_in_doubt
from processor.core.verdict import Again, End, Over, Sent, Settlement, Wait
from processor.core.words import InDoubt, Lane, Reason, Status
from processor.kafka.committed import Place
from processor.kafka.transactions import Output
from processor.logs import logger
from processor.metrics import (
    ATTEMPTS,
    CALL,
    FAILOVERS,
    IN_DOUBT,
    LATENESS,
    PRODUCE_TO_CALL,
    RETRIES,
    THROTTLES,
    WITHDRAWN,
)
from processor.stages.dispatch.calls import Answered, Refused, Result, Start, Withdrawn
from processor.stages.publish import Ended, Publisher, due, uncalled
from processor.stages.record import Record
from processor.stages.routes import Routes

log = logger()


class Done(NamedTuple):
    """What settles one offset: its outputs are published in the tick that commits it as finished."""

    place: Place
    offset: int
    outputs: list[Output]
    provider: str | None = None  # whose slot it frees

    @property
    def is_of_start(self) -> bool:
        """Tell whether it settles a start of this process, and no doubt, move or letter of what it has not started."""
        return self.provider is not None


class Settling:
    """Settles results of one dispatch loop."""

    def __init__(
        self,
        *,
        plan: Plan,
        codec: OutboundCodec,
        publisher: Publisher,
        routes: Routes,
        clock: Clock,
        zones: Zones,
        chance: random.Random,
    ) -> None:
        """Draw the jitter of back-offs from *chance*."""
        self._plan = plan
        self._codec = codec
        self._publisher = publisher
        self._routes = routes
        self._clock = clock
        self._zones = zones
        self._chance = chance

    def done(self, result: Result) -> Done:
        """Return what settles a result."""
        start = result.start
        place, offset = start.record.place, start.record.offset
        match result:
            case Answered():
                return Done(place, offset, self._answered(result), start.provider)
            case Withdrawn():
                WITHDRAWN.labels(start.provider, start.lane).inc()
                return Done(place, offset, self._withdrawn(result), start.provider)
            case Refused():
                return Done(place, offset, self._refused(result), start.provider)
            case _:
                assert_never(result)

    def in_doubt(self, record: Record, facts: Facts, provider: str, lane: Lane) -> Done:
        """Return what settles an attempt that a dead owner had started; raises `RegistryUnavailable`."""
        start = Start(record, facts, provider, lane)
        try:
            head = self._codec.decode_head(record.value)
        except (Unreadable, TooLarge) as error:
            known = error if isinstance(error, Unreadable) else None
            return Done(record.place, record.offset, self._refused(Refused(start, None, Reason.UNREADABLE, known)))
        settled = settle_in_doubt(
            head, facts, self._plan, now_ms=self._clock.now_ms(), jitter=self._chance.random(), zones=self._zones
        )
        policy = InDoubt.RESEND if isinstance(settled, Again) else InDoubt.REPORT
        IN_DOUBT.labels(head.channel, policy).inc()
        log.warning("attempt.in_doubt", at=record.at, provider=provider, channel=head.channel, policy=policy)
        return Done(record.place, record.offset, self._settled(start, head, settled, in_doubt=True))

    def moved(self, start: Start) -> Done | None:
        """Return what moves a message from a provider that is not called now to the next; None where it has none."""
        try:
            head = self._codec.decode_head(start.record.value)
        except (Unreadable, TooLarge, RegistryUnavailable):
            return None  # the call that is to come will tell
        provider = turn_to(head, start.facts, self._plan, start.provider)
        if provider is None:
            return None
        FAILOVERS.labels(start.provider, provider).inc()
        facts = start.facts._replace(tried=(*start.facts.tried, start.provider))
        return Done(start.record.place, start.record.offset, [self._onward(start, facts, provider)])

    def unreadable(self, record: Record, facts: Facts, error: Unreadable) -> Done:
        """Return what settles a record of a send topic that is none of ours."""
        log.warning("record.unreadable", stage="dispatch", at=record.at, why=error.fault, field=error.path or None)
        letter = self._publisher.dead_letter(facts, record.value, Reason.UNREADABLE, field_name=error.path or None)
        return Done(record.place, record.offset, [letter])

    def _answered(self, result: Answered) -> list[Output]:
        start, outcome = result.start, result.outcome
        if isinstance(outcome, Rejected) and outcome.stage is Stage.CONNECT:
            # The adapter refused the content before it called anyone: no attempt was made.
            end = over(End(Status.REJECTED, outcome.reason, outcome.field_name), start.facts)
            return self._ended(start, result.head, uncalled(end, start.facts))
        self._measure(result)
        settled = settle(
            outcome,
            result.head,
            start.facts,
            self._plan,
            now_ms=self._clock.now_ms(),
            jitter=self._chance.random(),
            zones=self._zones,
        )
        if result.missing:
            settled = _without(settled, result.missing)
        return self._settled(start, result.head, settled, in_doubt=False)

    def _settled(self, start: Start, head: Head, settled: Settlement, *, in_doubt: bool) -> list[Output]:
        attempts, provider = start.facts.attempt + 1, start.provider
        match settled:
            case Sent():
                ended = Ended(
                    Status.SENT,
                    Reason.ACCEPTED,
                    attempts,
                    provider,
                    settled.code,
                    settled.provider_message_id,
                    segments=settled.segments,
                    encoding=settled.encoding,
                    refused=settled.refused,
                    part_ids=settled.part_ids,
                )
            case Over():
                ended = Ended(settled.status, settled.reason, attempts, provider, settled.code, in_doubt=in_doubt)
            case Again():
                return self._again(start, head, settled, in_doubt=in_doubt)
            case _:
                assert_never(settled)
        return self._ended(start, head, ended)

    def _again(self, start: Start, head: Head, settled: Again, *, in_doubt: bool) -> list[Output]:
        RETRIES.labels(start.provider, start.lane, settled.reason).inc()
        if settled.provider is not None:
            FAILOVERS.labels(start.provider, settled.provider).inc()
        event = self._publisher.again(
            head, start.facts, settled, provider=start.provider, lane=start.lane, in_doubt=in_doubt
        )
        facts = after(start.facts, settled, start.provider)
        return [event, self._onward(start, facts, settled.provider)]

    def _ended(self, start: Start, head: Head, ended: Ended) -> list[Output]:
        return self._publisher.ended(head, start.facts, start.record.value, ended)

    def _withdrawn(self, result: Withdrawn) -> list[Output]:
        start = result.start
        match result.verdict:
            case None:
                return [self._onward(start, start.facts)]
            case Wait():
                return [self._onward(start, due(start.facts, result.verdict.until_ms))]
            case End() if result.head is not None:
                return self._ended(start, result.head, uncalled(result.verdict, start.facts))
            case _:
                return [self._onward(start, start.facts)]

    def _refused(self, result: Refused) -> list[Output]:
        start, error = result.start, result.error
        path = (error.path or None) if error is not None else None
        if result.head is not None:
            ended = Ended(Status.REJECTED, result.reason, start.facts.attempt, field_name=path)
            return self._ended(start, result.head, ended)
        return [self._publisher.dead_letter(start.facts, start.record.value, result.reason, field_name=path)]

    def _onward(self, start: Start, facts: Facts, provider: str | None = None) -> Output:
        return self._routes.onward(start.record.value, start.record.key, facts, provider or start.provider, start.lane)

    def _measure(self, result: Answered) -> None:
        start, outcome = result.start, result.outcome
        facts = start.facts
        ATTEMPTS.labels(start.provider, start.lane, _NAMES[type(outcome)]).inc()
        CALL.labels(start.provider).observe(result.took_s)
        if facts.attempt == 0 and facts.due_at_ms == facts.first_seen_ms:
            PRODUCE_TO_CALL.labels(start.lane).observe(max(0, result.called_at_ms - facts.produced_at_ms) / 1_000)
        else:  # it waited for its instant: a start, a window, a retry
            LATENESS.labels(start.lane).observe(max(0, result.called_at_ms - facts.due_at_ms) / 1_000)
        if isinstance(outcome, Throttled) and outcome.reason is Reason.PROVIDER_THROTTLED:
            THROTTLES.labels(start.provider).inc()
        if isinstance(outcome, Unknown):
            log.warning("attempt.unknown", at=start.record.at, provider=start.provider, reason=outcome.reason)


def _without(settled: Settlement, missing: tuple[int, ...]) -> Settlement:
    """Tell the recipients that an attempt went without beside those that were refused, once they are settled."""
    if isinstance(settled, Sent):
        return settled._replace(refused=tuple(sorted({*settled.refused, *missing})))
    if isinstance(settled, Again) and settled.still_open is not None:
        return replace(settled, refused=tuple(sorted({*settled.refused, *missing})))
    return settled  # whoever is open is judged again


_NAMES: dict[type[Outcome], str] = {
    Accepted: "accepted",
    Partly: "accepted",
    Deferred: "deferred",
    Throttled: "throttled",
    Rejected: "rejected",
    Unknown: "unknown",
}

__all__ = ["Done", "RegistryUnavailable", "Settling"]
