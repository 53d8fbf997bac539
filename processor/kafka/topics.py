"""The topics of the product as data: names, partitions, retention and clean-up."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

from processor.core.lanes import lanes_reached
from processor.core.plan import Plan
from processor.core.tiers import TIERS_S
from processor.core.words import DelayClass, Lane

DAY_MS: Final = 86_400_000
FOREVER: Final = -1
# What our own headers and the batch add to a value; the dead letter adds its own fields to it.
OVERHEAD_BYTES: Final = 65_536
BATCH_BYTES_MAX: Final = 1_048_576
"""
What every topic takes at least, however small messages are.

Kafka bounds whole batches, and librdkafka (2.16.0), which does not split one that is refused, makes them of up to
1,000,000 bytes: a stage whose next topic takes less would try the same tick for ever.
"""
SLOW_PROVIDER_PER_S: Final = 10.0
MARKER_KEY: Final = b"commproc.marker"
"""Key of the record that `topics apply` puts into each new partition of a send topic.

Its owner commits and trims past it before its first call, so that a log that starts at 0 without a
committed offset is new, and any other one without an offset has lost its journal.
"""


@dataclass(frozen=True, slots=True)
class Sizes:
    """Partition counts, retention and replication of the topics."""

    inbound: int = 4
    express: int = 2
    send: int = 2
    delay: int = 2
    events: int = 3
    dead_letter: int = 1
    replication_factor: int = 1
    inbound_retention_ms: int = 7 * DAY_MS
    ids_horizon_ms: int = 3 * DAY_MS  # 0: nothing is kept
    events_retention_ms: int = 30 * DAY_MS


@dataclass(frozen=True, slots=True)
class TopicSpec:
    """A topic as it has to be."""

    name: str
    partitions: int
    config: Mapping[str, str] = field(default_factory=dict)
    marked: bool = False  # gets a marker record in each new partition, see journal
    as_many_as: str | None = None  # a topic whose partitions it must have, however many those have become


@dataclass(frozen=True, slots=True)
class Names:
    """The names of all topics and groups under one *prefix*."""

    prefix: str = "comm"

    @property
    def outbound(self) -> str:
        """Where producers put messages."""
        return f"{self.prefix}.outbound"

    @property
    def express(self) -> str:
        """Where producers put one-time passwords."""
        return f"{self.prefix}.outbound.express"

    def ids(self, inbound: str) -> str:
        """Return where the ids seen on an inbound topic are kept: our own, for whoever takes its partitions over."""
        return f"{self.prefix}.ids{inbound.removeprefix(self.outbound)}"

    @property
    def delivery(self) -> str:
        """Every status a message reaches."""
        return f"{self.prefix}.events.delivery"

    @property
    def retry(self) -> str:
        """Every failed attempt that will be tried again."""
        return f"{self.prefix}.events.retry"

    @property
    def engagement(self) -> str:
        """Opens, clicks and unsubscribes."""
        return f"{self.prefix}.events.engagement"

    @property
    def receipts(self) -> str:
        """What providers report later."""
        return f"{self.prefix}.receipts"

    @property
    def orphans(self) -> str:
        """Receipts of messages that nobody here knows."""
        return f"{self.prefix}.receipts.orphaned"

    @property
    def parts(self) -> str:
        """Receipts of single parts of a text message, by the message's id: our own, to be added up."""
        return f"{self.prefix}.receipts.parts"

    @property
    def control(self) -> str:
        """Suppressions and recalls: the last one of each key is in force."""
        return f"{self.prefix}.control"

    @property
    def dead_letter(self) -> str:
        """What nobody could read, and what was rejected or failed."""
        return f"{self.prefix}.dead-letter"

    def send(self, provider: str, lane: Lane) -> str:
        """Return the topic of what may go to *provider* now."""
        return f"{self.prefix}.send.{provider}.{lane}"

    def send_parts(self, topic: str) -> tuple[str, Lane]:
        """Return the provider and lane of a send topic."""
        provider, _, lane = topic.removeprefix(f"{self.prefix}.send.").rpartition(".")
        return provider, Lane(lane)

    def delay(self, delay_class: DelayClass, seconds: int) -> str:
        """Return the topic whose records all wait *seconds*."""
        return f"{self.prefix}.delay.{delay_class}.{seconds}"

    def delay_wait_ms(self, topic: str) -> int:
        """Return how long the records of a delay tier wait."""
        return int(topic.rpartition(".")[2]) * 1_000

    def group(self, stage: str, part: str) -> str:
        """Return the consumer group of one loop."""
        return f"{self.prefix}.{stage}.{part}"


def topic_specs(plan: Plan, names: Names, sizes: Sizes) -> tuple[TopicSpec, ...]:
    """Return every topic that *plan* needs."""
    return (
        *_inbound(plan, names, sizes),
        *_ids(names, sizes),
        *_send(plan, names, sizes),
        *_delay(plan, names, sizes),
        *_events(plan, names, sizes),
    )


def send_topics(plan: Plan, names: Names) -> tuple[str, ...]:
    """Return the send topic of each provider and each lane that its channels reach."""
    return tuple(names.send(provider, lane) for provider, lanes in lanes_reached(plan).items() for lane in lanes)


def _config(retention_ms: int, max_bytes: int, **more: str) -> dict[str, str]:
    return {
        "cleanup.policy": "delete",
        "retention.ms": str(retention_ms),
        "max.message.bytes": str(max(max_bytes, BATCH_BYTES_MAX)),
        **{key.replace("_", "."): value for key, value in more.items()},
    }


def _inbound(plan: Plan, names: Names, sizes: Sizes) -> tuple[TopicSpec, ...]:
    # By the producer's clock, so that a record that is moved to the partition of its id keeps its timestamp.
    config = _config(
        sizes.inbound_retention_ms, 2 * plan.message_bytes_max + OVERHEAD_BYTES, message_timestamp_type="CreateTime"
    )
    return TopicSpec(names.outbound, sizes.inbound, config), TopicSpec(names.express, sizes.express, config)


def _ids(names: Names, sizes: Sizes) -> tuple[TopicSpec, ...]:
    if not sizes.ids_horizon_ms:
        return ()
    # By the broker's clock, so that "since an instant" is one offset; a day more than is asked for: clocks differ.
    config = _config(
        sizes.ids_horizon_ms + DAY_MS, BATCH_BYTES_MAX, message_timestamp_type="LogAppendTime", segment_ms=str(DAY_MS)
    )
    return tuple(
        TopicSpec(names.ids(inbound), partitions, config, as_many_as=inbound)
        for inbound, partitions in ((names.outbound, sizes.inbound), (names.express, sizes.express))
    )


def _send(plan: Plan, names: Names, sizes: Sizes) -> tuple[TopicSpec, ...]:
    # Never by time: the owner trims what lies below its low-water mark.
    config = _config(FOREVER, plan.message_bytes_max + OVERHEAD_BYTES, retention_bytes="-1")
    return tuple(
        TopicSpec(topic, _send_partitions(plan, names, topic, sizes), config, marked=True)
        for topic in send_topics(plan, names)
    )


def _send_partitions(plan: Plan, names: Names, topic: str, sizes: Sizes) -> int:
    rate = plan.providers[names.send_parts(topic)[0]].rate_per_s
    return 1 if rate is not None and rate < SLOW_PROVIDER_PER_S else sizes.send


def _delay(plan: Plan, names: Names, sizes: Sizes) -> tuple[TopicSpec, ...]:
    # LogAppendTime and one constant wait: each partition is in due order whoever wrote it.
    return tuple(
        TopicSpec(
            names.delay(delay_class, seconds),
            sizes.delay,
            _config(
                seconds * 1_000 + 7 * DAY_MS,
                plan.message_bytes_max + OVERHEAD_BYTES,
                message_timestamp_type="LogAppendTime",
            ),
        )
        for delay_class in DelayClass
        for seconds in TIERS_S
    )


def _control() -> dict[str, str]:
    # Compacted soon: a dispatcher reads all of it before its first marketing message.
    return _config(
        FOREVER, BATCH_BYTES_MAX, cleanup_policy="compact", segment_ms=str(DAY_MS), min_cleanable_dirty_ratio="0.1"
    )


def _events(plan: Plan, names: Names, sizes: Sizes) -> tuple[TopicSpec, ...]:
    small = _config(sizes.events_retention_ms, BATCH_BYTES_MAX)
    whole = _config(sizes.events_retention_ms, plan.message_bytes_max + 2 * OVERHEAD_BYTES)
    return (
        TopicSpec(names.delivery, sizes.events, small),
        TopicSpec(names.retry, sizes.events, small),
        TopicSpec(names.engagement, sizes.events, small),
        TopicSpec(names.receipts, sizes.events, small),
        TopicSpec(names.orphans, 1, small),
        TopicSpec(names.parts, sizes.events, small),
        TopicSpec(names.control, 1, _control()),
        TopicSpec(names.dead_letter, sizes.dead_letter, whole),
    )
