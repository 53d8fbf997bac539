"""A transactional producer: everything of a tick is published and committed, or nothing is."""

from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from functools import partial
from typing import Any, Final, NamedTuple

from confluent_kafka import KafkaError, KafkaException, Message, Producer, TopicPartition

from processor.kafka.apart import Apart, Stuck
from processor.kafka.committed import Place
from processor.kafka.connection import Connection

_CALL_TIMEOUT_S: Final = 0.5
_INIT_TIMEOUT_S: Final = 2.0  # then the member polls, and the same call goes on
_PATIENCE_S: Final = 3.0  # a call that has not returned by then never will


class Aborted(Exception):
    """Nothing of the transaction is visible, and nothing is committed; *reason* is an error's name."""

    def __init__(self, reason: str) -> None:
        """Say which error of Kafka it was."""
        super().__init__(reason)
        self.reason = reason


class Fenced(Exception):
    """The producer can go on no more, and whether the last transaction counts is not known to it."""


class Abandoned(Exception):
    """Kafka did not answer while there was time; whether the transaction counts is for the next owner to read."""


class Output(NamedTuple):
    """
    A record to publish; *partition* −1 is by the key, as Java producers do.

    A named tuple, for one is made for each message: a frozen dataclass costs four times as much.
    """

    topic: str
    value: bytes | None
    key: bytes | None = None
    headers: list[tuple[str, str | bytes | None]] | None = None
    partition: int = -1
    timestamp_ms: int = 0  # 0: now

    def __repr__(self) -> str:
        """Name the topic alone: the value is a message."""
        return f"Output({self.topic})"


class Commit(NamedTuple):
    """The next offset of a partition, with metadata."""

    offset: int
    metadata: str = ""


class Transactions:
    """
    Runs one transaction after the other.

    *meanwhile* is called between the tries of a call that takes long: a commit or an abort can take 30 s while
    a broker restarts, and a member that does not poll meanwhile is expelled. It returns False when there is
    no more time to wait: then the call raises `Abandoned`.

    What was sent before a connection broke, or an answer failed to come, may still arrive, and an abort that arrives
    late takes back what the next transaction has written so far: the rest of it is committed, with its offsets. Kafka
    tells the two apart by the producer's epoch, which librdkafka 2.16.0 keeps from one transaction to the next (its
    issue 5423, KIP-890). So a producer that has seen any failure has no further transaction: a new one has a new epoch.
    """

    def __init__(self, connection: Connection, transactional_id: str) -> None:
        """Make the producer; `start` claims the id."""
        self._connection = connection
        self._id = transactional_id
        self._failed: str | None = None
        self._astray = False  # something that this producer has sent may still arrive
        self._producer, self._apart = self._made()

    def start(self, meanwhile: Callable[[], bool] = lambda: True) -> None:
        """Claim the transactional id: an older producer's open transaction is aborted, and it is fenced."""
        while True:
            try:
                self._call(lambda producer: producer.init_transactions(_INIT_TIMEOUT_S), meanwhile)
            except KafkaException as error:
                if error.args[0].fatal():
                    raise Fenced(error.args[0].name()) from error
                if not meanwhile():
                    raise Abandoned from error
            except Stuck:
                self._replace()
            else:
                self._producer.poll(0)
                self._astray = False  # whatever failed until now was of no transaction
                return

    def run(
        self,
        outputs: Iterable[Output],
        commits: Mapping[Place, Commit],
        membership: Any,
        meanwhile: Callable[[], bool],
    ) -> None:
        """
        Publish *outputs* and commit *commits*; returns when both are done.

        Raises `Aborted` when neither is, `Fenced` or `Abandoned` when that cannot be told.
        """
        with self._transaction(meanwhile):
            for output in outputs:
                self._produce(output)
            self._commit(commits, membership, meanwhile)

    def probe(self, place: Place, membership: Any, meanwhile: Callable[[], bool]) -> None:
        """
        Write an offset of *place* with the group's coordinator, and take it back; returns when it was written.

        Raises `Aborted` when it was not, `Fenced` or `Abandoned` like `run`.
        """
        offsets = [TopicPartition(*place, 0)]
        with self._transaction(meanwhile):
            self._call(
                lambda producer: producer.send_offsets_to_transaction(offsets, membership, _CALL_TIMEOUT_S), meanwhile
            )
        self._abort(meanwhile)

    @contextmanager
    def _transaction(self, meanwhile: Callable[[], bool]) -> Iterator[None]:
        """Begin a transaction, with a producer of which nothing is astray; abort it where anything fails inside."""
        self._producer.poll(0)  # tells of connections that were lost
        if self._astray:
            self.renew(meanwhile)
        self._failed = None
        try:
            self._producer.begin_transaction()
            yield
        except KafkaException as error:
            self._astray = True
            reason = error.args[0]
            if reason.fatal():
                raise Fenced(reason.name()) from error
            self._abort(meanwhile)
            raise Aborted(self._why(reason)) from error
        except Stuck as stuck:
            raise Fenced("stuck") from stuck

    def renew(self, meanwhile: Callable[[], bool]) -> None:
        """Replace the producer after `Fenced`; the same id aborts whatever the old one left open."""
        self._replace()
        self.start(meanwhile)

    def _replace(self) -> None:
        self._apart.leave()
        self._producer, self._apart = self._made()

    def _made(self) -> tuple[Producer, Apart]:
        settings = self._connection.producer(self._id, self._on_delivery) | {"error_cb": self._on_error}
        return Producer(settings), Apart(f"{self._id}.transactions")

    def _call(self, call: Callable[[Producer], object], meanwhile: Callable[[], object]) -> None:
        try:
            self._apart.call(partial(call, self._producer), patience_s=_PATIENCE_S, meanwhile=meanwhile)
        except KafkaException:
            self._astray = True
            raise

    def _on_delivery(self, error: KafkaError | None, _: Message) -> None:
        if error is not None:
            self._failed = error.name()

    def _on_error(self, _: KafkaError) -> None:
        self._astray = True

    def _why(self, reason: KafkaError) -> str:
        """Return the name of the failed delivery that made Kafka say *reason*, if that is what it was."""
        return reason.name() if self._failed is None else self._failed

    def _produce(self, output: Output) -> None:
        while True:
            try:
                self._producer.produce(
                    output.topic,
                    output.value,
                    output.key,
                    output.partition,
                    headers=output.headers,
                    timestamp=output.timestamp_ms,
                )
            except BufferError:
                self._producer.poll(0.05)
            else:
                return

    def _commit(self, commits: Mapping[Place, Commit], membership: Any, meanwhile: Callable[[], bool]) -> None:
        """
        Add the offsets and commit.

        The offsets have one try: where it fails the transaction is aborted. Once the commit was asked for it
        is seen through: whether it happens is no longer ours to say.
        """
        offsets = [
            TopicPartition(topic, partition, commit.offset, commit.metadata)
            for (topic, partition), commit in commits.items()
        ]
        asked = False

        def first(producer: Producer) -> None:  # both in one call: each change of threads costs
            nonlocal asked
            if offsets:
                producer.send_offsets_to_transaction(offsets, membership, _CALL_TIMEOUT_S)
            asked = True
            producer.commit_transaction(_CALL_TIMEOUT_S)

        try:
            self._call(first, meanwhile)
        except KafkaException as error:
            if not (asked and _repeatable(error)):
                raise
            if not meanwhile():
                raise Abandoned from error
            self._again(lambda producer: producer.commit_transaction(_CALL_TIMEOUT_S), meanwhile)

    def _abort(self, meanwhile: Callable[[], bool]) -> None:
        try:
            self._again(lambda producer: producer.abort_transaction(_CALL_TIMEOUT_S), meanwhile)
        except KafkaException as error:
            raise Fenced(error.args[0].name()) from error
        except Stuck as stuck:
            raise Fenced("stuck") from stuck

    def _again(self, call: Callable[[Producer], object], meanwhile: Callable[[], bool]) -> None:
        """Repeat *call* while Kafka says that it may be repeated."""
        while True:
            try:
                self._call(call, meanwhile)
            except KafkaException as error:
                if not _repeatable(error):
                    raise
                if not meanwhile():
                    raise Abandoned from error
            else:
                return


def _repeatable(error: KafkaException) -> bool:
    return error.args[0].retriable() and not error.args[0].txn_requires_abort()
