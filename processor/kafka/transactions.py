"""A transactional producer: everything of a tick is published and committed, or nothing is."""

from collections.abc import Callable, Iterable, Mapping
from typing import Any, Final, NamedTuple

from confluent_kafka import KafkaError, KafkaException, Message, Producer, TopicPartition

from processor.kafka.connection import Connection
from processor.kafka.member import Place

_CALL_TIMEOUT_S: Final = 0.5
_INIT_TIMEOUT_S: Final = 2.0  # then the member polls, and the same call goes on


class Aborted(Exception):
    """Nothing of the transaction is visible, and nothing is committed; *reason* is an error's name."""

    def __init__(self, reason: str) -> None:
        """Say which error of Kafka it was."""
        super().__init__(reason)
        self.reason = reason


class Fenced(Exception):
    """The producer can go on no more, and whether the last transaction counts is not known to it."""


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

    *meanwhile* is called between the tries of a call that takes long: `send_offsets` can take 14 s and
    an abort 30 s while a broker restarts, and a member that does not poll meanwhile is expelled.
    It returns False where the transaction must be given up (a partition in it was revoked).
    """

    def __init__(self, connection: Connection, transactional_id: str) -> None:
        """Make the producer; `start` claims the id."""
        self._connection = connection
        self._id = transactional_id
        self._failed: str | None = None
        self._producer = self._made()

    def start(self, meanwhile: Callable[[], bool] = lambda: True) -> None:
        """Claim the transactional id: an older producer's open transaction is aborted, and it is fenced."""
        while True:
            try:
                self._producer.init_transactions(_INIT_TIMEOUT_S)
            except KafkaException as error:
                if error.args[0].fatal():
                    raise Fenced(error.args[0].name()) from error
                meanwhile()
            else:
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

        Raises `Aborted` when neither is, `Fenced` when that cannot be told.
        """
        self._failed = None
        try:
            self._producer.begin_transaction()
            for output in outputs:
                self._produce(output)
            self._send_offsets(commits, membership, meanwhile)
            # Once the commit is asked for it is seen through: whether it happens is no longer ours to say.
            self._again(lambda: self._producer.commit_transaction(_CALL_TIMEOUT_S), lambda: _whatever(meanwhile))
        except KafkaException as error:
            reason = error.args[0]
            if reason.fatal():
                raise Fenced(reason.name()) from error
            self._abort(meanwhile)
            raise Aborted(self._why(reason)) from error
        except _GivenUp as given_up:
            self._abort(meanwhile)
            raise Aborted("revoked") from given_up

    def renew(self, meanwhile: Callable[[], bool]) -> None:
        """Replace the producer after `Fenced`; the same id aborts whatever the old one left open."""
        self._producer = self._made()
        self.start(meanwhile)

    def close(self) -> None:
        """Let the producer go; there is nothing to flush between transactions."""
        self._producer.purge()

    def _made(self) -> Producer:
        return Producer(self._connection.producer(self._id, self._on_delivery))

    def _on_delivery(self, error: KafkaError | None, _: Message) -> None:
        if error is not None:
            self._failed = error.name()

    def _why(self, reason: KafkaError) -> str:
        """Return the name of the failed delivery that made Kafka say *reason*, if that is what it was."""
        return reason.name() if self._failed is None else self._failed

    def _produce(self, output: Output) -> None:
        while True:
            try:
                self._producer.produce(output.topic, output.value, output.key, output.partition, headers=output.headers)
            except BufferError:
                self._producer.poll(0.05)
            else:
                return

    def _send_offsets(self, commits: Mapping[Place, Commit], membership: Any, meanwhile: Callable[[], bool]) -> None:
        if not commits:
            return
        offsets = [
            TopicPartition(topic, partition, commit.offset, commit.metadata)
            for (topic, partition), commit in commits.items()
        ]
        self._again(lambda: self._producer.send_offsets_to_transaction(offsets, membership, _CALL_TIMEOUT_S), meanwhile)

    def _abort(self, meanwhile: Callable[[], bool]) -> None:
        try:
            self._again(lambda: self._producer.abort_transaction(_CALL_TIMEOUT_S), lambda: _whatever(meanwhile))
        except KafkaException as error:
            raise Fenced(error.args[0].name()) from error

    def _again(self, call: Callable[[], object], meanwhile: Callable[[], bool]) -> None:
        """Repeat *call* while Kafka says that it may be repeated."""
        while True:
            try:
                call()
            except KafkaException as error:
                if not error.args[0].retriable() or error.args[0].txn_requires_abort():
                    raise
                if not meanwhile():
                    raise _GivenUp from error
            else:
                return


def _whatever(meanwhile: Callable[[], bool]) -> bool:
    """Let an abort go on to its end, whatever was revoked."""
    meanwhile()
    return True


class _GivenUp(Exception):
    """A partition of the transaction was revoked while it was being committed."""
