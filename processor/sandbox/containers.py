"""Kafka and the registry in containers, where a Docker engine answers."""

from __future__ import annotations

import socket
import time
from typing import TYPE_CHECKING, Any, Final, TypeVar

from processor.sandbox import local_kafka, local_registry
from processor.sandbox.child import POLL_S
from processor.sandbox.ports import free_port
from processor.sandbox.probe import admin_client, kafka_answers, registry_answers
from processor.sandbox.service import Broker, DidNotStart, NotAvailable, Registry

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping


KAFKA_IMAGE: Final = f"apache/kafka:{local_kafka.VERSION}"
REGISTRY_IMAGE: Final = f"apicurio/apicurio-registry-mem:{local_registry.VERSION}"
REGISTRY_PORT: Final = 8080  # inside the container
CONTROLLER_PORT: Final = 9093  # inside the container
DEFAULT_ENGINE: Final = "unix:///var/run/docker.sock"
ENGINE_WITHIN_S: Final = 3
STOP_WITHIN_S: Final = 20
READY_WITHIN_S: Final = 120.0

S = TypeVar("S")


class Contained:
    """A container that may be stopped and started again with its port and its data."""

    can_restart = True

    def __init__(self, image: str, *, ports: dict[int, int], environ: dict[str, str]) -> None:
        from testcontainers.core.container import DockerContainer  # noqa: PLC0415 - a development dependency

        self.origin = f"{image} in Docker"
        self._container = DockerContainer(image).with_envs(**environ)
        for inside, outside in ports.items():
            self._container.with_bind_ports(inside, outside)
        try:
            self._container.start()
            self._wait()
        except BaseException:
            self._container.stop()
            raise

    def _answers(self) -> bool:
        raise NotImplementedError

    @property
    def _engine(self) -> Any:
        return self._container.get_wrapped_container()

    def stop(self) -> None:
        """Stop in order."""
        self._engine.stop(timeout=STOP_WITHIN_S)

    def kill(self) -> None:
        """Crash."""
        self._engine.kill()

    def restart(self) -> None:
        """Come back on the same port."""
        self.stop()
        self._engine.start()
        self._wait()

    def close(self) -> None:
        """Remove the container and its data."""
        self._container.stop()

    def _wait(self) -> None:
        """Return once it answers; each try of a mute server waits by itself."""
        deadline = time.monotonic() + READY_WITHIN_S
        while not self._answers():
            self._engine.reload()
            if self._engine.status != "running" or time.monotonic() > deadline:
                log = self._engine.logs(tail=20).decode(errors="replace")
                raise DidNotStart(f"{self.origin} is {self._engine.status} and does not answer:\n{log}")
            time.sleep(POLL_S)


class ContainedBroker(Contained, Broker):
    """A broker in a container, with the settings that the local one has."""

    def __init__(self) -> None:
        port = free_port()
        self.bootstrap = f"127.0.0.1:{port}"
        settings = {
            **local_kafka.SETTINGS,
            "listeners": f"PLAINTEXT://0.0.0.0:{port},CONTROLLER://127.0.0.1:{CONTROLLER_PORT}",
            "advertised.listeners": f"PLAINTEXT://{self.bootstrap}",
            "controller.quorum.voters": f"1@127.0.0.1:{CONTROLLER_PORT}",  # the image formats for a fixed quorum
        }
        environ = {"KAFKA_" + key.upper().replace(".", "_"): value for key, value in settings.items()}
        environ["KAFKA_HEAP_OPTS"] = " ".join(local_kafka.HEAP)
        super().__init__(KAFKA_IMAGE, ports={port: port}, environ=environ)

    def _answers(self) -> bool:
        with admin_client(self.bootstrap) as client:
            return kafka_answers(client)


class ContainedRegistry(Contained, Registry):
    """A registry in a container, in memory."""

    def __init__(self) -> None:
        port = free_port()
        self.url = f"http://127.0.0.1:{port}{local_registry.CONFLUENT_API}"
        super().__init__(REGISTRY_IMAGE, ports={REGISTRY_PORT: port}, environ={})

    def _answers(self) -> bool:
        return registry_answers(self.url)


def start_contained_broker(environ: Mapping[str, str]) -> Broker:
    """Start Kafka in Docker. Raises `NotAvailable` where no engine answers or the image cannot be had."""
    return _in_docker(ContainedBroker, environ)


def start_contained_registry(environ: Mapping[str, str]) -> Registry:
    """Start the registry in Docker. Raises `NotAvailable` where no engine answers or the image cannot be had."""
    return _in_docker(ContainedRegistry, environ)


def _in_docker(start: Callable[[], S], environ: Mapping[str, str]) -> S:
    _knock(environ.get("DOCKER_HOST", DEFAULT_ENGINE))
    try:
        import docker  # noqa: PLC0415 - a development dependency, comes with testcontainers
    except ImportError as error:
        raise NotAvailable("testcontainers is not installed") from error
    try:
        docker.from_env(timeout=ENGINE_WITHIN_S, environment=environ).ping()
    except docker.errors.DockerException as error:
        raise NotAvailable("no Docker engine answers") from error
    try:
        return start()
    except docker.errors.DockerException as error:
        raise NotAvailable(f"Docker answers, but does not run the image: {error}") from error


def _knock(engine: str) -> None:
    """Turn away at a socket that nobody listens on: there the Docker client leaks one of its own (docker 7.2.0)."""
    if engine.startswith("unix://"):
        with socket.socket(socket.AF_UNIX) as door:
            try:
                door.connect(engine.removeprefix("unix://"))
            except OSError as error:
                raise NotAvailable("no Docker engine answers") from error
