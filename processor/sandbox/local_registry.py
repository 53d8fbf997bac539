"""Apicurio Registry on this machine's Java, in memory."""

from __future__ import annotations

import shutil
import tempfile
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Final

from processor.sandbox.child import LOG_NAME, Child
from processor.sandbox.maven import fetched, java
from processor.sandbox.ports import free_port
from processor.sandbox.probe import registry_answers
from processor.sandbox.service import DidNotStart, Registry

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

VERSION: Final = "2.6.13.Final"
PLUGIN: Final = "org.apache.maven.plugins:maven-dependency-plugin:2.8"
CONFLUENT_API: Final = "/apis/ccompat/v7"
READY_WITHIN_S: Final = 60.0
START_TRIES: Final = 3


class LocalRegistry(Registry):
    """A registry of our own; it keeps its port, but a restarted one has forgotten everything."""

    can_restart = True
    origin = f"Apicurio Registry {VERSION} on this machine's Java"

    def __init__(self, *, java_command: Sequence[str], program: Path) -> None:
        self._command = (*java_command, "-Xmx512m", "-jar", str(program))
        self._folder = Path(tempfile.mkdtemp(prefix="commproc-registry-"))
        try:
            self._child = self._first_start()
        except BaseException:
            shutil.rmtree(self._folder, ignore_errors=True)
            raise

    def stop(self) -> None:
        """Stop in order."""
        self._child.stop()

    def kill(self) -> None:
        """Crash."""
        self._child.kill()

    def restart(self) -> None:
        """Come back on the same port, empty."""
        self._child.stop()
        self._child = self._start()

    def close(self) -> None:
        """End at once: nothing of it is kept."""
        self._child.kill()
        shutil.rmtree(self._folder, ignore_errors=True)

    def _first_start(self, tries: int = START_TRIES) -> Child:
        self._port = free_port()
        self.url = f"http://127.0.0.1:{self._port}{CONFLUENT_API}"
        try:
            return self._start()
        except DidNotStart:
            if tries == 1 or "already in use" not in (self._folder / LOG_NAME).read_text(errors="replace"):
                raise
        return self._first_start(tries - 1)

    def _start(self) -> Child:
        environ = {"QUARKUS_HTTP_HOST": "127.0.0.1", "QUARKUS_HTTP_PORT": str(self._port)}
        child = Child(self._command, folder=self._folder, environ=environ)
        try:
            child.wait_until(partial(registry_answers, self.url), within_s=READY_WITHIN_S, what=self.origin)
        except BaseException:
            child.kill()
            raise
        return child


def start_local_registry(environ: Mapping[str, str]) -> Registry:
    """Start a registry, downloading it the first time. Raises `NotAvailable` without Java 17+ or Maven."""

    def goals(target: Path) -> Iterator[str]:
        artifact = f"io.apicurio:apicurio-registry-app:{VERSION}:tar.gz:all"
        yield from (f"{PLUGIN}:unpack", f"-Dartifact={artifact}", f"-DoutputDirectory={target}")

    java_command = java(environ)
    program = fetched(f"apicurio-{VERSION}", goals, environ) / f"apicurio-registry-app-{VERSION}-runner.jar"
    return LocalRegistry(java_command=java_command, program=program)
