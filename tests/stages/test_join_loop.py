"""The loop that joins goes on whatever waits in it."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING, Final

from processor.codec.assembly import open_codecs
from processor.core.plan import Plan
from processor.kafka.replay import Replay
from processor.kafka.topics import Names
from processor.metrics import Health
from processor.stages.clock import SystemClock
from processor.stages.joining import loop as module
from processor.stages.joining.defects import Burials
from processor.stages.joining.join import Join
from processor.stages.joining.loop import JoinLoop
from processor.stages.joining.policy import ReceiptPolicy
from processor.stages.joining.progress import Progress
from processor.stages.joining.receipts import Reports
from processor.stages.publish import Publisher
from processor.stages.ticks import Seat
from tests.stages.running import running
from tests.stages.test_joining import receipt, sent
from tests.support.cluster import Cluster, fresh
from tests.support.eventually import eventually

if TYPE_CHECKING:
    from collections.abc import Iterator

    import pytest

    from processor.kafka.committed import Place

EVENTS: Final = open_codecs().events
CLOCK: Final = SystemClock()
COUNT: Final = 400
PREFIX: Final = 20_000  # of the other partition: long enough to be read while the first one has caught up
OVER: Final = 10
MOST: Final = 100


@contextmanager
def joining(cluster: Cluster, names: Names) -> Iterator[JoinLoop]:
    """Run a loop over two partitions of receipts."""
    now_ms, reports = CLOCK.now_ms, Reports(names, EVENTS, Plan({}, {}))
    loop = JoinLoop(
        cluster.connection,
        Seat("receipts", names.group("tracking", "receipts"), "0", {names.receipts: 2}, (names.control, 0)),
        Join(reports, ReceiptPolicy()),
        Replay(cluster.connection, names.delivery, 1, 0),
        Burials(Publisher(Plan({}, {}), names, EVENTS, now_ms), now_ms),
        CLOCK,
        Health(),
        tick_records_max=MOST,
        errors_per_minute_max=20,
    )
    with running(loop):
        yield loop


def test_a_partition_that_is_behind_goes_on_once_another_ones_outputs_have_gone(
    cluster: Cluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "_LADEN", MOST // 2)
    monkeypatch.setattr(module, "_AHEAD", MOST)
    names, now_ms = Names(fresh("join")), CLOCK.now_ms()
    for topic, partitions in ((names.receipts, 2), (names.delivery, 1), (names.control, 1)):
        cluster.make(topic, partitions)
    group, first, second = names.group("tracking", "receipts"), (names.receipts, 0), (names.receipts, 1)
    known = [EVENTS.encode_delivery(sent(f"a{n}", occurred_at_ms=now_ms)) for n in range(COUNT)]
    cluster.put(names.delivery, known)
    for (_, number), word, count in ((first, "a", COUNT), (second, "b", PREFIX)):
        cluster.put(
            names.receipts,
            [EVENTS.encode_receipt(receipt(f"{word}{n}", received_at_ms=now_ms)) for n in range(count)],
            number,
        )

    def committed(place: Place, read_to: int) -> dict[Place, tuple[int, str]]:
        commit = Progress(read_to, 0, {0: len(known)}).commit()
        return {place: (commit.offset, commit.metadata)}

    cluster.commit(group, committed(first, OVER) | committed(second, PREFIX))
    with joining(cluster, names) as loop:
        parts = loop._join.parts
        eventually(lambda: len(parts) == 2 and not any(part.behind for part in parts.values()), within_s=60)
        eventually(lambda: cluster.ends([(names.delivery, 0)])[names.delivery, 0] > COUNT * 2 - OVER, within_s=20)

    events = [EVENTS.decode_event(message.value()) for message in cluster.read([names.delivery])]
    assert len(events) == COUNT * 2 - OVER, "each receipt that was not joined before, once"
