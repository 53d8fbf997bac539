"""The forwarding loop hands over exactly once, and with care where a process has died."""

from __future__ import annotations

import threading
from contextlib import contextmanager
from typing import TYPE_CHECKING

from processor.kafka.transactions import Output
from processor.metrics import Health
from processor.stages.clock import SystemClock
from processor.stages.forward import CLEAN, ForwardLoop
from processor.stages.ticks import Seat
from tests.support.cluster import fresh
from tests.support.eventually import eventually

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from processor.stages.record import Record
    from tests.support.cluster import Cluster


class Copier:
    """Decides to copy each record to another topic, and remembers whether it was told to take care."""

    header: str | None = None

    def __init__(self, to: str) -> None:
        self.to = to
        self.decided: list[tuple[int, bool]] = []

    def decide(self, records: Sequence[Record], *, suspect: bool) -> list[list[Output]]:
        self.decided += [(record.offset, suspect) for record in records]
        return [[Output(self.to, record.value)] for record in records]

    def wait_ms(self, topic: str) -> int | None:
        return None


@contextmanager
def forwarding(cluster: Cluster, group: str, topic: str, copier: Copier, slot: str = "0") -> Iterator[ForwardLoop]:
    """Run a loop in a thread; it stops cleanly at the end."""
    stopping = threading.Event()
    seat = Seat("intake", group, slot, (topic,))
    loop = ForwardLoop(cluster.connection, seat, copier, SystemClock(), Health(), tick_records_max=100)
    thread = threading.Thread(target=loop.run, args=(stopping,))
    thread.start()
    try:
        yield loop
    finally:
        stopping.set()
        thread.join(20)
        assert not thread.is_alive()


def values(cluster: Cluster, topic: str) -> list[bytes | None]:
    return [message.value() for message in cluster.read([topic])]


def test_what_a_dead_process_may_have_read_is_tried_apart_and_what_came_later_is_not(cluster: Cluster) -> None:
    # Trying takes a process each time: a password that comes after the take-over must not wait for it.
    topic, group, copier = cluster.make(fresh("in")), fresh("group"), Copier(cluster.make(fresh("out")))
    cluster.put(topic, [b"%d" % n for n in range(30)])
    cluster.commit(group, {(topic, 0): (10, "")})

    with forwarding(cluster, group, topic, copier) as loop:
        eventually(lambda: len(copier.decided) == 20, within_s=20, what=lambda: copier.decided)
        eventually(lambda: not loop._suspect, within_s=5)  # it has come to the end: nothing else tells so from outside
        cluster.put(topic, [b"later"] * 5)
        eventually(lambda: len(copier.decided) == 25, within_s=10, what=lambda: copier.decided)

    assert copier.decided == [(offset, offset < 30) for offset in range(10, 35)]
    assert len(values(cluster, copier.to)) == 25


def test_a_take_over_of_nothing_makes_nothing_suspect(cluster: Cluster) -> None:
    topic, group, copier = cluster.make(fresh("in")), fresh("group"), Copier(cluster.make(fresh("out")))
    cluster.put(topic, [b"done"] * 3)
    cluster.commit(group, {(topic, 0): (3, "")})

    with forwarding(cluster, group, topic, copier) as loop:
        eventually(lambda: loop._partitions and not loop._suspect, within_s=20)
        cluster.put(topic, [b"later"])
        eventually(lambda: copier.decided, within_s=10)

    assert copier.decided == [(3, False)]
    assert len(values(cluster, copier.to)) == 1


def test_a_loop_that_left_on_purpose_leaves_no_suspicion_and_hands_over_exactly_once(cluster: Cluster) -> None:
    topic, group, copier = cluster.make(fresh("in")), fresh("group"), Copier(cluster.make(fresh("out")))
    cluster.put(topic, [b"%d" % n for n in range(500)])
    with forwarding(cluster, group, topic, copier):
        eventually(lambda: len(copier.decided) == 500, within_s=20)
    (left,) = cluster.committed(group, [(topic, 0)]).values()
    assert (left.offset, left.metadata) == (500, CLEAN)

    cluster.put(topic, [b"%d" % n for n in range(500, 600)])
    with forwarding(cluster, group, topic, copier):
        eventually(lambda: len(copier.decided) == 600, within_s=20)

    assert copier.decided == [(offset, False) for offset in range(600)]
    assert values(cluster, copier.to) == [b"%d" % n for n in range(600)]


def test_two_loops_share_a_topic_without_forwarding_anything_twice(cluster: Cluster) -> None:
    topic, group = cluster.make(fresh("in"), partitions=4), fresh("group")
    to = cluster.make(fresh("out"))
    first, second = Copier(to), Copier(to)
    with forwarding(cluster, group, topic, first):
        for number in range(4):
            cluster.put(topic, [b"a%d" % n for n in range(200)], number)
        eventually(lambda: first.decided, within_s=20)
        with forwarding(cluster, group, topic, second, slot="1"):
            eventually(lambda: len(values(cluster, to)) == 800, within_s=20)
            for number in range(4):
                cluster.put(topic, [b"b%d" % n for n in range(50)], number)
            eventually(lambda: second.decided, within_s=20)
            eventually(lambda: len(values(cluster, to)) == 1_000, within_s=20)

    assert len(values(cluster, to)) == 1_000
