"""What a loop that joins sees of a partition: records go in, outputs and a commit come out."""

from collections.abc import Mapping

from processor.kafka.committed import Place
from processor.kafka.transactions import Output
from processor.stages.joining.ages import Ages
from processor.stages.joining.progress import Progress
from processor.stages.record import Record


class Part:
    """
    An owned partition.

    It is read again from where its oldest record that is not over lies, up to what was committed: until then, and
    until the results that were applied are known again, it is *behind*, and publishes nothing.
    """

    def __init__(self, place: Place, done: Progress, patience_ms: int) -> None:
        """Begin where *done* says."""
        self.place = place
        self.done = done
        self.behind = True
        self.read_to = done.since
        self.outputs: list[Output] = []
        self._over = done.since
        self._ages = Ages(patience_ms, done.since)

    def receive(self, record: Record) -> None:
        """Join a record, and put what follows into the outputs, unless it was published before."""
        raise NotImplementedError

    def passed(self, record: Record) -> None:
        """Take note that a record was received."""
        self._ages.saw(record.offset, record.timestamp_ms)
        self.read_to = record.offset + 1

    def skip_to(self, offset: int) -> None:
        """Take note that no record lies before *offset* any more."""
        self.read_to = max(self.read_to, offset)

    def catch_up(self, most: int) -> None:
        """Join *most* of what waits, now that all is known that was known at the last commit; with the last, go on."""
        self.behind = False

    def expire(self, now_ms: int, most: int) -> int:
        """Give up what has waited for too long, at most *most* records now; return how many outputs that made."""
        raise NotImplementedError

    def taken(self) -> list[Output]:
        """Return what is to be published, once."""
        outputs, self.outputs = self.outputs, []
        return outputs

    def progress(self, applied: Mapping[int, int]) -> Progress:
        """Return what holds once the outputs so far are published."""
        return Progress(max(self.read_to, self.done.read_to), self._over, dict(applied))

    def close(self) -> None:
        """Forget it."""
