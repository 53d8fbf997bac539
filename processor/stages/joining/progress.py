"""How far a partition of receipts was joined, as the metadata of its commit."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field

from processor.kafka.committed import Committed
from processor.kafka.transactions import Commit


@dataclass(frozen=True, slots=True)
class Progress:
    """
    The prefixes of the logs that were joined and published.

    A receipt before *read_to* and a result before *applied* (offsets of the delivery topic, by partition) that belong
    together were published together. Receipts before *since* are over: joined, or published as orphans.
    """

    read_to: int
    since: int
    applied: Mapping[int, int] = field(default_factory=dict)

    def covers(self, offset: int, partition: int, result: int) -> bool:
        """Tell whether the receipt at *offset* and the result at *partition* and *result* were published."""
        return offset < self.read_to and result < self.applied.get(partition, 0)

    def commit(self) -> Commit:
        """Return what is committed: a list of offsets, by partition; about 300 of them fit into the metadata."""
        applied = [self.applied.get(each, 0) for each in range(max(self.applied, default=-1) + 1)]
        return Commit(self.read_to, json.dumps({"since": self.since, "applied": applied}, separators=(",", ":")))

    def order(self) -> tuple[int, int, int]:
        """Return what is greater for the later one of two commits of a partition."""
        return self.read_to, sum(self.applied.values()), self.since


def progress_of(committed: Committed) -> Progress:
    """
    Return what was committed.

    An offset without metadata of ours was set by an operator: what lies before it is over.
    """
    try:
        told = json.loads(committed.metadata)
        return Progress(committed.offset, int(told["since"]), dict(enumerate(map(int, told["applied"]))))
    except (ValueError, TypeError, KeyError):
        return Progress(committed.offset, committed.offset)
