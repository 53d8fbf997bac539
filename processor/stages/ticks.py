"""The ticks of a loop: one transaction after the other, and what holds where it is not known whether one counts."""

import threading
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from enum import Enum, auto
from math import inf
from typing import Final, Protocol
from zlib import crc32

from confluent_kafka import KafkaException

from processor.core.clock import Clock
from processor.kafka.committed import Place
from processor.kafka.connection import Connection
from processor.kafka.departure import Stayed
from processor.kafka.member import Member, Owner
from processor.kafka.transactions import Abandoned, Aborted, Commit, Fenced, Output, Transactions
from processor.logs import logger
from processor.metrics import PARTITIONS_ASSIGNED, PARTITIONS_HELD, PARTITIONS_UNSTABLE, TRANSACTIONS_ABORTED, Health

log = logger()

OFFSET_GONE: Final = "offset_gone"
BATCH_UNREADABLE: Final = "batch_unreadable"
METADATA_UNREADABLE: Final = "metadata_unreadable"
"""Why a partition is held."""

LEAVE_S: Final = 5.0  # a loop that is to stop waits this long for a Kafka that does not answer
_MEANWHILE_S: Final = 0.05
_PROVE_AGAIN_S: Final = 0.2  # a coordinator that refuses is not asked in each round, which may be fifty a second


@dataclass(frozen=True, slots=True)
class Seat:
    """
    Where a loop sits: its name in metrics, its group, its slot in it, and the partitions of each topic that it reads.

    *probed* is a partition that it does not read: an offset of it is written, and taken back, to try the coordinator.
    """

    loop: str
    group: str
    slot: str
    topics: Mapping[str, int]
    probed: Place

    @property
    def identity(self) -> str:
        """
        Return the id that the same slot always has while it reads the same partitions, as a member and as a producer.

        Kafka gives a static member that comes back what it had, whatever it asks for now (Kafka 4.3.1): under its old
        id a slot that is to read one topic more, or one partition, would never get it.
        """
        read = sorted(self.topics.items())
        return f"{self.group}.{self.slot}.{crc32(repr(read).encode()):08x}"


class Fate(Enum):
    """What became of a tick."""

    COMMITTED = auto()
    ABORTED = auto()  # nothing of it counts, and it may be tried again
    UNKNOWN = auto()  # it may count or not; the partitions were forgotten, and are claimed again in the next round


class Ticking(Owner, Protocol):
    """A loop, as its ticks see it."""

    def listen(self, timeout_s: float) -> None:
        """Poll once, and keep the records for the next round."""
        ...

    def forget(self, places: Sequence[Place]) -> None:
        """Forget partitions, and what was read of them: their next owner, who may be this loop, reads it again."""
        ...


class Ticks:
    """
    The seat of a loop, taken: a member of its group, and a producer that commits for it.

    An aborted tick counts for nothing: its loop tries again, with what is still its own. One whose producer was
    fenced, or given up, may count or not. Then every partition is forgotten at once and nothing more is committed;
    the next round takes a new producer, which ends whatever the old one left open, and reads again what the group
    has committed.
    """

    def __init__(
        self,
        connection: Connection,
        seat: Seat,
        loop: Ticking,
        clock: Clock,
        health: Health,
        *,
        leave_s: float = LEAVE_S,
    ) -> None:
        """Join the group; nothing is read before `run`. A loop that is to stop waits *leave_s* for Kafka."""
        self._name = seat.loop
        self._probed = seat.probed
        self._loop = loop
        self._clock = clock
        self._health = health
        self._leave_s = leave_s
        self._leave_by_s = inf
        self._stopping = threading.Event()
        self._prove_from_s = 0.0
        self._under_way = False
        self._failed: KafkaException | None = None  # by which the consumer ended while a transaction was under way
        self._broken = ""  # why the outcome of the last tick is not known: nothing is committed until it was read
        self._consumers = 1
        self._transactions = Transactions(connection, seat.identity)
        self.member = Member(
            connection,
            group=seat.group,
            instance=seat.identity,
            topics=seat.topics,
            owner=loop,
            monotonic_s=clock.monotonic_s,
        )

    # -- rounds -----------------------------------------------------------------------------------

    def run(
        self,
        stopping: threading.Event,
        come_round: Callable[[], None],
        *,
        finish: Callable[[], None] = lambda: None,
        close: Callable[[], None] = lambda: None,
    ) -> None:
        """Come round until *stopping*, *finish* what is under way, leave the group, and *close* what is left."""
        self._stopping = stopping
        try:
            self._start()
            while not stopping.is_set():
                self.recover()
                come_round()
            finish()
        except Abandoned:
            self._raise_failed()
            log.warning("loop.abandoned", loop=self._name)
        self._leave()
        close()
        self._health.stopped(self._name)

    def _leave(self) -> None:
        try:
            self.member.close()  # revokes, and so runs a last tick: we leave on purpose
        except Stayed as stayed:
            log.warning("group.stayed", loop=self._name, error=str(stayed))

    def _start(self) -> None:
        """Take the producer's id. The polls meanwhile may give partitions and revoke them: that has no tick yet."""
        with self._busy():
            self._transactions.start(self.meanwhile)

    @contextmanager
    def _busy(self) -> Iterator[None]:
        """Let no tick run inside, though polls may revoke partitions: each call of the producer is one at a time."""
        self._under_way = True
        try:
            yield
        finally:
            self._under_way = False

    def recover(self) -> None:
        """Begin again where nobody knows what the last tick came to, and prove the coordinator of what came."""
        self.beat()
        self._raise_failed()
        if self.member.consumers > self._consumers:
            self._consumers = self.member.consumers
            log.warning("group.joined_again", loop=self._name, count=self._consumers - 1)
        if self._broken:
            self._begin_again()
        self._prove()

    def _raise_failed(self) -> None:
        if self._failed is not None:
            raise self._failed

    def beat(self) -> None:
        """Say that the loop is alive."""
        self._health.beat(self._name)

    def meanwhile(self) -> bool:
        """Poll while Kafka, or the registry, takes its time; tell whether there is time to wait longer."""
        self.beat()
        if self._failed is not None:
            return False
        try:
            self._loop.listen(_MEANWHILE_S)
        except KafkaException as failed:  # of the consumer: the producer, which calls this, would take it for its own
            self._failed = failed
            return False
        now_s = self._clock.monotonic_s()
        if self._stopping.is_set():
            self._leave_by_s = min(self._leave_by_s, now_s + self._leave_s)
        return now_s < self._leave_by_s

    def observe(self, held: int) -> None:
        """Set the figures of the partitions; the loop says how many it works on."""
        PARTITIONS_ASSIGNED.labels(self._name).set(held)
        PARTITIONS_UNSTABLE.labels(self._name).set(self.member.unstable_s())

    # -- one tick ---------------------------------------------------------------------------------

    @property
    def may_commit(self) -> bool:
        """Tell whether a tick may run now: revocations come with polls, so one may be under way, or one has broken."""
        return not self._under_way and not self._broken

    def commit(
        self,
        outputs: Iterable[Output],
        commits: Mapping[Place, Commit],
        meanwhile: Callable[[], bool] | None = None,
    ) -> Fate:
        """Run one tick; *meanwhile* is for those who may not poll, because a poll has called them."""
        patience = meanwhile or self.meanwhile
        return self._fate(lambda: self._transactions.run(outputs, commits, self.member.metadata(), patience))

    def _prove(self) -> None:
        """Write to the group's coordinator where partitions have come: what it tells of them counts only then."""
        coming = self.member.unproven()
        if coming is None or self._clock.monotonic_s() < self._prove_from_s:
            return
        fate = self._fate(lambda: self._transactions.probe(self._probed, self.member.metadata(), self.meanwhile))
        if fate is Fate.COMMITTED:
            self.member.prove(coming)
        else:
            self._prove_from_s = self._clock.monotonic_s() + _PROVE_AGAIN_S

    def _fate(self, transaction: Callable[[], None]) -> Fate:
        try:
            with self._busy():
                transaction()
        except Aborted as aborted:
            TRANSACTIONS_ABORTED.labels(self._name).inc()
            log.warning("tick.aborted", loop=self._name, error=aborted.reason)
            return Fate.ABORTED
        except (Fenced, Abandoned) as unknown:
            self._break(unknown)
            return Fate.UNKNOWN
        return Fate.COMMITTED

    def wait(self) -> None:
        """Poll once before an aborted tick is tried again; raises `Abandoned` where there is no more time."""
        with self._busy():  # it is not over: what is revoked meanwhile is dropped without a tick of its own
            if not self.meanwhile():
                raise Abandoned

    def _break(self, unknown: Fenced | Abandoned) -> None:
        """Commit nothing more until the group's commits were read again: whether the last tick counts is not known."""
        self._broken = str(unknown) or "abandoned"
        log.warning("producer.fenced", loop=self._name, error=self._broken)
        self._loop.forget(tuple(self.member.places))

    def _begin_again(self) -> None:
        """Take a new producer, and read again what the group has committed."""
        self._transactions.renew(self.meanwhile)
        self._broken = ""
        places = tuple(self.member.places)  # what was claimed meanwhile, too, and what was read of the others
        self._loop.forget(places)
        self.member.claim_again(places)

    # -- what Kafka does not keep -----------------------------------------------------------------

    def hold(self, place: Place, why: str) -> None:
        """Say that a partition is held until an operator decides: nothing of it is read."""
        log.error("partition.held", loop=self._name, topic=place[0], partition=place[1], reason=why)
        PARTITIONS_HELD.labels(place[0]).inc()

    def commit_lost(self, place: Place) -> None:
        """Say that Kafka tells less than it has acknowledged to this process; see `Holdings.remembered`."""
        log.error("commit.lost", loop=self._name, topic=place[0], partition=place[1])
