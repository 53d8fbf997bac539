"""Apache Kafka of several nodes on this machine's Java: what a crash of a broker is survived by."""

from __future__ import annotations

import shutil
import tempfile
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Final

from confluent_kafka import KafkaException

from processor.sandbox.child import Child
from processor.sandbox.local_kafka import LOGGING, SETTINGS, VERSION, format_storage, kafka_jars, short_uuid
from processor.sandbox.maven import java
from processor.sandbox.ports import free_port
from processor.sandbox.probe import admin_client, kafka_answers

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from types import TracebackType
    from typing import Self

HEAP: Final = ("-Xms256M", "-Xmx512M")
ASK_FOR_S: Final = 5.0
READY_WITHIN_S: Final = 240.0  # after a crash it recovers the log of each partition, on a busy machine for minutes


@dataclass(slots=True)
class Node:
    """A broker that is a controller as well."""

    number: int  # from 1: Kafka's node.id
    folder: Path
    detour: int | None = None  # the port that the listener of `Node.detoured` tells its clients
    port: int = field(default_factory=free_port)
    detoured: int = field(default_factory=free_port)
    controller: int = field(default_factory=free_port)
    directory: str = field(default_factory=short_uuid)
    child: Child | None = None

    @property
    def address(self) -> str:
        """Where clients reach it."""
        return f"127.0.0.1:{self.port}"

    def settings(self, nodes: Sequence[Node]) -> dict[str, str]:
        """Return what its configuration holds beyond what all local brokers have."""
        copies = str(len(nodes))
        listeners = {"PLAINTEXT": self.port} | ({} if self.detour is None else {"DETOUR": self.detoured})
        advertised = {"PLAINTEXT": self.port} | ({} if self.detour is None else {"DETOUR": self.detour})
        return {
            "node.id": str(self.number),
            # Where the machine is busy, a broker that is only slow would be fenced after less.
            "broker.session.timeout.ms": "6000",
            "broker.heartbeat.interval.ms": "1000",
            "listeners": _addresses(listeners | {"CONTROLLER": self.controller}),
            "advertised.listeners": _addresses(advertised),
            "listener.security.protocol.map": "PLAINTEXT:PLAINTEXT,DETOUR:PLAINTEXT,CONTROLLER:PLAINTEXT",
            "inter.broker.listener.name": "PLAINTEXT",
            "controller.quorum.bootstrap.servers": ",".join(f"127.0.0.1:{each.controller}" for each in nodes),
            "log.dirs": str(self.folder / "data"),
            "default.replication.factor": copies,
            "min.insync.replicas": str(len(nodes) // 2 + 1),
            "offsets.topic.replication.factor": copies,
            "transaction.state.log.replication.factor": copies,
            "transaction.state.log.min.isr": str(len(nodes) // 2 + 1),
            "share.coordinator.state.topic.replication.factor": copies,
        }


class LocalCluster:
    """
    Brokers of our own, every topic on each of them; acknowledged is what a majority has.

    *detours* are ports, one for each node, that a second listener tells its clients: what listens there decides what
    becomes of their connections, and leads them on to `Node.detoured`. Nodes keep ports and data over `kill` and
    `restart`.
    """

    def __init__(self, nodes: int, *, java_command: Sequence[str], jars: Path, detours: Sequence[int] = ()) -> None:
        self._java = (*java_command, "-cp", f"{jars}/*")
        self._folder = Path(tempfile.mkdtemp(prefix="commproc-cluster-"))
        self._id = short_uuid()
        self.origin = f"Apache Kafka {VERSION} on this machine's Java, nodes: {nodes}"
        ports = [*detours, *[None] * (nodes - len(detours))]
        self.nodes = [Node(number, self._folder / str(number), ports[number - 1]) for number in range(1, nodes + 1)]
        try:
            for node in self.nodes:
                self._format(node)
            self._start(self.nodes)
        except BaseException:
            self.close()
            raise

    @property
    def bootstrap(self) -> str:
        """Where clients begin."""
        return ",".join(node.address for node in self.nodes)

    def kill(self, *numbers: int) -> None:
        """Crash these nodes."""
        for child in self._children(numbers):
            child.kill()

    def stop(self, *numbers: int) -> None:
        """Stop these nodes in order."""
        for child in self._children(numbers):
            child.stop()

    def restart(self, *numbers: int) -> None:
        """Start these nodes where they were, and return once they answer."""
        self.stop(*numbers)
        self._start([self.nodes[number - 1] for number in numbers])

    def leader_of(self, topic: str, partition: int) -> int | None:
        """Return the node that leads a partition; None where none does, or no node answers."""
        with admin_client(self.bootstrap) as client:
            try:
                known = client.list_topics(topic, timeout=ASK_FOR_S).topics[topic]
            except KafkaException:
                return None
        found = known.partitions.get(partition)
        return found.leader if found is not None and found.leader > 0 else None

    def whole(self) -> bool:
        """Tell whether every replica of every partition is in sync; not where no node answers."""
        with admin_client(self.bootstrap) as client:
            try:
                topics = client.list_topics(timeout=ASK_FOR_S).topics.values()
            except KafkaException:
                return False
        parts = [part for topic in topics for part in topic.partitions.values()]
        return all(part.leader > 0 and len(part.isrs) == len(part.replicas) for part in parts)

    def logs(self) -> list[Path]:
        """Return the files that hold the logs of all nodes."""
        return [node.child.log for node in self.nodes if node.child is not None]

    def close(self) -> None:
        """End at once: an orderly stop would only tidy data that are deleted next."""
        for node in self.nodes:
            if node.child is not None:
                node.child.kill()
        shutil.rmtree(self._folder, ignore_errors=True)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _children(self, numbers: Sequence[int]) -> Iterator[Child]:
        for number in numbers:
            child = self.nodes[number - 1].child
            if child is not None:
                yield child

    def _format(self, node: Node) -> None:
        node.folder.mkdir(parents=True)
        lines = (f"{key}={value}\n" for key, value in {**SETTINGS, **node.settings(self.nodes)}.items())
        (node.folder / "server.properties").write_text("".join(lines))
        voters = ",".join(f"{each.number}@127.0.0.1:{each.controller}:{each.directory}" for each in self.nodes)
        options = ("-t", self._id, "--initial-controllers", voters)
        format_storage(self._java, node.folder, *options, within_s=READY_WITHIN_S)

    def _start(self, nodes: Sequence[Node]) -> None:
        """Start *nodes* together: a controller alone answers nobody."""
        program, *classpath = self._java
        for node in nodes:
            command = [program, *HEAP, *LOGGING, *classpath, "kafka.Kafka", "server.properties"]
            node.child = Child(command, folder=node.folder)
        for node in nodes:
            assert node.child is not None  # noqa: S101 - started right above
            with admin_client(node.address) as client:
                ready = partial(kafka_answers, client, self._id)
                node.child.wait_until(ready, within_s=READY_WITHIN_S, what=f"node {node.number} of {self.origin}")


def _addresses(ports: Mapping[str, int]) -> str:
    return ",".join(f"{name}://127.0.0.1:{port}" for name, port in ports.items())


def start_local_cluster(nodes: int, environ: Mapping[str, str], *, detours: Sequence[int] = ()) -> LocalCluster:
    """Start a cluster, downloading Kafka the first time. Raises `NotAvailable` without Java 17+ or Maven."""
    return LocalCluster(nodes, java_command=java(environ), jars=kafka_jars(environ), detours=detours)
