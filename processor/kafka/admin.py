"""Makes the topics as they have to be, and tells where they are not."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from time import monotonic, sleep
from typing import Any, Final

from confluent_kafka import KafkaError, KafkaException, Producer, TopicPartition
from confluent_kafka.admin import (
    AdminClient,
    AlterConfigOpType,
    ConfigEntry,
    ConfigResource,
    NewPartitions,
    NewTopic,
    OffsetSpec,
    ResourceType,
)

from processor.kafka.connection import Connection
from processor.kafka.topics import MARKER_KEY, TopicSpec

_TIMEOUT_S: Final = 30.0
_AGAIN_S: Final = 0.02
_NOT_YET: Final = {
    KafkaError.NOT_LEADER_FOR_PARTITION,
    KafkaError.LEADER_NOT_AVAILABLE,
    KafkaError.UNKNOWN_TOPIC_OR_PART,
    KafkaError.FENCED_LEADER_EPOCH,
    KafkaError.UNKNOWN_LEADER_EPOCH,
}


@dataclass(frozen=True, slots=True)
class Difference:
    """A topic that is not as it has to be; *found* is None where the topic, or its setting, is missing."""

    topic: str
    what: str  # "topic", "partitions" or a setting's name
    wanted: str
    found: str | None

    def __str__(self) -> str:
        """Say where, what, and what it has to be."""
        if self.what == "topic":
            return f"{self.topic}: is missing; run `commproc topics apply`"
        return f"{self.topic}: {self.what} is {self.found}, must be {self.wanted}; run `commproc topics apply`"


def hidden(differences: Sequence[Difference], specs: Sequence[TopicSpec]) -> list[str]:
    """Return what else may be the matter where none of *specs* was found: Kafka does not tell what it hides."""
    missing = {each.topic for each in differences if each.what == "topic"}
    if missing < {spec.name for spec in specs}:
        return []
    return [
        "If they exist, Kafka's access rules hide them from this account: see *Rights on Kafka* in docs/runbook.md."
    ]


class Topics:
    """The topics of a cluster, compared with specifications."""

    def __init__(self, connection: Connection) -> None:
        """Ask the cluster of *connection*."""
        self._connection = connection
        self._admin = AdminClient(connection.common())

    def partitions(self, names: Iterable[str]) -> dict[str, int]:
        """Return the number of partitions of those of *names* that exist."""
        known = self._admin.list_topics(timeout=_TIMEOUT_S).topics
        return {name: len(known[name].partitions) for name in names if name in known}

    def check(self, specs: Sequence[TopicSpec]) -> list[Difference]:
        """Return what differs; fewer partitions and another clean-up or retention differ, more partitions do not."""
        return self._differences(self._grown(specs))

    def _differences(self, specs: Sequence[TopicSpec]) -> list[Difference]:
        found = self.partitions(spec.name for spec in specs)
        missing = [Difference(spec.name, "topic", "present", None) for spec in specs if spec.name not in found]
        present = [spec for spec in specs if spec.name in found]
        fewer = [
            Difference(spec.name, "partitions", str(spec.partitions), str(found[spec.name]))
            for spec in present
            if found[spec.name] < spec.partitions
        ]
        return missing + fewer + self._settings(present)

    def apply(self, specs: Sequence[TopicSpec], replication_factor: int) -> list[Difference]:
        """Make and change what differs, write the markers, and return what had differed."""
        specs = self._grown(specs)
        differences = self._differences(specs)
        by_name = {spec.name: spec for spec in specs}
        self._create([by_name[each.topic] for each in differences if each.what == "topic"], replication_factor)
        self._grow([by_name[each.topic] for each in differences if each.what == "partitions"])
        self._alter([each for each in differences if each.what not in {"topic", "partitions"}])
        self._await([spec.name for spec in specs])
        self._mark([spec for spec in specs if spec.marked])
        return differences

    def _grown(self, specs: Sequence[TopicSpec]) -> list[TopicSpec]:
        """Return *specs*, those with as many partitions as another topic with what that has by now."""
        found = self.partitions(spec.as_many_as for spec in specs if spec.as_many_as is not None)
        return [replace(spec, partitions=max(spec.partitions, found.get(spec.as_many_as or "", 0))) for spec in specs]

    def _await(self, names: Sequence[str]) -> None:
        """Return once brokers tell of all topics: the controller has made them a moment before."""
        deadline_s = monotonic() + _TIMEOUT_S
        while missing := set(names) - self.partitions(names).keys():
            if monotonic() > deadline_s:
                raise TimeoutError(f"{min(missing)} was made, but no broker tells of it")
            sleep(_AGAIN_S)

    def _settings(self, specs: Sequence[TopicSpec]) -> list[Difference]:
        if not specs:
            return []
        futures = self._admin.describe_configs(
            [ConfigResource(ResourceType.TOPIC, spec.name) for spec in specs], request_timeout=_TIMEOUT_S
        )
        by_name = {resource.name: future for resource, future in futures.items()}
        return [each for spec in specs for each in _different(spec, by_name[spec.name].result())]

    def _create(self, specs: Sequence[TopicSpec], replication_factor: int) -> None:
        new = [NewTopic(spec.name, spec.partitions, replication_factor, config=dict(spec.config)) for spec in specs]
        if new:
            for future in self._admin.create_topics(new, request_timeout=_TIMEOUT_S).values():
                try:
                    future.result()
                except KafkaException as error:
                    if error.args[0].code() != KafkaError.TOPIC_ALREADY_EXISTS:
                        raise

    def _grow(self, specs: Sequence[TopicSpec]) -> None:
        if specs:
            grown = self._admin.create_partitions([NewPartitions(spec.name, spec.partitions) for spec in specs])
            for future in grown.values():
                future.result()

    def _alter(self, differences: Sequence[Difference]) -> None:
        changes: dict[str, list[ConfigEntry]] = {}
        for each in differences:
            entry = ConfigEntry(each.what, each.wanted, incremental_operation=AlterConfigOpType.SET)
            changes.setdefault(each.topic, []).append(entry)
        if changes:
            resources = [
                ConfigResource(ResourceType.TOPIC, topic, incremental_configs=entries)
                for topic, entries in changes.items()
            ]
            for future in self._admin.incremental_alter_configs(resources).values():
                future.result()

    def _mark(self, specs: Sequence[TopicSpec]) -> None:
        """Put the marker record into each partition in which nothing was ever written."""
        empty = self._empty(specs)
        if not empty:
            return
        producer = Producer(self._connection.common() | {"acks": "all", "enable.idempotence": True})
        failed: list[str] = []

        def delivered(error: KafkaError | None, _: Any) -> None:
            if error is not None:
                failed.append(error.name())

        for topic, partition in empty:
            producer.produce(topic, None, MARKER_KEY, partition, on_delivery=delivered)
        if producer.flush(_TIMEOUT_S) or failed:
            raise TimeoutError(f"markers could not be written: {failed[:1] or 'no answer'}")

    def _empty(self, specs: Sequence[TopicSpec]) -> list[tuple[str, int]]:
        counts = self.partitions(spec.name for spec in specs)
        places = [TopicPartition(topic, partition) for topic, count in counts.items() for partition in range(count)]
        if not places:
            return []
        return [place for place, end in self._ends(places).items() if end == 0]

    def _ends(self, places: Sequence[TopicPartition]) -> dict[tuple[str, int], int]:
        """Return the end offsets; a partition that was just made has no leader for a moment."""
        deadline_s = monotonic() + _TIMEOUT_S
        ends: dict[tuple[str, int], int] = {}
        while left := [place for place in places if (place.topic, place.partition) not in ends]:
            asked = self._admin.list_offsets(dict.fromkeys(left, OffsetSpec.latest()), request_timeout=_TIMEOUT_S)
            for place, future in asked.items():
                try:
                    ends[place.topic, place.partition] = future.result().offset
                except KafkaException as error:
                    if monotonic() > deadline_s or error.args[0].code() not in _NOT_YET:
                        raise
                    sleep(_AGAIN_S)
        return ends


def _different(spec: TopicSpec, found: Mapping[str, ConfigEntry]) -> list[Difference]:
    return [
        Difference(spec.name, key, wanted, found[key].value if key in found else None)
        for key, wanted in spec.config.items()
        if key not in found or found[key].value != wanted
    ]
