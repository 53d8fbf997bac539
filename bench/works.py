"""The processor as it runs in production: each stage a process of its own, and a sandbox in the provider's place."""

from __future__ import annotations

import json
import math
import os
import sys
import tempfile
import threading
import time
import urllib.error
import urllib.request
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from shutil import rmtree
from typing import TYPE_CHECKING, Any, Final

from confluent_kafka import Producer

from processor.cli.common import codecs_of, specs_of
from processor.core.message import Head, Message
from processor.kafka.admin import Topics
from processor.sandbox.child import Child
from processor.sandbox.ledger import Entry, read_ledger
from processor.sandbox.ports import free_port
from processor.settings import load

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence

    from confluent_kafka import KafkaError
    from confluent_kafka import Message as Acknowledged

STAGES: Final = ("intake", "delay", "dispatch")
CHANNEL, PASSWORDS = "SMS", "SMSOTP"
READY_WITHIN_S: Final = 60.0
STAYED: Final = "group.stayed"  # what a process logs that ends without having left its group
TICKS_A_SECOND: Final = os.sysconf("SC_CLK_TCK")


class Unclean(Exception):
    """A process did not stop in order: what was measured beside it is not what it says."""


def now_ms() -> int:
    return time.time_ns() // 1_000_000


def tree(bootstrap: str, prefix: str, address: str, **provider: Any) -> dict[str, Any]:
    """Return a configuration with one provider of text messages for a channel and its one-time passwords."""
    text = {
        "adapter": "http",
        "bus_provider": "Texts",
        "bus_channel": "SMS",
        "url": address,
        "recipient_kind": "phone",
        "body": {"to": "{{ to }}", "text": "{{ text }}"},
        "idempotency_header": "Idempotency-Key",
        "headers": {"X-Comm-Attempt": "{{ attempt }}"},
        "concurrency": 100,
    }
    channel = {"action": "SMS", "bus_channel": "SMS", "bus_provider": "Texts", "provider": "Text"}
    return {
        "kafka": {"bootstrap": bootstrap},
        "topics": {"prefix": prefix},
        "channels": {
            CHANNEL: dict(channel),
            PASSWORDS: channel | {"lane": "express", "validity": "5m", "in_doubt": "report"},
        },
        "providers": {"Text": text | provider},
        "metrics": {"port": 0},
    }


class Works:
    """A running processor; what it was asked is put by `ask`, what its provider was sent is in `calls`."""

    def __init__(self, bootstrap: str, folder: Path, change: Callable[[dict[str, Any]], None], **provider: Any) -> None:
        """Start the sandbox, and make the topics; *change* alters the configuration before."""
        self.folder = folder
        self._port = free_port()
        self._sandbox = self._child("sandbox", "sandbox", *self._ports(), "--ledger", str(folder / "ledger.jsonl"))
        made = tree(bootstrap, folder.name, f"http://127.0.0.1:{self._port}/sms", **provider)
        change(made)
        (folder / "commproc.yaml").write_text(json.dumps(made, indent=2), encoding="utf-8")
        self.settings = load(folder / "commproc.yaml", {})
        self.names = self.settings.topics.names()
        self.encode = codecs_of(self.settings).outbound.encode_message
        Topics(self.settings.kafka.connection()).apply(specs_of(self.settings), 1)
        self._sandbox.wait_until(partial(_answers, self._port, "/healthz"), within_s=READY_WITHIN_S, what="the sandbox")
        self._stages: dict[tuple[str, str], Child] = {}
        more = {"acks": "all", "linger.ms": 5, "partitioner": "murmur2_random", "compression.type": "zstd"}
        self._producer = Producer(
            self.settings.kafka.connection().common() | more | {"queue.buffering.max.messages": 200_000}
        )
        self._prompt = Producer(self.settings.kafka.connection().common() | more | {"linger.ms": 0})

    # -- processes --------------------------------------------------------------------------------

    def start(self, *stages: str, slot: str = "0") -> None:
        """Start a process for each stage, and return once all are ready."""
        self.start_soon(*stages, slot=slot)
        for stage in stages:
            self._stages[stage, slot].wait_until(
                partial(self._is_ready, stage, slot), within_s=READY_WITHIN_S, what=f"commproc {stage}"
            )

    def start_soon(self, *stages: str, slot: str = "0") -> None:
        """Start a process for each stage."""
        for stage in stages:
            self._stages[stage, slot] = self._child(f"{stage}-{slot}", "run", "--stage", stage, "--slot", slot)

    def kill(self, stage: str, slot: str = "0") -> None:
        """End a process as a crash would."""
        self._stages.pop((stage, slot)).kill()

    def stop(self, stage: str, slot: str = "0") -> None:
        """Ask a process to end, and wait for it. Raises `Unclean`."""
        stop_cleanly(self._stages.pop((stage, slot)), f"commproc {stage}, slot {slot}")

    def wait_until_owners(self, loop: str, slots: Iterable[str], *, within_s: float = READY_WITHIN_S) -> None:
        """Return once the *loop* of each of *slots* owns partitions: before that a member has no part of the work."""
        stage, left, until_s = loop.split(".", maxsplit=1)[0], set(slots), time.monotonic() + within_s
        while left := {slot for slot in left if not self._owned(stage, slot, loop)}:
            if time.monotonic() > until_s:
                raise TimeoutError(f"{loop} of slots {sorted(left)} owned no partition within {within_s:g} s")
            time.sleep(0.2)

    def _owned(self, stage: str, slot: str, loop: str) -> float:
        port = self._port_of(stage, slot)
        return owned(_page(port, "/metrics") or "", loop) if port else 0.0

    def cpu_s(self, *stages: str) -> float:
        """Return the processor time that the processes of these stages have spent so far."""
        spent = 0
        for (stage, _), child in self._stages.items():
            if stage in stages:
                fields = Path(f"/proc/{child.pid}/stat").read_text(encoding="ascii").rpartition(")")[2].split()
                spent += int(fields[11]) + int(fields[12])
        return spent / TICKS_A_SECOND

    def _is_ready(self, stage: str, slot: str) -> bool:
        port = self._port_of(stage, slot)
        return port is not None and _answers(port, "/readyz")

    def _port_of(self, stage: str, slot: str) -> int | None:
        for line in self._stages[stage, slot].log.read_text(encoding="utf-8").splitlines():
            if line.startswith("{") and line.endswith("}") and (told := json.loads(line))["event"] == "process.started":
                return int(told["port"])
        return None

    def _child(self, name: str, *arguments: str) -> Child:
        folder = self.folder / f"{name}-{time.time_ns()}"
        folder.mkdir()
        environ = {"COMMPROC_CONFIG": str(self.folder / "commproc.yaml")}
        return Child([sys.executable, "-m", "processor.cli", *arguments], folder=folder, environ=environ)

    def _ports(self) -> list[str]:
        other = [part for each in ("smtp", "smsc") for part in (f"--{each}-port", str(free_port()))]
        return ["--http-port", str(self._port), *other]

    # -- messages ---------------------------------------------------------------------------------

    def ask(self, messages: Iterable[Message]) -> None:
        """Put messages on the inbound topic; returns once all are acknowledged."""
        for each in messages:
            value = self.encode(each)
            while True:
                try:
                    self._producer.produce(self.names.outbound, value, each.head.message_id.encode())
                except BufferError:
                    self._producer.poll(0.1)
                else:
                    break
            self._producer.poll(0)
        self._producer.flush()

    def ask_urgently(self, messages: Sequence[Message], *, per_s: float) -> dict[str, float]:
        """Put messages on the express topic, *per_s* of them a second; returns when each was acknowledged, Unix ms."""
        acknowledged: dict[str, float] = {}

        def delivered(error: KafkaError | None, record: Acknowledged) -> None:
            if error is None:
                acknowledged[(record.key() or b"").decode()] = time.time_ns() / 1e6

        begun_s = time.monotonic()
        for number, each in enumerate(messages):
            while (left_s := begun_s + number / per_s - time.monotonic()) > 0:
                self._prompt.poll(left_s)
            key = each.head.message_id.encode()
            self._prompt.produce(self.names.express, self.encode(each), key, on_delivery=delivered)
        self._prompt.flush()
        return acknowledged

    def calls(self) -> list[Entry]:
        """Return what the provider was sent so far."""
        return read_ledger(self.folder / "ledger.jsonl")

    def arrived(self, name: str, count: int, *, within_s: float) -> dict[str, int]:
        """Return when each message `name-…` first reached the provider (Unix ms), once *count* of them have."""
        return self._seen(lambda calls: began_ms(calls, name), count, within_s)

    def accepted(self, name: str, count: int, *, within_s: float) -> dict[str, int]:
        """Return when the provider first took each message `name-…` (Unix ms), once it has *count* of them."""
        return self._seen(lambda calls: taken_ms(calls, name), count, within_s)

    def _seen(self, seen: Callable[[Iterable[Entry]], dict[str, int]], count: int, within_s: float) -> dict[str, int]:
        until_s = time.monotonic() + within_s
        while True:
            found = seen(self.calls())
            if len(found) >= count:
                return found
            if time.monotonic() > until_s:
                raise TimeoutError(f"{len(found):,} messages of {count:,} within {within_s:g} s; see {self.folder}")
            time.sleep(0.5)

    def called(self) -> int:
        """Return how many calls the provider has had."""
        with (self.folder / "ledger.jsonl").open("rb") as ledger:
            return sum(chunk.count(b"\n") for chunk in iter(partial(ledger.read, 1 << 20), b""))

    def wait_for(self, calls: int, *, within_s: float) -> None:
        """Return once the provider has had so many calls."""
        until_s = time.monotonic() + within_s
        while (found := self.called()) < calls:
            if time.monotonic() > until_s:
                raise TimeoutError(f"{found} calls of {calls} within {within_s:g} s; look into {self.folder}")
            time.sleep(0.2)

    def close(self) -> None:
        """End everything."""
        for child in (*self._stages.values(), self._sandbox):
            child.kill()


class Stream:
    """Asks for messages `name-…` at a steady rate until told to end, of each of *priorities* in turn."""

    def __init__(self, made: Works, name: str, *, per_s: float, priorities: Sequence[int] = (4,)) -> None:
        """Begin at once."""
        self._made, self._name, self._per_s, self._priorities = made, name, per_s, priorities
        self._ended = threading.Event()
        self.asked = 0
        self._thread = threading.Thread(target=self._run)
        self._thread.start()

    def end(self) -> None:
        """Ask for no more."""
        self._ended.set()
        self._thread.join()

    def _run(self) -> None:
        begun_s = time.monotonic()
        while not self._ended.wait(0.02):
            wanted = int((time.monotonic() - begun_s) * self._per_s)
            self._made.ask(map(self._text, range(self.asked, wanted)))
            self.asked = wanted

    def _text(self, number: int) -> Message:
        return text(f"{self._name}-{number}", priority=self._priorities[number % len(self._priorities)])


@contextmanager
def works(
    bootstrap: str,
    name: str,
    *,
    stages: Sequence[str] = STAGES,
    change: Callable[[dict[str, Any]], None] = lambda _: None,
    **provider: Any,
) -> Iterator[Works]:
    """Return a processor whose *stages* are ready; *provider* are settings of its one provider."""
    folder = Path(tempfile.mkdtemp(prefix=f"bench-{name}-"))
    made = Works(bootstrap, folder, change, **provider)
    try:
        made.start(*stages)
        yield made
    finally:
        made.close()
        rmtree(folder, ignore_errors=True)


def text(message_id: str, channel: str = CHANNEL, *, size: int = 0, **head: Any) -> Message:
    """Return a text message; with *size* given, of about so many bytes."""
    content = "Your appointment is tomorrow at ten." if not size else "x" * max(1, size - 100)
    return Message(Head(message_id, channel, **head), to="+40700000111", text=content)


def began_ms(calls: Iterable[Entry], name: str) -> dict[str, int]:
    """Return when the first call of each message `name-…` began, Unix ms: what may not be early."""
    return _first(((each.message_id, each.first_byte_ms) for each in calls), name)


def taken_ms(calls: Iterable[Entry], name: str) -> dict[str, int]:
    """Return when the provider had each message `name-…` whole for the first time and took it, Unix ms."""
    return _first(((each.message_id, each.at_ms) for each in calls if each.accepted), name)


def _first(told: Iterable[tuple[str | None, int]], name: str) -> dict[str, int]:
    """Return the first instant that is told of each message `name-…`."""
    found: dict[str, int] = {}
    for message_id, at_ms in told:
        if message_id is not None and message_id.startswith(f"{name}-"):
            found.setdefault(message_id, at_ms)
    return found


def stop_cleanly(child: Child, what: str) -> None:
    """Ask a process to end, and wait for it. Raises `Unclean` where it did not end as one that stops in order does."""
    child.stop()
    if child.exit_code != 0:
        raise Unclean(f"{what} ended with {child.exit_code} where it was to stop:\n{child.last_lines()}")
    if STAYED in child.log.read_text(encoding="utf-8", errors="replace"):
        raise Unclean(f"{what} did not leave its group, which waits for its session:\n{child.last_lines()}")


def owned(page: str, loop: str) -> float:
    """Return how many partitions the *loop* of a process owns, of its page of metrics."""
    series = f'comm_partitions_assigned{{loop="{loop}"}} '
    return sum(float(line.removeprefix(series)) for line in page.splitlines() if line.startswith(series))


def quantiles(values: Iterable[float], *wanted: float) -> list[float]:
    """Return the values at *wanted*, each from 0 to 1, by the nearest rank."""
    ordered = sorted(values)
    return [ordered[min(len(ordered) - 1, max(0, math.ceil(each * len(ordered)) - 1))] for each in wanted]


def _answers(port: int, path: str) -> bool:
    return _page(port, path) is not None


def _page(port: int, path: str) -> str | None:
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}{path}", timeout=2) as answer:
            return str(answer.read().decode()) if answer.status == 200 else None
    except (OSError, urllib.error.URLError):
        return None
