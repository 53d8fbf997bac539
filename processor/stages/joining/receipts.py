"""A partition of receipts: each finds its message, whichever of the two comes first, or is published as an orphan."""

from collections.abc import Sequence
from typing import Final, Protocol

from processor.core.events import DeliveryEvent, EngagementEvent, Receipt
from processor.core.plan import Plan
from processor.core.report import (
    ENGAGEMENTS,
    About,
    about,
    delivery,
    echoed,
    engagement,
    known_as,
    may_be_of,
    part_of,
    preference,
    says_something,
    wanted,
)
from processor.kafka.committed import Place
from processor.kafka.topics import Names
from processor.kafka.transactions import Output
from processor.metrics import DELIVERY_EVENTS, RECEIPTS_IGNORED, RECEIPTS_JOINED, RECEIPTS_ORPHANED
from processor.stages.joining.messages import Found, Messages
from processor.stages.joining.part import Part
from processor.stages.joining.policy import ReceiptPolicy
from processor.stages.joining.progress import Progress
from processor.stages.joining.waiting import Kept, Waiting
from processor.stages.publish import public_id
from processor.stages.record import Record

UNCONFIGURED: Final = "unconfigured"


class Codec(Protocol):
    """How events become bytes, and bytes events."""

    def encode_delivery(self, event: DeliveryEvent) -> bytes:
        """Return the record of a delivery event."""
        ...

    def encode_engagement(self, event: EngagementEvent) -> bytes:
        """Return the record of an engagement event."""
        ...

    def decode_event(self, value: bytes | None) -> object:
        """Return the event of a record."""
        ...


class Reports:
    """Makes records of what receipts say."""

    def __init__(self, names: Names, codec: Codec, plan: Plan) -> None:
        """Publish to the topics of *names*."""
        self.names = names
        self.decode = codec.decode_event
        self._codec = codec
        self._plan = plan

    def receipt(self, value: bytes | None) -> Receipt | None:
        """Return the receipt in *value*; None for another event. Raises what `decode` raises."""
        event = self.decode(value)
        return event if isinstance(event, Receipt) else None

    def of(self, receipt: Receipt, message: About, *, repeated: bool) -> Output:
        """Return what *receipt* says of *message*, as a record; of a part to the topic on which parts are added up."""
        known = self._known(message)
        act = engagement(receipt, known, repeated=repeated)
        if act is not None:
            return Output(self.names.engagement, self._codec.encode_engagement(act), act.message_id.encode())
        part = part_of(receipt, known)
        event = delivery(receipt, known, part)
        assert event is not None  # noqa: S101 - for the type checker: only what says something is joined
        return self.published(event) if part is None else self._output(self.names.parts, event)

    def published(self, event: DeliveryEvent) -> Output:
        """Return the record of a status that a message has reached."""
        DELIVERY_EVENTS.labels(event.status, event.channel).inc()
        return self._output(self.names.delivery, event)

    def _output(self, topic: str, event: DeliveryEvent) -> Output:
        return Output(topic, self._codec.encode_delivery(event), event.message_id.encode())

    def _known(self, message: About) -> About:
        """Guard what a webhook echoes: an id that no event may carry, a channel that there is not."""
        channel = message.channel if message.channel in self._plan.channels else UNCONFIGURED
        return message._replace(message_id=public_id(message.message_id), channel=channel)


class ReceiptPart(Part):
    """A partition of the receipts' topic."""

    def __init__(
        self,
        place: Place,
        done: Progress,
        *,
        policy: ReceiptPolicy,
        reports: Reports,
        messages: Messages,
        waiting: Waiting,
    ) -> None:
        """Look messages up in *messages*; what has none is kept in *waiting*."""
        super().__init__(place, done, policy.patience_ms)
        self._horizon_ms = policy.horizon_ms
        self._reports = reports
        self._messages = messages
        self._waiting = waiting
        self._joins = False  # until then a result that was applied may still be missing
        self._caught_up_to = 0

    def receive(self, record: Record) -> None:
        """Join a receipt with its message, or let it wait for it."""
        receipt = self._reports.receipt(record.value)
        if receipt is None:
            return
        if not says_something(receipt) or not self._waiting.is_new(self.place, record.offset, receipt.event_id):
            RECEIPTS_IGNORED.labels(receipt.provider).inc()
            return
        message = echoed(receipt)
        if message is not None:
            if record.offset >= self.done.read_to:
                self._publish(receipt, message)
            else:
                self._is_repeated(receipt, message, record.offset)
            return
        kept = Kept(self.place, record.offset, record.key, record.value or b"")
        if not self._join(kept, receipt, self._matches(receipt)):
            self._waiting.keep(kept, receipt.provider, wanted(receipt))

    def heard(self, kept: Kept, found: Found) -> None:
        """Join a receipt that waited with a result that may be its message's."""
        receipt = self._reports.receipt(kept.value)
        if receipt is None or not set(wanted(receipt)) & set(known_as(found.event)):
            return
        if may_be_of(receipt, found.event, self._horizon_ms) and self._join(kept, receipt, [found]):
            self._waiting.settle(kept, receipt.provider, wanted(receipt))

    def catch_up(self, most: int) -> None:
        """Join what waits with all that is known: a million receipts take half a minute."""
        self._joins = True
        page = self._waiting.of(self.place, since=self._caught_up_to, most=most)
        for kept in page:
            receipt = self._reports.receipt(kept.value)
            if receipt is not None and self._join(kept, receipt, self._matches(receipt)):
                self._waiting.settle(kept, receipt.provider, wanted(receipt))
        if len(page) == most:
            self._caught_up_to = page[-1].offset + 1
        else:
            super().catch_up(most)

    def expire(self, now_ms: int, most: int) -> int:
        """Publish what has waited for too long, as it came."""
        over = self._ages.advance(now_ms)
        if over == self._over:
            return 0
        old = self._waiting.of(self.place, before=over, most=most)
        for kept in old:
            receipt = self._reports.receipt(kept.value)
            if receipt is not None:
                self.outputs.append(Output(self._reports.names.orphans, kept.value, kept.key))
                self._waiting.settle(kept, receipt.provider, wanted(receipt))
                RECEIPTS_ORPHANED.labels(receipt.provider).inc()
        if len(old) < most:
            self._over = over
            self._waiting.forget_seen(self.place, over)
        elif old:
            self._over = old[-1].offset + 1
        return len(old)

    def close(self) -> None:
        """Forget what waits."""
        self._waiting.drop(self.place)

    def _matches(self, receipt: Receipt) -> list[Found]:
        found = self._messages.find(wanted(receipt))
        return [each for each in found if may_be_of(receipt, each.event, self._horizon_ms)]

    def _join(self, kept: Kept, receipt: Receipt, matches: Sequence[Found]) -> bool:
        """Tell whether *receipt* is over; publish what it says, unless that was done before."""
        for each in matches:
            if self.done.covers(kept.offset, each.partition, each.offset):
                self._is_repeated(receipt, about(each.event), kept.offset)
                return True
        if not matches or not self._joins:
            return False
        best = matches[0] if len(matches) == 1 else min(matches, key=lambda each: preference(receipt, each.event))
        self._publish(receipt, about(best.event))
        return True

    def _publish(self, receipt: Receipt, message: About) -> None:
        repeated = self._is_repeated(receipt, message, self.read_to)
        self.outputs.append(self._reports.of(receipt, message, repeated=repeated))
        RECEIPTS_JOINED.labels(receipt.provider).inc()

    def _is_repeated(self, receipt: Receipt, message: About, offset: int) -> bool:
        if receipt.state not in ENGAGEMENTS:
            return False
        act = f"{receipt.state}\n{message.message_id}\n{receipt.url}"
        return not self._waiting.is_new(self.place, offset, act)
