"""A member of a consumer group whose partitions start exactly where the last owner's commit says."""

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Future
from typing import Any, Final, NamedTuple, Protocol

from confluent_kafka import OFFSET_BEGINNING, Consumer, KafkaError, KafkaException, Message, TopicPartition
from confluent_kafka.admin import AdminClient

from processor.kafka import departure
from processor.kafka.committed import Committed, CommittedOffsets, Place
from processor.kafka.connection import Connection
from processor.kafka.transactions import Aborted

_ASK_AGAIN_S: Final = 0.02
_FENCED_AGAIN_S: Final = 60.0
_FENCED_MAX: Final = 3  # in that time: two may be a coordinator that fails over twice
_TRIM_S: Final = 1.0
_UNREADABLE: Final = {KafkaError._BAD_COMPRESSION, KafkaError._BAD_MSG}  # noqa: SLF001


class Owner(Protocol):
    """Who is told which partitions come and go."""

    def claimed(self, place: Place, committed: Committed) -> int | None:
        """Return the offset to start at, or None to hold the partition."""
        ...

    def journal_lost(self, place: Place) -> bool | None:
        """
        Take note of a partition whose log has moved on although nothing is committed for it.

        Or although its log begins beyond what is committed. It is held, unless the answer is True: then it starts at
        the first record that is left.
        """
        ...

    def revoked(self, places: Sequence[Place]) -> None:
        """Finish what is under way; another member gets these when this returns."""
        ...

    def lost(self, places: Sequence[Place]) -> None:
        """Commit nothing more: another member may have these already."""
        ...

    def reached_end(self, place: Place, offset: int) -> None:
        """Take note that nothing lies before *offset* any more."""
        ...

    def unreadable(self, place: Place, offset: int) -> int | None:
        """
        Take note of a batch that begins at *offset* and that no client can unpack.

        Return the offset to go on at, which may lie in the same batch, or None to hold the partition.
        """
        ...


class _Pending(NamedTuple):
    since_s: float
    coming: int


class Member:
    """
    A consumer in a group; one thread uses it.

    An assigned partition is first *pending*: its stable committed offset is asked for beside the polls (this
    consumer's own `committed` would stall every other partition while a dead owner's transaction is open), and
    it is only then assigned, at that offset.

    Nothing is asked before the user has written to the group's coordinator since the partition came, and said so
    with `prove`: a coordinator that has read half its log tells offsets that are older, or none, and only a write
    finds that out (Apache Kafka 4.3.1, docs/architecture.md).

    What was given to this member is its own for as long as the group knows it under the same id, and no longer: the
    client may be expelled and join again without a word (`_is_displaced`).
    """

    def __init__(
        self,
        connection: Connection,
        *,
        group: str,
        instance: str | None,
        topics: Collection[str],
        owner: Owner,
        monotonic_s: Callable[[], float],
        queue_kbytes: int = 16_384,
    ) -> None:
        """Join *group*; the partitions come with the polls."""
        self.group = group
        self._instance = instance
        self.places: set[Place] = set()
        self.joined = False  # the group has told us our partitions, be it none, and has not expelled us since
        self._owner = owner
        self._monotonic_s = monotonic_s
        self._pending: dict[Place, _Pending] = {}
        self._coming = 0  # how many times partitions have come
        self._proven = 0  # those of the first so many times may be asked for
        self._paused: set[Place] = set()
        self._held: set[Place] = set()  # paused for good
        self._stepped: set[Place] = set()  # over what is unreadable, since the last records were fetched
        self._astray: set[Place] = set()  # claimed again since their log had moved on, and ours ever since
        self._asked: Future[Mapping[Place, Committed | None]] | None = None
        self._ask_at_s = 0.0
        self._connection = connection
        self._admin: AdminClient | None = None  # of who trims
        self._committed = CommittedOffsets(connection, group)
        self._settings = connection.consumer(group, instance, queue_kbytes=queue_kbytes)
        self._topics = list(topics)
        self._fenced_at_s: list[float] = []
        self._given = False  # this consumer was a member, be it of no partition
        self.consumers = 0  # that we have been, one after the other
        self._member_id = ""  # under which we were given what we have
        self._consumer = self._joined()

    def poll(self, most: int, timeout_s: float) -> Iterator[Message]:
        """
        Return up to *most* records of owned partitions; waits up to *timeout_s* for the first one.

        To be taken to its end: what lies between the records (the end of a partition, an error) is told to
        the owner in its turn. An end told before the records in front of it would make holes of them.
        """
        if self._pending:
            self._advance()
            timeout_s = min(timeout_s, _ASK_AGAIN_S)
        self._stepped.clear()
        if self._admin is not None:
            self._admin.poll(0)  # it keeps what it has to tell, such as connections that failed, until then
        messages = self._consumer.consume(1, timeout_s)
        if messages and most > 1:
            messages += self._consumer.consume(most - 1, 0)
        if self._is_displaced() and self._consumer.memberid():
            self._join_again()
            return iter(())
        return (message for message in messages if message.error() is None or self._heard(message))

    def metadata(self) -> Any:
        """
        Return the proof of membership that a transaction's offsets carry.

        Raises `Aborted` where it would be that of another membership than the one we were given our partitions in.
        """
        proof = self._consumer.consumer_group_metadata()
        if self._is_displaced():
            raise Aborted("DISPLACED")
        return proof

    def pause(self, place: Place) -> None:
        """Fetch no more of *place*; what was fetched and not yet polled is fetched again later."""
        if place in self.places and place not in self._paused:
            self._consumer.pause([TopicPartition(*place)])
            self._paused.add(place)

    def resume(self, place: Place) -> None:
        """Fetch *place* again."""
        if place in self._paused and place not in self._held:
            self._consumer.resume([TopicPartition(*place)])
            self._paused.discard(place)

    def paused(self, place: Place) -> bool:
        """Return whether *place* is paused."""
        return place in self._paused

    def claim_again(self, places: Sequence[Place]) -> None:
        """Stop reading *places*, and start them again where the group's stable offsets say."""
        mine = [place for place in places if place in self.places]
        self._unassign(self._consumer, mine)
        self._come(mine)

    @property
    def is_asking(self) -> bool:
        """Tell whether partitions wait for a stable offset."""
        return bool(self._pending)

    def unstable_s(self) -> float:
        """Return for how long the oldest pending partition has waited for a stable offset."""
        oldest_s = min((each.since_s for each in self._pending.values()), default=None)
        return 0.0 if oldest_s is None else self._monotonic_s() - oldest_s

    def unproven(self) -> int | None:
        """Return what `prove` is to be told after a write to the group's coordinator; None where no partition waits."""
        return self._coming if any(each.coming > self._proven for each in self._pending.values()) else None

    def prove(self, coming: int) -> None:
        """Say that the coordinator has taken a write since `unproven` returned *coming*."""
        self._proven = coming

    def end_offsets(self) -> dict[Place, int]:
        """Return what the client last heard of the ends of the owned partitions, without asking."""
        ends = {}
        for place in self.places:
            high = self._consumer.get_watermark_offsets(TopicPartition(*place), cached=True)[1]
            ends[place] = high
        return ends

    def trim(self, marks: Mapping[Place, int]) -> dict[Place, Future[Any]]:
        """
        Delete the records below each mark; the futures end when it is done, or after a second. `end_trimming` then.

        While a leader is away librdkafka 2.16.0 keeps two threads busy with such a request for as long as it may take.
        """
        if self._admin is None:
            self._admin = AdminClient(self._connection.common())
        asked = [TopicPartition(topic, partition, mark) for (topic, partition), mark in marks.items()]
        futures = self._admin.delete_records(asked, request_timeout=_TRIM_S)
        return {(part.topic, part.partition): future for part, future in futures.items()}

    def end_trimming(self) -> None:
        """
        Let go of the client that trims; whoever trims again has a new one.

        One that has failed goes on asking a leader that has gone, until it is back.
        """
        self._admin = None

    def close(self) -> None:
        """Leave the group. Raises `Stayed` where the partitions wait for the end of the session instead."""
        member_id = self._consumer.memberid()
        departure.close(self._consumer)
        self._committed.close()
        if self._instance is not None and member_id:
            departure.leave(self._connection, self.group, self._instance, member_id)

    def _joined(self) -> Consumer:
        self.consumers += 1
        consumer = Consumer(self._settings)
        consumer.subscribe(self._topics, on_assign=self._on_assign, on_revoke=self._on_revoke, on_lost=self._on_lost)
        return consumer

    def _is_displaced(self) -> bool:
        """
        Tell whether the group knows us under another id than when it gave us what we have, or under none.

        It has expelled us then, and another member may have had our partitions since. librdkafka (2.16.0) does not
        always say so: a member whose way to Kafka was stalled twice, within a rebalance that waited for a dead member,
        was expelled, joined again, was given back what it had held 17 s before, and went on with what it had read
        then. Its commits counted, and put the group's back (a drill on three nodes, 2026-11-27).
        """
        return bool(self.places or self._pending) and (self._consumer.memberid() or "") != self._member_id

    def _fenced(self, error: KafkaError) -> None:
        """
        Join again; raises where that has happened again and again within a minute.

        A consumer is fenced when another one has its instance id. That may be itself: where the coordinator fails
        over, an answer to its own joining gets lost, and it joins once more beside itself (Apache Kafka 4.3.1, as a
        leader was killed; every ten seconds while two of three nodes were away). Two processes in one slot fence each
        other again and again, each as soon as it was given its partitions: only such memberships count.
        """
        now_s = self._monotonic_s()
        if self._given:
            self._fenced_at_s = [at_s for at_s in self._fenced_at_s if now_s - at_s < _FENCED_AGAIN_S] + [now_s]
        if len(self._fenced_at_s) >= _FENCED_MAX:
            raise KafkaException(error)
        self._join_again()

    def _join_again(self) -> None:
        """Join as a new consumer, which remembers nothing of what this one had."""
        self.joined, self._given, self._asked = False, False, None
        left, self._consumer = self._consumer, self._joined()
        lost = [*self.places, *self._pending]
        self.places.clear()
        self._paused.clear()
        self._held.clear()
        self._pending.clear()
        self._astray.clear()
        self._owner.lost(lost)
        departure.close(left)

    # -- partitions that come ---------------------------------------------------------------------

    def _on_assign(self, consumer: Consumer, partitions: Sequence[TopicPartition]) -> None:
        self.joined = self._given = True
        if not (self.places or self._pending):
            self._member_id = consumer.memberid() or ""
        self._come((part.topic, part.partition) for part in partitions)
        # Assigned for real once the stable offset is known; nothing is fetched until then.
        consumer.incremental_assign([])

    def _come(self, places: Iterable[Place]) -> None:
        self._asked = None  # an answer under way may be older than the last commit of these
        self._coming += 1
        self._pending.update(dict.fromkeys(places, _Pending(self._monotonic_s(), self._coming)))

    def _advance(self) -> None:
        """Ask for the stable offsets of the pending partitions, and start those that have one."""
        if self._asked is None:
            proven = [place for place, each in self._pending.items() if each.coming <= self._proven]
            if proven and self._monotonic_s() >= self._ask_at_s:
                self._asked = self._committed.ask(proven)
        elif self._asked.done():
            asked, self._asked = self._asked, None
            self._ask_at_s = self._monotonic_s() + _ASK_AGAIN_S
            for place, committed in asked.result().items():
                self._answered(place, committed)

    def _answered(self, place: Place, committed: Committed | None) -> None:
        if place not in self._pending:
            return  # revoked meanwhile
        if committed is not None:
            self._claim(place, committed)
        else:
            del self._pending[place]
            self._journal_lost(place)

    def _claim(self, place: Place, committed: Committed) -> None:
        del self._pending[place]
        offset = self._owner.claimed(place, committed)
        if offset is not None:
            self._consumer.incremental_assign([TopicPartition(*place, offset)])
            self.places.add(place)

    def _strayed(self, place: Place) -> None:
        """
        Claim a partition again whose log has moved on beyond what we were to read next; at the second time it is lost.

        Mostly it is ours no more: a member whose way to Kafka was stalled is told that its offset is gone, for another
        one has read on and trimmed, before it hears that the group has expelled it (drills with partitions held that
        were whole, 2026-11-27). The claim begins with a write, which tells the two apart.
        """
        if place not in self.places:
            return  # it went after this was fetched
        if place in self._astray:
            self._journal_lost(place)
            return
        self._astray.add(place)
        self._owner.lost([place])
        self.claim_again([place])

    def _journal_lost(self, place: Place) -> None:
        if self._owner.journal_lost(place):
            self._go_on(place, OFFSET_BEGINNING)

    def _go_on(self, place: Place, offset: int) -> None:
        if place in self.places:
            self._unassign(self._consumer, [place])
        self._consumer.incremental_assign([TopicPartition(*place, offset)])
        self.places.add(place)

    def _unreadable(self, place: Place, offset: int) -> None:
        """
        Go on where the owner says; of two errors that were fetched together the second tells of the place left behind.

        A fetch from the middle of a batch brings all of it, and the error names its first offset again.
        """
        if place not in self.places or place in self._stepped:
            return
        self._stepped.add(place)
        onward = self._owner.unreadable(place, offset)
        if onward is None:
            self.pause(place)
            self._held.add(place)  # whatever its owner has room for
        else:
            self._go_on(place, onward)

    # -- partitions that go -----------------------------------------------------------------------

    def _on_revoke(self, consumer: Consumer, partitions: Sequence[TopicPartition]) -> None:
        if consumer is not self._consumer:
            return  # it was left behind, and says goodbye: what it had is lost already
        if self._is_displaced():
            self._owner.lost(self._known(partitions))
        else:
            if waiting := self._waiting(partitions):
                self._owner.lost(waiting)
            self._owner.revoked(self._owned(partitions))
        self._let_go(consumer, partitions)

    def _on_lost(self, consumer: Consumer, partitions: Sequence[TopicPartition]) -> None:
        if consumer is not self._consumer:
            return
        self.joined = False  # until the group has us again
        self._owner.lost(self._known(partitions))
        self._let_go(consumer, partitions)

    def _owned(self, partitions: Sequence[TopicPartition]) -> list[Place]:
        places = [(part.topic, part.partition) for part in partitions]
        return [place for place in places if place in self.places]

    def _waiting(self, partitions: Sequence[TopicPartition]) -> list[Place]:
        """Return those that wait for their offset: an owner that had them before may have calls of them to begin."""
        places = [(part.topic, part.partition) for part in partitions]
        return [place for place in places if place in self._pending]

    def _known(self, partitions: Sequence[TopicPartition]) -> list[Place]:
        return [*self._owned(partitions), *self._waiting(partitions)]

    def _let_go(self, consumer: Consumer, partitions: Sequence[TopicPartition]) -> None:
        self._unassign(consumer, self._owned(partitions))
        for part in partitions:
            self._pending.pop((part.topic, part.partition), None)
            self._astray.discard((part.topic, part.partition))

    def _unassign(self, consumer: Consumer, places: Sequence[Place]) -> None:
        """
        Fetch *places*, which are ours, no more.

        A pause outlives the assignment in librdkafka (2.16.0, issue 1849), and nobody would end it when they come back;
        ended only then, they may go on where they stood before (issue 1802).
        """
        consumer.resume([TopicPartition(*place) for place in places if place in self._paused])
        consumer.incremental_unassign([TopicPartition(*place) for place in places])
        self.places.difference_update(places)
        self._paused.difference_update(places)
        self._held.difference_update(places)

    # -- errors -----------------------------------------------------------------------------------

    def _heard(self, message: Message) -> bool:
        """Act on what the consumer reports in place of a record; never True, for it is no record."""
        error = message.error()
        if error is None:
            return True
        topic, partition = message.topic(), message.partition()
        # A fatal error comes as a record of no topic whose `fatal()` is False: its code alone says so.
        if error.code() == KafkaError._FATAL:  # noqa: SLF001
            self._fenced(error)
            return False
        if topic is None or partition is None:
            if error.fatal():
                raise KafkaException(error)
            return False
        if error.code() == KafkaError._PARTITION_EOF:  # noqa: SLF001
            self._owner.reached_end((topic, partition), message.offset() or 0)
        elif error.code() == KafkaError._AUTO_OFFSET_RESET:  # noqa: SLF001
            self._strayed((topic, partition))
        elif error.code() in _UNREADABLE:
            self._unreadable((topic, partition), message.offset() or 0)
        elif error.fatal():
            raise KafkaException(error)
        return False
