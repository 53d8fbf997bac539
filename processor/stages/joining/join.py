"""What is joined: the results of all messages, the receipts that wait, and the partitions that this process owns."""

from collections.abc import Iterable

from processor.codec.errors import TooLarge, Unreadable
from processor.core.events import DeliveryEvent
from processor.kafka.committed import Place
from processor.kafka.replay import Replay
from processor.stages.joining.messages import Found, Messages
from processor.stages.joining.parts import PartsPart
from processor.stages.joining.policy import ReceiptPolicy
from processor.stages.joining.progress import Progress
from processor.stages.joining.receipts import ReceiptPart, Reports
from processor.stages.joining.waiting import Waiting


class Join:
    """
    The state of the join: a function of prefixes of the receipts' and the delivery topic alone.

    So it needs no durable store: who takes a partition over reads the same prefixes again.
    """

    def __init__(self, reports: Reports, policy: ReceiptPolicy) -> None:
        """Know nothing yet."""
        self.parts: dict[Place, ReceiptPart | PartsPart] = {}
        self.messages = Messages(reports.decode, policy.horizon_ms + policy.patience_ms)
        self.waiting = Waiting()
        self._reports = reports
        self._policy = policy

    def own(self, place: Place, done: Progress) -> None:
        """Take a partition over where *done* says."""
        policy = self._policy
        self.drop([place])
        if place[0] == self._reports.names.parts:
            self.parts[place] = PartsPart(place, done, patience_ms=policy.horizon_ms, reports=self._reports)
        else:
            self.parts[place] = ReceiptPart(
                place,
                done,
                policy=policy,
                reports=self._reports,
                messages=self.messages,
                waiting=self.waiting,
            )

    def drop(self, places: Iterable[Place]) -> None:
        """Forget partitions."""
        for place in places:
            part = self.parts.pop(place, None)
            if part is not None:
                part.close()

    def apply(self, partition: int, offset: int, value: bytes | None) -> None:
        """Take in the next event of the delivery topic, in the order of its partition."""
        try:
            event = self._reports.decode(value)
        except (Unreadable, TooLarge):
            return  # whoever wrote it: it is no result of ours
        if not isinstance(event, DeliveryEvent) or value is None:
            return
        keys = self.messages.add(partition, offset, event, value)
        for kept in self.waiting.wanting(keys):
            part = self.parts[kept.place]
            if isinstance(part, ReceiptPart):
                part.heard(kept, Found(partition, offset, event))

    def catch_up(self, replay: Replay, most: int) -> None:
        """Let partitions publish that know what was known at their last commit; *most* receipts of each a call."""
        for part in self.parts.values():
            if part.behind and part.read_to >= part.done.read_to and replay.reaches(part.done.applied):
                part.catch_up(most)

    def expire(self, now_ms: int, most: int, *, current: bool) -> bool:
        """
        Give up what has waited for too long, unless messages may be missing that there are.

        At most *most* receipts at a time: a transaction has to end in time. Tell whether that was all.
        """
        policy = self._policy
        self.messages.forget(now_ms - policy.horizon_ms - policy.patience_ms)
        for part in self.parts.values():
            if current and not part.behind:
                most -= part.expire(now_ms, most)
        return most > 0

    def close(self) -> None:
        """Delete the files."""
        self.drop(tuple(self.parts))
        self.messages.close()
        self.waiting.close()
