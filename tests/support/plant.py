"""A whole processor as a test sees it: real processes, real topics of its own, a sandbox, and three ledgers."""

from __future__ import annotations

import json
import os
import signal
import sys
import urllib.error
import urllib.request
from concurrent.futures import wait
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from itertools import count
from pathlib import Path
from typing import TYPE_CHECKING, Any

from confluent_kafka import Consumer, KafkaError, Message, TopicPartition

from processor.cli.common import codecs_of, specs_of
from processor.codec.errors import TooLarge, Unreadable
from processor.core.audit.story import Rules
from processor.core.message import Attachment, Head, Origin
from processor.core.message import Message as Outbound
from processor.kafka.admin import Topics
from processor.kafka.topics import send_topics
from processor.sandbox.child import Child
from processor.settings import load
from processor.stages.zones import zones
from tests.support.cluster import Cluster, fresh
from tests.support.eventually import eventually
from tests.support.ledgers import Asked, Ledgers
from tests.support.sandboxed import Sandboxed

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

    from processor.codec.events import Event

    Changes = Mapping[str, Any] | Callable[["Sandboxed"], Mapping[str, Any]]

ROOT = Path(__file__).parents[2]
STAGES = ("intake", "delay", "dispatch")
TEXT = "canary-body-0815"
SUBJECT = "canary-subject-2342"
PASSWORD = "canary-token-4711"
PROPERTY = "canary-property-1618"
RECIPIENT = "canary.recipient.3141"


def configuration(bootstrap: str, prefix: str, sandbox: Sandboxed) -> dict[str, Any]:
    """Return a small configuration: mail by SMTP, text messages and one-time passwords by HTTP."""
    service = {
        "adapter": "http",
        "bus_provider": "Texts",
        "bus_channel": "SMS",
        "url": f"{sandbox.http_url}/sms",
        "recipient_kind": "phone",
        "auth": "bearer",
        "token": {"env": "CANARY_TOKEN"},
        "body": {"to": "{{ to }}", "text": "{{ text }}"},
        "idempotency_header": "Idempotency-Key",
        "headers": {"X-Comm-Attempt": "{{ attempt }}"},
        "concurrency": 40,
        "breaker": {"share": 1},  # most recipients of a test make their provider fail
    }
    mail = {
        "adapter": "smtp",
        "bus_provider": "Mails",
        "bus_channel": "EMAIL",
        "host": "127.0.0.1",
        "port": sandbox.smtp_port,
        "tls": "off",
        "from_address": "service@example.com",
        "concurrency": 40,
    }
    retry = {"max_attempts": 2, "interval": "1s"}
    texts = {"action": "SMS", "bus_channel": "SMS", "bus_provider": "Texts", "retry": retry}
    return {
        "kafka": {
            "bootstrap": bootstrap,
            "replication_factor": 1,
            "session_timeout": "6s",
            "transaction_timeout": "6s",
        },
        "topics": {
            "prefix": prefix,
            "partitions": {"inbound": 2, "express": 1, "send": 2, "delay": 1, "events": 1, "dead_letter": 1},
        },
        "limits": {"message_bytes_max": "2MiB"},
        "channels": {
            "Email": {
                "action": "EMAIL",
                "bus_channel": "EMAIL",
                "bus_provider": "Mails",
                "provider": "Mail",
                "retry": retry,
            },
            "SMS": texts | {"provider": "Text"},
            "SMSOTP": texts | {"provider": "TextOTP", "lane": "express", "validity": "5m", "in_doubt": "report"},
        },
        "providers": {"Mail": mail, "Text": service, "TextOTP": service},
        "metrics": {"port": 0},
    }


class Plant:
    """
    One processor under a topic prefix of its own.

    *changes* go over its configuration, and may depend on the sandbox, whose own settings *sandboxed* are. What it was
    asked is remembered with the acknowledgement; `ledgers` and `check` join it with what happened. Its processes end
    with it, whatever a test does.
    """

    def __init__(
        self,
        bootstrap: str,
        folder: Path,
        *,
        changes: Changes | None = None,
        sandboxed: Mapping[str, Any] | None = None,
    ) -> None:
        self.cluster = Cluster.at(bootstrap)
        self.folder = folder
        self.sandbox = Sandboxed(folder / "ledger.jsonl", **(sandboxed or {}))
        self.environ = {"CANARY_TOKEN": PASSWORD, "PYTHONPATH": str(ROOT)}  # the code that is tested, wherever it lies
        self.config = folder / "commproc.yaml"
        wanted = changes(self.sandbox) if callable(changes) else changes or {}
        tree = _merged(configuration(bootstrap, fresh("plant"), self.sandbox), wanted)
        self.config.write_text(json.dumps(tree, indent=2))  # JSON is YAML without aliases
        self.settings = load(self.config, self.environ)
        self.names = self.settings.topics.names()
        self.codecs = codecs_of(self.settings)
        self.specs = specs_of(self.settings)
        Topics(self.cluster.connection).apply(self.specs, self.settings.kafka.replication_factor)
        self.asked: dict[Origin, Asked] = {}
        self.unplaced: dict[tuple[str, int, bytes], Asked] = {}  # acknowledged without an offset, by place and key
        self.processes: dict[str, Child] = {}
        self.logs: list[Path] = []
        self._numbers = count(1)
        self._producer = self.cluster.producer(
            **{"message.max.bytes": 30_000_000, "compression.type": "gzip", "enable.idempotence": True}
        )
        self._events: list[Event] = []
        self._reader = self._events_reader()

    # -- processes ----------------------------------------------------------------------------------

    def start(
        self,
        *stages: str,
        slot: str = "0",
        ready: bool = True,
        environ: Mapping[str, str] | None = None,
        config: Path | None = None,
        wrapped: Sequence[str] = (),
        options: Sequence[str] = (),
    ) -> None:
        """
        Start a process for each stage, and wait until all are ready.

        *config* is another configuration than the plant's; *wrapped* a command that becomes the one that it is given.
        """
        for stage in stages:
            folder = self.folder / f"{stage}-{slot}-{next(self._numbers)}"
            folder.mkdir()
            command = [*wrapped, sys.executable, "-m", "processor.cli", "run", "--stage", stage, "--slot", slot]
            command += ["--config", str(config or self.config), *options]
            child = Child(command, folder=folder, environ={**self.environ, **(environ or {})})
            self.processes[f"{stage}/{slot}"] = child
            self.logs.append(child.log)
        for stage in stages if ready else ():
            child = self.processes[f"{stage}/{slot}"]
            child.wait_until(partial(self.is_ready, stage, slot), within_s=30, what=f"commproc {stage}")

    def kill(self, stage: str, slot: str = "0") -> None:
        """End a process as a crash would."""
        self.processes[f"{stage}/{slot}"].kill()

    def terminate(self, stage: str, slot: str = "0", *, within_s: float = 15.0) -> int:
        """Ask a process to stop, and return its exit code."""
        child = self.processes[f"{stage}/{slot}"]
        os.kill(child.pid, signal.SIGTERM)
        assert child.ended(within_s=within_s), f"{stage} did not stop within {within_s} s:\n{child.last_lines()}"
        assert child.exit_code is not None
        return child.exit_code

    def freeze(self, stage: str, slot: str = "0") -> None:
        """Stop a process without its knowing."""
        os.kill(self.processes[f"{stage}/{slot}"].pid, signal.SIGSTOP)

    def thaw(self, stage: str, slot: str = "0") -> None:
        """Let it go on."""
        os.kill(self.processes[f"{stage}/{slot}"].pid, signal.SIGCONT)

    def alive(self) -> dict[str, bool]:
        """Return which processes run."""
        return {name: not child.ended() for name, child in self.processes.items()}

    def is_ready(self, stage: str, slot: str = "0") -> bool:
        """Tell whether a process says that work is flowing."""
        try:
            return self._get(stage, slot, "/readyz") is not None
        except (OSError, StopIteration):
            return False

    def address(self, stage: str, slot: str = "0") -> str:
        """Return host:port of the metrics of a process."""
        started = next(line for line in self.lines(stage, slot) if line["event"] == "process.started")
        return f"127.0.0.1:{started['port']}"

    def metric(self, stage: str, name: str, /, slot: str = "0", **labels: str) -> float:
        """Return the sum of the series of a metric that have *labels*."""
        wanted = [f'{key}="{value}"' for key, value in labels.items()]
        lines = (self._get(stage, slot, "/metrics") or "").splitlines()
        series = [line for line in lines if line.split("{")[0].split(" ")[0] == name]
        return sum(float(line.rpartition(" ")[2]) for line in series if all(each in line for each in wanted))

    def metrics(self, stage: str, slot: str = "0") -> str:
        """Return the whole scrape."""
        return self._get(stage, slot, "/metrics") or ""

    def highest_mib(self, stage: str, slot: str = "0") -> int:
        """Return the most memory that a process has had (Linux)."""
        status = Path(f"/proc/{self.processes[f'{stage}/{slot}'].pid}/status").read_text(encoding="ascii")
        return int(status.split("VmHWM:")[1].split()[0]) // 1_024

    def lines(self, stage: str, slot: str = "0") -> list[dict[str, Any]]:
        """Return what a process has logged."""
        raw = self.processes[f"{stage}/{slot}"].log.read_bytes().splitlines(keepends=True)
        return [json.loads(line) for line in raw if line.startswith(b"{") and line.endswith(b"}\n")]

    def output(self) -> str:
        """Return everything that any process has written to standard output and error."""
        return "".join(path.read_text(errors="replace") for path in self.logs)

    def _get(self, stage: str, slot: str, path: str) -> str | None:
        try:
            with urllib.request.urlopen(f"http://{self.address(stage, slot)}{path}", timeout=5) as answer:
                return str(answer.read().decode())
        except urllib.error.HTTPError:
            return None

    # -- messages -----------------------------------------------------------------------------------

    def ask(self, messages: Iterable[Outbound], topic: str | None = None, **more: Any) -> None:
        """Put *messages* on their inbound topics, and return once they are acknowledged."""
        for each in messages:
            self.ask_soon(each, topic, **more)
        self.flush()

    def ask_soon(self, message: Outbound, topic: str | None = None, **more: Any) -> None:
        """Put a message on its inbound topic, and remember it once it is acknowledged."""
        head = message.head
        express = head.channel.endswith("OTP")
        asked = Asked(head.message_id, head.start_at_ms or 0)
        value = self.codecs.outbound.encode_message(message)
        to = topic or (self.names.express if express else self.names.outbound)
        self.put(value, asked, to, key=head.message_id.encode(), **more)

    def put(self, value: bytes | None, asked: Asked, topic: str, **more: Any) -> None:
        """Put any bytes on a topic, and remember them once they are acknowledged; `flush` waits for that."""
        remembered = replace(asked, head=self._head(value), content=hash(value))

        def delivered(error: KafkaError | None, message: Message) -> None:
            if error is not None:
                return
            topic, partition, offset = message.topic() or "", message.partition() or 0, message.offset()
            if offset is None:
                self.unplaced[topic, partition, message.key() or b""] = remembered
            else:
                self.asked[Origin(topic, partition, offset)] = remembered

        self._producer.produce(topic, value, on_delivery=delivered, **more)
        self._producer.poll(0)

    def repeated(self) -> dict[Origin, Asked]:
        """
        Return the records that lie on an inbound topic beside one of the same message that was acknowledged.

        A producer's client writes one twice where the answer to the first was lost with the leader that gave it
        (librdkafka 2.16.0, idempotent, as two of three nodes were killed); it tells its user of the second alone. Or
        it hears that a record had been written before, and cannot say where: such a record is placed here.
        """
        named = {origin: each.message_id for origin, each in self.asked.items() if each.message_id is not None}
        known = {(*origin[:2], name.encode()): self.asked[origin] for origin, name in named.items()}
        found = {}
        for record in self.cluster.read([self.names.outbound, self.names.express]):
            origin = Origin(record.topic() or "", record.partition() or 0, record.offset() or 0)
            key = (*origin[:2], record.key() or b"")
            if origin in self.asked:
                continue
            if key in self.unplaced:
                self.asked[origin] = known[key] = self.unplaced.pop(key)
            elif key in known:
                found[origin] = known[key]
        return found

    def _head(self, value: bytes | None) -> Head | None:
        try:
            return self.codecs.outbound.decode_head(value)
        except (Unreadable, TooLarge):
            return None

    def flush(self) -> None:
        """Wait for the acknowledgement of everything put."""
        assert self._producer.flush(60) == 0

    # -- what came of them ----------------------------------------------------------------------------

    def ledgers(self) -> Ledgers:
        """Return the three ledgers as they are now."""
        self.read()
        ledgers = Ledgers(self.asked, self.sandbox.entries(), Rules(self.settings.plan(), zones))
        ledgers.add(self._events)
        return ledgers

    def read(self) -> list[Event]:
        """Return the events that have come since this was asked last."""
        messages = self._reader.consume(10_000, 0.1)
        values = [message.value() for message in messages if message.error() is None]
        new = [self.codecs.events.decode_event(value) for value in values]
        self._events += new
        return new

    def ended(self, word: str) -> int:
        """Return how many messages have ended whose ids begin with *word*."""
        return sum(each.terminal and each.message_id.startswith(word) for each in self.ledgers().delivery)

    def drained(self, *, within_s: float, waiting: Sequence[str] = ()) -> Ledgers:
        """Return the ledgers once nothing that was asked is without an end, but for what is *waiting*."""

        def ended() -> bool:
            ledgers = self.ledgers()
            return ledgers.ended(waiting) and "lost" not in ledgers.breaches(waiting)

        def unended() -> str:
            lost = self.ledgers().breaches(waiting).get("lost")
            return f"{lost} without an end; alive: {self.alive()}"

        eventually(ended, within_s=within_s, what=unended)
        return self.ledgers()

    def check(self, *, waiting: Sequence[str] = ()) -> Ledgers:
        """Return the ledgers, read to the end; fails with every broken promise."""
        ledgers = self.ledgers()
        known = -1
        while len(ledgers.delivery) > known:
            known, ledgers = len(ledgers.delivery), self.ledgers()
        breaches = ledgers.breaches(waiting)
        told = "\n".join(f"{name}: {line.broken}, such as {line.examples}" for name, line in breaches.items())
        assert not breaches, told
        return ledgers

    def lag(self) -> dict[tuple[str, int], int]:
        """Return the partitions of all groups whose committed offset is not their end, with what is left."""
        left = {}
        for group, topics in self._groups().items():
            places = self.cluster.places(topics)
            committed, ends = self.cluster.committed(group, places), self.cluster.ends(places)
            for place in places:
                behind = ends[place] - (committed[place].offset if place in committed else 0)
                if behind:
                    left[place] = behind
        return left

    def settled(self) -> bool:
        """Tell whether no transaction is open, or is being committed; to be asked while all are frozen."""
        return self.cluster.settled([*(spec.name for spec in self.specs), "__consumer_offsets"])

    def _groups(self) -> dict[str, list[str]]:
        names = self.names
        send = send_topics(self.settings.plan(), names)
        delays = [spec.name for spec in self.specs if ".delay." in spec.name]
        return {
            names.group("intake", "express"): [names.express],
            names.group("intake", "rest"): [names.outbound],
            names.group("delay", "urgent"): [each for each in delays if ".urgent." in each],
            names.group("delay", "rest"): [each for each in delays if ".rest." in each],
            names.group("dispatch", "express"): [each for each in send if each.endswith(".express")],
            names.group("dispatch", "rest"): [each for each in send if not each.endswith(".express")],
        }

    def _events_reader(self) -> Consumer:
        reader = Consumer(
            self.cluster.connection.common()
            | {"group.id": fresh("events"), "isolation.level": "read_committed", "enable.auto.commit": False}
            | {"auto.offset.reset": "earliest", "fetch.wait.max.ms": 20}
        )
        names = self.names
        topics = [names.delivery, names.retry, names.engagement, names.dead_letter, names.receipts]
        reader.assign([TopicPartition(*place, 0) for place in self.cluster.places(topics)])
        return reader

    def close(self) -> None:
        """End every process, the reader and the sandbox."""
        for child in self.processes.values():
            child.kill()
        self._reader.close()
        # The broker serves all tests, and each of its partitions costs every one of them a little.
        wait(self.cluster.admin.delete_topics([spec.name for spec in self.specs]).values(), timeout=10)
        self.sandbox.close()


@contextmanager
def plant(bootstrap: str, folder: Path, *, running: Sequence[str] = STAGES, **more: Any) -> Iterator[Plant]:
    """Return a plant whose stages *running* are ready."""
    made = Plant(bootstrap, folder, **more)
    try:
        made.start(*running)
        yield made
    finally:
        made.close()


def message(
    message_id: str,
    channel: str = "Email",
    *,
    to: str | None = None,
    properties: Mapping[str, str] | None = None,
    text: str = TEXT,
    cc: Sequence[str] = (),
    attachments: Sequence[Attachment] = (),
    **head: Any,
) -> Outbound:
    """Return a message with canaries in everything that must stay secret."""
    recipient = to or (f"{RECIPIENT}@example.com" if channel == "Email" else "+40700000111")
    known = {"p": PROPERTY} if properties is None else properties
    return Outbound(
        Head(message_id, channel, **head),
        to=recipient,
        cc=tuple(cc),
        subject=SUBJECT,
        text=text,
        attachments=tuple(attachments),
        properties=known,
    )


def _merged(tree: dict[str, Any], changes: Mapping[str, Any]) -> dict[str, Any]:
    """Return *tree* with *changes* in their places."""
    merged = dict(tree)
    for key, value in changes.items():
        merged[key] = (
            _merged(merged[key], value) if isinstance(merged.get(key), dict) and isinstance(value, dict) else value
        )
    return merged
