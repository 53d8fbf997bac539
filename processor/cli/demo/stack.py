"""Everything that the demo runs: broker, sandbox, topics, and each stage as a process of its own."""

import sys
import tempfile
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from http.client import HTTPConnection, HTTPException
from pathlib import Path
from secrets import token_hex
from shutil import rmtree
from time import monotonic
from typing import Final, Self

from confluent_kafka.admin import AdminClient

from processor.cli.demo.config import write_config
from processor.cli.demo.mix import left_before
from processor.kafka.topics import Names
from processor.sandbox.broker import Broker, GivenBroker, find_broker
from processor.sandbox.child import Child
from processor.sandbox.ports import free_port
from processor.sandbox.service import DidNotStart
from processor.settings import Settings, load
from processor.stages.assembly import STAGES

READY_WITHIN_S: Final = 30.0
_OK: Final = 200
_ANSWER_S: Final = 10.0

Say = Callable[[str, str], None]
"""Tells what was done, and how."""


class Stack:
    """A running processor with all that is around it; as a context manager it ends with everything it started."""

    settings: Settings

    def __init__(self, say: Say) -> None:
        """Start nothing yet; each step is told to *say*."""
        self._say = say
        self._children: dict[str, Child] = {}
        self._broker: Broker | None = None
        self.folder = Path(tempfile.mkdtemp(prefix="commproc-demo-"))
        self.config = self.folder / "commproc.yaml"
        self.ledger = self.folder / "ledger.jsonl"
        self.ports = {name: free_port() for name in ("smtp", "http", "smsc", "links", *STAGES)}
        self.names = Names(f"demo-{token_hex(3)}")
        self.keep_folder = False

    def __enter__(self) -> Self:
        """Start everything. Raises `NotAvailable`, whose text says what to install or what went wrong."""
        try:
            self._start()
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, kind: type[BaseException] | None = None, *_: object) -> None:
        """End everything: each step is taken, whatever becomes of the one before."""
        self.keep_folder |= kind is not None and issubclass(kind, Exception)
        with ExitStack() as steps:  # the last is taken first
            steps.callback(self._tidy)
            steps.callback(self._leave_broker)
            steps.callback(self.stop)

    def stop(self) -> Mapping[str, int]:
        """Stop the stages, then the sandbox, each cleanly if it heeds SIGTERM; returns the exit codes of the stages."""
        stages = [self._children[name] for name in STAGES if name in self._children]
        with ThreadPoolExecutor() as pool:
            list(pool.map(Child.stop, stages))
        for child in self._children.values():
            child.stop()
        return {name: child.exit_code or 0 for name, child in self._children.items() if name in STAGES}

    def ended(self) -> list[str]:
        """Return which of the processes that have to run have ended."""
        return [name for name in ("sandbox", *STAGES) if self._children[name].ended()]

    def log(self, name: str) -> Path:
        """Return the file with the output of one of our processes."""
        return self.folder / name / "server.log"

    @property
    def mailbox(self) -> tuple[str, int]:
        """Return where the sandbox shows the mails that it accepted."""
        return "127.0.0.1", self.ports["http"]

    def metrics_url(self, stage: str) -> str:
        """Return where the metrics of *stage* are."""
        return f"http://127.0.0.1:{self.ports[stage]}/metrics"

    def recall(self, campaign: str) -> None:
        """Recall a campaign, as an operator does; returns before it is done."""
        self._child("recall", "recall", "--campaign", campaign, "--within", "0")

    # -- in order ---------------------------------------------------------------------------------

    def _start(self) -> None:
        self._sandbox()  # it starts while the broker does
        bootstrap = self._found_broker()
        write_config(self.config, prefix=self.names.prefix, bootstrap=bootstrap, ports=self.ports)
        self.settings = load(self.config, {})
        self._say("configuration", str(self.config))
        self._ready("sandbox", "http", "/healthz")
        smtp, http, smsc = (f"127.0.0.1:{self.ports[name]}" for name in ("smtp", "http", "smsc"))
        self._say("sandbox", f"SMTP {smtp}, HTTP http://{http}, SMPP {smsc}")
        self._topics()
        self._suppressed()
        self._stages()

    def _found_broker(self) -> str:
        began_s = monotonic()
        self._say("broker", "looking for a Kafka; the first time it may be downloaded")
        self._broker = find_broker()
        self._say("broker", f"{self._broker.origin}, {self._broker.bootstrap} ({monotonic() - began_s:.1f} s)")
        return self._broker.bootstrap

    def _sandbox(self) -> None:
        ports = [part for name in ("smtp", "http", "smsc") for part in (f"--{name}-port", str(self.ports[name]))]
        self._child("sandbox", "sandbox", *ports, "--ledger", str(self.ledger), "--mailbox", str(self.folder / "mails"))

    def _topics(self) -> None:
        began_s = monotonic()
        child = self._child("topics", "topics", "apply")
        if not child.ended(within_s=READY_WITHIN_S) or child.exit_code:
            raise DidNotStart(f"`commproc topics apply` failed:\n{child.last_lines()}")
        self._say("topics", f"{self.names.prefix}.* ({monotonic() - began_s:.1f} s)")

    def _suppressed(self) -> None:
        """Put those on the suppression list who had left before."""
        addresses = self.folder / "left.txt"
        addresses.write_text("".join(f"{each}\n" for each in left_before()), encoding="utf-8")
        child = self._child("suppress", "suppress", "--file", str(addresses))
        if not child.ended(within_s=READY_WITHIN_S) or child.exit_code:
            raise DidNotStart(f"`commproc suppress` failed:\n{child.last_lines()}")

    def _stages(self) -> None:
        began_s = monotonic()
        for stage in STAGES:
            self._child(stage, "run", "--stage", stage)
        for stage in STAGES:
            self._ready(stage, stage, "/readyz")
        pids = ", ".join(f"{stage} {self._children[stage].pid}" for stage in STAGES)
        self._say("stages", f"process ids: {pids} ({monotonic() - began_s:.1f} s)")

    # -- how --------------------------------------------------------------------------------------

    def _child(self, name: str, *arguments: str) -> Child:
        """Start `commproc` with *arguments*; it sees no more of our environment than `Child` lets it."""
        folder = self.folder / name
        folder.mkdir()
        environ = {"COMMPROC_CONFIG": str(self.config)}
        if name in STAGES:
            environ["COMMPROC_METRICS_PORT"] = str(self.ports[name])
        command = [sys.executable, "-m", "processor.cli", *arguments]
        self._children[name] = Child(command, folder=folder, environ=environ)
        return self._children[name]

    def _ready(self, name: str, port: str, path: str) -> None:
        def answers() -> bool:
            return http_status(self.ports[port], path) == _OK

        self._children[name].wait_until(answers, within_s=READY_WITHIN_S, what=f"commproc {name}")

    def _leave_broker(self) -> None:
        """Stop one of our own; leave one that is not ours as it was."""
        if isinstance(self._broker, GivenBroker):
            admin = AdminClient({"bootstrap.servers": self._broker.bootstrap})
            ours = [
                topic for topic in admin.list_topics(timeout=_ANSWER_S).topics if topic.startswith(self.names.prefix)
            ]
            for future in admin.delete_topics(ours, request_timeout=_ANSWER_S).values() if ours else ():
                future.result()
        if self._broker is not None:
            self._broker.close()

    def _tidy(self) -> None:
        if self.keep_folder:
            self._say("look into", f"{self.folder}: configuration, ledger, a log of each process")
        else:
            rmtree(self.folder, ignore_errors=True)


def http_status(port: int, path: str) -> int | None:
    """Return the status of a GET to one of our own servers; None where nobody answers."""
    connection = HTTPConnection("127.0.0.1", port, timeout=2.0)
    try:
        connection.request("GET", path)
        return connection.getresponse().status
    except (OSError, HTTPException):
        return None
    finally:
        connection.close()
