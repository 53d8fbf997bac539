"""How to reach Kafka, and the client settings that the design rests on."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

SESSION_TIMEOUT_MS: Final = 10_000
TRANSACTION_TIMEOUT_MS: Final = 10_000
IDLE_WAIT_MS: Final = 100
"""Of a fetch by whoever goes on reading: the end of an idle partition is heard so late at the most."""


@dataclass(frozen=True, slots=True)
class Connection:
    """The address of a cluster and what its security asks for; *security* holds librdkafka's own keys."""

    bootstrap: str
    security: Mapping[str, str] = field(default_factory=dict, repr=False)
    session_timeout_ms: int = SESSION_TIMEOUT_MS
    transaction_timeout_ms: int = TRANSACTION_TIMEOUT_MS

    def common(self) -> dict[str, Any]:
        """Return what every client needs."""
        return {
            "bootstrap.servers": self.bootstrap,
            # Critical only: it writes to standard error beside our log, hundreds of lines while a broker is away.
            "log_level": 2,
            # A broker that restarts is back within the poll interval of a person, not of a default.
            "reconnect.backoff.ms": 50,
            "reconnect.backoff.max.ms": 1_000,
            **self.security,
        }

    def consumer(self, group: str, instance: str | None = None, *, queue_kbytes: int = 16_384) -> dict[str, Any]:
        """
        Return the settings of a group member that reads committed records and commits by transaction.

        `auto.offset.reset=error`: a partition whose offsets are gone has lost its journal, and is held.
        With librdkafka's default `fetch.queue.backoff.ms` of 1,000 a full queue costs a second. A broker answers a
        waiting fetch as soon as a record is committed: `IDLE_WAIT_MS` makes an idle member cheap, and no hop longer.
        """
        settings = self.common() | {
            "group.id": group,
            "partition.assignment.strategy": "cooperative-sticky",
            "session.timeout.ms": self.session_timeout_ms,
            "heartbeat.interval.ms": max(500, self.session_timeout_ms // 10),
            "isolation.level": "read_committed",
            "enable.auto.commit": False,
            "enable.auto.offset.store": False,
            "auto.offset.reset": "error",
            "enable.partition.eof": True,
            "fetch.wait.max.ms": IDLE_WAIT_MS,
            "fetch.queue.backoff.ms": 5,
            "fetch.error.backoff.ms": 50,
            "queued.max.messages.kbytes": queue_kbytes,
            "topic.metadata.refresh.interval.ms": 30_000,
        }
        return settings if instance is None else settings | {"group.instance.id": instance}

    def reader(self, name: str, *, wait_ms: int = 20) -> dict[str, Any]:
        """
        Return the settings of a consumer of committed records that is in no group, and commits nothing.

        The client wants a group's *name* all the same. A fetch of nothing is answered after *wait_ms*.
        """
        return self.common() | {
            "group.id": name,
            "isolation.level": "read_committed",
            "enable.auto.commit": False,
            "auto.offset.reset": "earliest",
            "enable.partition.eof": True,
            "fetch.wait.max.ms": wait_ms,
            "fetch.queue.backoff.ms": 5,
            "fetch.error.backoff.ms": 50,
            "queued.max.messages.kbytes": 16_384,
        }

    def producer(self, transactional_id: str, on_delivery: Callable[[Any, Any], None]) -> dict[str, Any]:
        """Return the settings of a transactional producer that reports only failed deliveries."""
        return self.common() | {
            "transactional.id": transactional_id,
            "transaction.timeout.ms": self.transaction_timeout_ms,
            "message.timeout.ms": self.transaction_timeout_ms - 1_000,
            "acks": "all",
            # While a tick is being decided, requests of single records would cost more than the wait. The flush of a
            # commit waits for no linger: a transaction of one record takes as long with 0 (6.15 and 5.83 ms, in turns).
            "linger.ms": 20,
            # As Java producers choose it, so that a key finds the same partition whoever writes it.
            "partitioner": "murmur2_random",
            "retry.backoff.ms": 2,
            "retry.backoff.max.ms": 50,
            "message.max.bytes": 16_777_216,
            "queue.buffering.max.messages": 200_000,
            "delivery.report.only.error": True,
            "on_delivery": on_delivery,
        }
