"""Apache Kafka on this machine's Java: one node, free ports, data in a temporary folder."""

from __future__ import annotations

import base64
import shutil
import subprocess
import tempfile
import uuid
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Final

from processor.sandbox.child import LOG_NAME, Child
from processor.sandbox.maven import fetched, java
from processor.sandbox.ports import free_port
from processor.sandbox.probe import admin_client, kafka_answers
from processor.sandbox.service import Broker, DidNotStart

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

VERSION: Final = "4.3.1"
POM: Final = Path(__file__).with_name("kafka-pom.xml")
READY_WITHIN_S: Final = 60.0
HEAP: Final = ("-Xms512M", "-Xmx1G")
LOGGING: Final = (
    "-Dorg.slf4j.simpleLogger.showDateTime=true",
    "-Dorg.slf4j.simpleLogger.dateTimeFormat=HH:mm:ss.SSS",
    "-Dorg.slf4j.simpleLogger.log.org.apache.kafka.common.config.AbstractConfig=warn",  # else 400 lines each time
)
START_TRIES: Final = 3  # another process may take a free port between our look and Kafka's bind

SETTINGS: Final[Mapping[str, str]] = {
    "process.roles": "broker,controller",
    "node.id": "1",
    "listener.security.protocol.map": "PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT",
    "controller.listener.names": "CONTROLLER",
    "default.replication.factor": "1",
    "offsets.topic.replication.factor": "1",
    "transaction.state.log.replication.factor": "1",
    "transaction.state.log.min.isr": "1",
    "share.coordinator.state.topic.replication.factor": "1",
    "share.coordinator.state.topic.min.isr": "1",
    "offsets.topic.num.partitions": "8",  # 50 by default, created at the first commit: a slower start for nothing
    "transaction.state.log.num.partitions": "8",
    "group.initial.rebalance.delay.ms": "0",
    # A broker that comes back after a crash waits for its own old session to end: 9 s by default.
    "broker.session.timeout.ms": "2000",
    "broker.heartbeat.interval.ms": "500",
    "auto.create.topics.enable": "false",  # a misspelt topic must fail, as in production
    "message.max.bytes": str(16 * 1024 * 1024),
    "transaction.abort.timed.out.transaction.cleanup.interval.ms": "1000",
    "log.cleaner.dedupe.buffer.size": str(16 * 1024 * 1024),  # 128 MiB by default, a quarter of the heap
}


class LocalBroker(Broker):
    """
    A broker of our own; `kill` and `restart` keep its data and its port.

    With *accounts*, names and passwords, it has a second listener, `guarded`, where clients say who they are (SASL
    PLAIN) and nobody may do anything until access rules allow it; who comes by `bootstrap` may do everything.
    """

    can_restart = True
    origin = f"Apache Kafka {VERSION} on this machine's Java"

    def __init__(self, *, java_command: Sequence[str], jars: Path, accounts: Mapping[str, str] | None = None) -> None:
        self._accounts = accounts or {}
        self.guarded = ""
        self._java = (*java_command, "-cp", f"{jars}/*")
        self._folder = Path(tempfile.mkdtemp(prefix="commproc-kafka-"))
        self._cluster = short_uuid()
        try:
            self._child = self._first_start()
        except BaseException:
            shutil.rmtree(self._folder, ignore_errors=True)
            raise

    @property
    def pid(self) -> int:
        """The broker's process id, for tests that freeze it."""
        return self._child.pid

    @property
    def log(self) -> Path:
        """The file that holds the broker's log."""
        return self._child.log

    def stop(self) -> None:
        """Stop in order."""
        self._child.stop()

    def kill(self) -> None:
        """Crash."""
        self._child.kill()

    def restart(self) -> None:
        """Come back on the same port with the same data."""
        self._child.stop()
        self._child = self._start()

    def close(self) -> None:
        """End at once: an orderly stop would only tidy data that are deleted next."""
        self._child.kill()
        shutil.rmtree(self._folder, ignore_errors=True)

    def _first_start(self, tries: int = START_TRIES) -> Child:
        self._configure(broker_port=free_port(), controller_port=free_port())
        self._format()
        try:
            return self._start()
        except DidNotStart:
            if tries == 1 or "Address already in use" not in (self._folder / LOG_NAME).read_text(errors="replace"):
                raise
        return self._first_start(tries - 1)

    def _configure(self, *, broker_port: int, controller_port: int) -> None:
        self.bootstrap = f"127.0.0.1:{broker_port}"
        own = {
            "listeners": f"PLAINTEXT://{self.bootstrap},CONTROLLER://127.0.0.1:{controller_port}",
            "advertised.listeners": f"PLAINTEXT://{self.bootstrap}",
            "controller.quorum.bootstrap.servers": f"127.0.0.1:{controller_port}",
            "log.dirs": str(self._folder / "data"),
        }
        if self._accounts:
            self.guarded = f"127.0.0.1:{free_port()}"
            own |= _guard(own, self.guarded, self._accounts)
        lines = (f"{key}={value}\n" for key, value in {**SETTINGS, **own}.items())
        (self._folder / "server.properties").write_text("".join(lines))

    def _format(self) -> None:
        shutil.rmtree(self._folder / "data", ignore_errors=True)
        format_storage(self._java, self._folder, "--standalone", "-t", self._cluster, within_s=READY_WITHIN_S)

    def _start(self) -> Child:
        program, *classpath = self._java
        child = Child([program, *HEAP, *LOGGING, *classpath, "kafka.Kafka", "server.properties"], folder=self._folder)
        try:
            with admin_client(self.bootstrap) as client:
                ready = partial(kafka_answers, client, self._cluster)
                child.wait_until(ready, within_s=READY_WITHIN_S, what=self.origin)
        except BaseException:
            child.kill()
            raise
        return child


def _guard(own: Mapping[str, str], address: str, accounts: Mapping[str, str]) -> dict[str, str]:
    """Return the settings of a listener at *address* for *accounts*, and of access rules."""
    known = " ".join(f'user_{name}="{password}"' for name, password in accounts.items())
    return {
        "listeners": f"{own['listeners']},GUARDED://{address}",
        "advertised.listeners": f"{own['advertised.listeners']},GUARDED://{address}",
        "listener.security.protocol.map": "PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT,GUARDED:SASL_PLAINTEXT",
        "listener.name.guarded.sasl.enabled.mechanisms": "PLAIN",
        "listener.name.guarded.plain.sasl.jaas.config": "org.apache.kafka.common.security.plain.PlainLoginModule "
        f"required {known};",
        "authorizer.class.name": "org.apache.kafka.metadata.authorizer.StandardAuthorizer",
        "super.users": "User:ANONYMOUS",
    }


def short_uuid() -> str:
    """Return a new id as Kafka writes them; one that begins with a hyphen would be taken for an option."""
    return base64.urlsafe_b64encode(b"\0" + uuid.uuid4().bytes[1:]).decode().rstrip("=")


def format_storage(java_command: Sequence[str], folder: Path, *options: str, within_s: float) -> None:
    """Prepare the data folder that `server.properties` in *folder* names. Raises `DidNotStart`."""
    done = subprocess.run(
        [*java_command, "kafka.tools.StorageTool", "format", *options, "-c", "server.properties"],
        cwd=folder,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
        timeout=within_s,
    )
    if done.returncode:
        raise DidNotStart(f"Kafka's storage tool failed:\n{(done.stdout + done.stderr)[-2000:]}")


def kafka_jars(environ: Mapping[str, str]) -> Path:
    """Return the folder with Kafka's jars, downloaded the first time. Raises `NotAvailable` without Maven."""

    def goals(target: Path) -> Iterator[str]:
        yield from ("-f", str(POM), "dependency:copy-dependencies", f"-DoutputDirectory={target}")

    return fetched(f"kafka-{VERSION}", goals, environ)


def start_local_broker(environ: Mapping[str, str]) -> Broker:
    """Start a broker, downloading Kafka the first time. Raises `NotAvailable` without Java 17+ or Maven."""
    return LocalBroker(java_command=java(environ), jars=kafka_jars(environ))
