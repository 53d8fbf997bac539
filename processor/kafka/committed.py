"""What a group has committed, read so that no open transaction hides in it."""

import random
from collections import deque
from collections.abc import Iterable, Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from time import monotonic
from typing import Final

from confluent_kafka import Consumer, KafkaError, KafkaException, TopicPartition

from processor.kafka.connection import Connection

Place = tuple[str, int]
"""A topic and a partition of it."""

_NO_OFFSET: Final = -1001
_EARLIEST: Final = -2  # the timestamp that asks for the first offset: Kafka protocol, ListOffsets
_ANSWER_S: Final = 0.5  # a coordinator answers in milliseconds, unless an offset is not stable
_READ_S: Final = 3.0
_STARTS_S: Final = 2.0


@dataclass(frozen=True, slots=True)
class Committed:
    """What the group last committed for a partition; *fresh* where it never did and the log still starts at 0."""

    offset: int
    metadata: str
    fresh: bool = False


class CommittedOffsets:
    """
    The stable committed offsets of one group, read in a thread of its own.

    A consumer that never joins the group asks for them: `isolation.level=read_committed` makes Kafka refuse an
    offset on which a transaction is still open, and librdkafka then asks again until the time is up. Each answer
    has a consumer of its own, for what an older one remembers of leaders may be wrong since a broker restarted.

    The Admin client has a call for this too (`list_consumer_group_offsets`), but up to librdkafka 2.16 it ends the
    process where a coordinator moves or restarts: with SIGSEGV at NOT_COORDINATOR (librdkafka issue 5040), and with
    a failed assertion in `rd_kafka_admin_coord_response_parse` when a broker goes away (seen here, 2026-11-26). Its
    `list_offsets` kept failing after a restart.
    """

    def __init__(self, connection: Connection, group: str) -> None:
        """Read for *group*."""
        self._settings = connection.common() | {
            "group.id": group,
            "isolation.level": "read_committed",
            "enable.auto.commit": False,
        }
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="committed")

    def ask(self, places: Iterable[Place]) -> Future[Mapping[Place, Committed | None]]:
        """
        Ask what is committed for *places*; None where nothing is although the log no longer starts at 0.

        A partition of which that cannot be told now is not in the answer: its offset is not stable, or a
        broker is away. Ask again.
        """
        return self._thread.submit(self._read, list(places))

    def close(self) -> None:
        """End the thread; an answer under way is awaited."""
        self._thread.shutdown()

    def _read(self, places: list[Place]) -> dict[Place, Committed | None]:
        consumer = Consumer(self._settings)
        try:
            found = dict(_committed(consumer, places))
            never = [place for place, committed in found.items() if committed is None]
            for place in never:
                del found[place]
            return found | dict(_starts(consumer, never))
        finally:
            consumer.close()


def _committed(consumer: Consumer, places: list[Place]) -> Iterator[tuple[Place, Committed | None]]:
    """
    Ask for all at once; where that takes too long, for each half, until what is not stable stands alone.

    First one half to its end, then the other, and in another order each time: a few that stay unstable, each of which
    costs time at every halving, leave time for some of the others, and the next question is without these. Where
    nothing was answered at all the last one is asked once more: what takes long may be the way to the coordinator.
    """
    deadline_s = monotonic() + _READ_S
    groups, once_more = deque([random.sample(places, len(places))]), True
    while groups and monotonic() < deadline_s:
        some = groups.popleft()
        try:
            answered = consumer.committed([TopicPartition(*place) for place in some], _ANSWER_S)
        except KafkaException as error:
            if error.args[0].code() != KafkaError._TIMED_OUT:  # noqa: SLF001
                return  # the coordinator is away
            if len(some) > 1:
                groups.extendleft((some[len(some) // 2 :], some[: len(some) // 2]))
            elif once_more and not groups:
                groups.append(some)
                once_more = False
        else:
            once_more = False
            yield from (((part.topic, part.partition), _known(part)) for part in answered if part.error is None)


def _known(part: TopicPartition) -> Committed | None:
    return None if part.offset == _NO_OFFSET else Committed(part.offset, part.metadata or "")


def _starts(consumer: Consumer, places: list[Place]) -> Iterator[tuple[Place, Committed | None]]:
    """Tell partitions that are new from those whose commit is gone, by the first offset of their log."""
    if not places:
        return
    try:
        asked = [TopicPartition(*place, _EARLIEST) for place in places]
        answered = consumer.offsets_for_times(asked, _STARTS_S)
    except KafkaException:
        return  # a leader is away
    for part in answered:
        if part.error is None:
            yield (part.topic, part.partition), Committed(0, "", fresh=True) if part.offset == 0 else None


def committed_now(
    connection: Connection, group: str, places: Iterable[Place], *, within_s: float
) -> Mapping[Place, Committed | None]:
    """Return what `CommittedOffsets` tells; waits, and raises `TimeoutError` where it stays unknown."""
    offsets, left = CommittedOffsets(connection, group), set(places)
    found: dict[Place, Committed | None] = {}
    deadline_s = monotonic() + within_s
    try:
        while left:
            found |= offsets.ask(left).result()
            left -= found.keys()
            if left and monotonic() > deadline_s:
                raise TimeoutError(f"{group}: what is committed for {min(left)} is not stable within {within_s:g} s")
    finally:
        offsets.close()
    return found
