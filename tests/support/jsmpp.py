"""jsmpp's simulator of a short message centre on this machine's Java: written by others, so that mistakes show."""

from __future__ import annotations

import os
import shutil
import tempfile
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Final

from processor.sandbox.child import Child
from processor.sandbox.maven import fetched, java
from processor.sandbox.ports import free_port

if TYPE_CHECKING:
    from collections.abc import Iterator

VERSION: Final = "3.0.2"
POM: Final = Path(__file__).with_name("jsmpp-pom.xml")
SYSTEM_ID: Final = "j"
PASSWORD: Final = "jpwd"


class Simulator:
    """A running simulator; it takes one bind at a time, so nobody may probe its port."""

    def __init__(self, child: Child, port: int) -> None:
        self._child = child
        self.port = port

    @property
    def log(self) -> str:
        return self._child.log.read_text(errors="replace")


@contextmanager
def simulator() -> Iterator[Simulator]:
    """Run a simulator. Raises `NotAvailable` without Java 17+, or without Maven the first time."""

    def goals(target: Path) -> Iterator[str]:
        yield from ("-f", str(POM), "dependency:copy-dependencies", f"-DoutputDirectory={target}")

    java_command = java(os.environ)
    jars = fetched(f"jsmpp-{VERSION}", goals, os.environ)
    folder = Path(tempfile.mkdtemp(prefix="commproc-jsmpp-"))
    port = free_port()
    command = [*java_command, "-Xmx128m", f"-Djsmpp.simulator.port={port}", "-cp", f"{jars}/*"]
    child = Child([*command, "org.jsmpp.examples.SMPPServerSimulator"], folder=folder)
    try:
        running = Simulator(child, port)
        child.wait_until(lambda: "Listening" in running.log, within_s=30, what="jsmpp's simulator")
        yield running
    finally:
        child.kill()
        shutil.rmtree(folder, ignore_errors=True)
