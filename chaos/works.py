"""What is drilled: a cluster, the processor's members, a sandbox as their providers, and detours between them."""

from __future__ import annotations

import json
import os
import shutil
import signal
from collections import Counter
from contextlib import ExitStack, contextmanager
from functools import partial
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from chaos import mounts
from chaos.certificates import EXPIRED, VALID, authorities, certificate
from chaos.detour import Detour, Detours
from chaos.mounts import Names
from chaos.newcomer import newer, written_by
from processor.codec.contracts import latest
from processor.codec.errors import RegistryUnavailable
from processor.codec.registry import Registry
from processor.sandbox.broker import find_registry
from processor.sandbox.ledger import now_ms
from processor.sandbox.local_cluster import LocalCluster, start_local_cluster
from processor.sandbox.local_registry import CONFLUENT_API
from tests.support.eventually import eventually
from tests.support.plant import Plant, message

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterator
    from pathlib import Path
    from random import Random
    from typing import Self

    from chaos.load import Load
    from chaos.opens import Opens
    from processor.core.message import Message, Origin
    from tests.support.ledgers import Asked
    from tests.support.sandboxed import Sandboxed

MEMBERS: Final = (
    *(("intake", "0"), ("delay", "0"), ("dispatch", "0"), ("tracking", "0")),
    *(("intake", "1"), ("delay", "1"), ("dispatch", "1")),
)
"""Two of each stage that shares its work; slot 1 and tracking reach Kafka by way of the detours."""

ANSWER = {"default": {"rule": "accept", "delay_ms": 300}}
"""Providers take a while, so that there are always calls under way."""

READY_WITHIN_S: Final = 90.0
Member = tuple[str, str]
SPOKEN: Final = {"mail": "smtp", "texts": "http-sms", "centre": "smpp"}


class Held(NamedTuple):
    """From when until when (Unix ms) what was sent in a protocol was held back."""

    protocol: str
    from_ms: int
    until_ms: int


class Works:
    """Everything that a fault can reach."""

    def __init__(self, nodes: int, folder: Path, *, registry: bool = False) -> None:
        """Start it all; with a *registry* everything is framed as that says."""
        self.folder = folder
        self._stack = ExitStack()
        self.clock = folder / "clock"  # what it says is added to the clock of every member
        self.steps: list[tuple[int, int]] = [(0, 0)]  # since when (Unix ms) it has said what
        self.held: list[Held] = []
        self.good = certificate(folder, HOST, VALID)
        self.expired = certificate(folder, HOST, EXPIRED)
        self.buffer = folder / "buffer"
        self.asked: dict[Origin, Asked] = {}  # in all drills so far
        try:
            self._detours = Detours()
            self._stack.callback(self._detours.close)
            self.brokers = [self._detours.lead() for _ in range(nodes)]
            ports = [each.port for each in self.brokers]
            self.cluster: LocalCluster = start_local_cluster(nodes, os.environ, detours=ports)
            self._stack.callback(self.cluster.close)
            for detour, node in zip(self.brokers, self.cluster.nodes, strict=True):
                detour.upstream = node.detoured
            self.registry: Detour | None = self._begin_registry() if registry else None
            self.providers: dict[str, Detour] = {}
            sandboxed = {"tls_certificate": self.good}
            self.plant = Plant(
                self.cluster.bootstrap, folder, changes=partial(self._changes, nodes), sandboxed=sandboxed
            )
            self._stack.callback(self.plant.close)
            self.plant.sandbox.script(ANSWER)
            self._round_about = folder / "round-about.yaml"
            tree = json.loads(self.plant.config.read_text())
            tree["kafka"]["bootstrap"] = ",".join(f"127.0.0.1:{port}" for port in ports)
            self._round_about.write_text(json.dumps(tree, indent=2))
            self.names = Names(folder, [HOST], self._stack) if mounts.inside() else None
            if mounts.inside():
                self._stack.enter_context(mounts.small_disk(self.buffer, BUFFER_DISK))
            self.watched: set[Member] = set()  # for how they grow over a long drill
            self.taken: set[Member] = set()  # by a fault: no other one touches them
            self.drawn: Counter[str] = Counter()  # how often this drill has drawn what
            self.load: Load | None = None  # of the drill that is under way
            self.opens: Opens | None = None
            self.fallen: list[str] = []  # members that ended as they should not have, and how
            for member in MEMBERS:
                self.start(member)
            self.await_ready()
        except BaseException:
            self.close()
            raise

    def _begin_registry(self) -> Detour:
        registry = self._stack.enter_context(find_registry())
        self._schemas = Registry(registry.url, timeout_s=READY_WITHIN_S)
        # The first schema takes a cold registry longer than anybody waits.
        eventually(partial(_registers, registry.url), within_s=READY_WITHIN_S, what="the registry takes no schema")
        return self._detours.lead(int(registry.url.split(":")[2].partition("/")[0]))

    def newcomer(self, chance: Random) -> Callable[[Message], bytes]:
        """Return what writes messages in a new version of the contract, which the registry has, and no member yet."""
        schema_id = self._schemas.register(f"{self.plant.names.outbound}-value", newer(chance.randrange(1 << 32)))
        codec = self.plant.codecs.outbound
        written = written_by(schema_id, codec)
        codec.decode_head(written(message("warm-up")))  # we have to know it ourselves while the registry is away
        return written

    # -- members ------------------------------------------------------------------------------------

    def start(self, member: Member) -> None:
        """Start a member; it gets ready by itself."""
        stage, slot = member
        config = self._round_about if slot == "1" or stage == "tracking" else None
        options = ["--drill-clock", str(self.clock)]
        self.plant.start(stage, slot=slot, ready=False, config=config, options=options)

    def step_clock(self, offset_ms: int) -> None:
        """Set every member's clock wrong, or right again."""
        self.steps.append((now_ms(), offset_ms))  # before any member can see it
        self.clock.write_text(str(offset_ms))

    @contextmanager
    def holding(self, name: str) -> Iterator[None]:
        """Hold back what a provider is sent, and let it have all of it afterwards."""
        from_ms = now_ms()
        self.providers[name].stall()
        yield
        self.providers[name].accept()
        self.held.append(Held(SPOKEN[name], from_ms, now_ms()))

    def take(self, chance: Random, *, ends: bool = False) -> Member:
        """Return a member that no fault has, for one that *ends* it none that is to be watched; `give_back` it."""
        free = [each for each in MEMBERS if each not in self.taken and not (ends and each in self.watched)]
        stage = self.draw({stage for stage, _ in free}, chance)
        member = chance.choice([each for each in free if each[0] == stage])
        self.taken.add(member)
        return member

    def draw(self, names: Collection[str], chance: Random) -> str:
        """Return one of those of *names* that this drill has drawn least often: a few strikes meet them all."""
        least = min(self.drawn[name] for name in names)
        name = chance.choice(sorted(name for name in names if self.drawn[name] == least))
        self.drawn[name] += 1
        return name

    def give_back(self, member: Member) -> None:
        """Leave a member to other faults."""
        self.taken.discard(member)

    def running(self) -> list[Member]:
        """Return the members that no fault has."""
        return [each for each in MEMBERS if each not in self.taken]

    def let_end(self, member: Member, *, within_s: float) -> None:
        """Wait until a member that was told to stop has left in order; note it, and end it, where it did not."""
        stage, slot = member
        child = self.plant.processes[f"{stage}/{slot}"]
        if not child.ended(within_s=within_s):
            self.fallen.append(f"{stage}/{slot} did not heed SIGTERM:\n{child.last_lines()}")
            child.kill()
        elif child.exit_code != 0 and (child.exit_code != -signal.SIGTERM or child.log.read_bytes()):
            # Told before it had said a word, a member ends by the signal: it has begun nothing.
            self.fallen.append(f"{stage}/{slot} left with {child.exit_code}:\n{child.last_lines()}")

    def pick_up(self) -> None:
        """Note every member that has ended without a fault, and start it again, as a supervisor would."""
        for stage, slot in self.running():
            child = self.plant.processes[f"{stage}/{slot}"]
            if child.ended():
                self.fallen.append(f"{stage}/{slot} ended by itself with {child.exit_code}:\n{child.last_lines()}")
                self.start((stage, slot))

    def await_ready(self) -> None:
        """Wait until every member says that work is flowing; nobody helps it."""
        for stage, slot in MEMBERS:
            eventually(
                partial(self.plant.is_ready, stage, slot),
                within_s=READY_WITHIN_S,
                what=partial(self._state, stage, slot),
            )

    def _state(self, stage: str, slot: str) -> str:
        return f"{stage}/{slot} is not ready:\n{self.plant.processes[f'{stage}/{slot}'].last_lines()}"

    # -- the configuration --------------------------------------------------------------------------

    def _changes(self, nodes: int, sandbox: Sandboxed) -> dict[str, Any]:
        """Return what differs from a plant's configuration: the ways to the providers, patience, text messages."""
        http_port = int(sandbox.http_url.rpartition(":")[2])
        upstreams = {"mail": sandbox.smtp_port, "texts": http_port, "centre": sandbox.smsc_port}
        self.providers = {name: self._detours.lead(port) for name, port in upstreams.items()}
        host = HOST if mounts.inside() else "127.0.0.1"
        texts = {"url": f"http://{host}:{self.providers['texts'].port}/sms", "breaker": BREAKER} | PHASES
        trusted = {"ca_file": str(authorities(self.folder, self.good, self.expired))}
        registry = f"http://127.0.0.1:{self.registry.port}{CONFLUENT_API}" if self.registry else None
        return {
            "registry": {"url": registry},
            "topics": {"partitions": {"inbound": 3}},  # one for a third member, too
            "tracking": {"base_url": "http://127.0.0.1:8081", "port": 0, "buffer_folder": str(self.buffer)},
            "kafka": {"replication_factor": nodes, "session_timeout": "10s", "transaction_timeout": "10s"},
            "providers": {
                "Mail": {"host": host, "port": self.providers["mail"].port} | MAIL | trusted,
                "Text": texts,
                "TextOTP": texts,
                "Centre": CENTRE | {"host": "127.0.0.1", "port": self.providers["centre"].port},
            },
            "channels": {"Short": SHORT},
            "limits": {"drain_timeout": "3s"},
        }

    def close(self) -> None:
        """End everything."""
        if hasattr(self, "cluster"):
            for number, log in enumerate(self.cluster.logs(), 1):
                shutil.copy(log, self.folder / f"kafka-{number}.log")
        self._stack.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def _registers(url: str) -> bool:
    try:
        Registry(url).register("warm-up", latest("OutboundMessage").text)
    except RegistryUnavailable:
        return False
    return True


PHASES: Final = {"connect_timeout": "4s", "answer_timeout": "6s"}  # shorter than the longest faults
BREAKER: Final = {"pause": "1s", "pause_max": "4s"}
MAIL: Final = PHASES | {"greeting_timeout": "4s", "command_timeout": "4s", "tls": "starttls", "breaker": BREAKER}
HOST: Final = "provider.test"
BUFFER_DISK: Final = "8m"  # SQLite keeps 4 MiB of changes before it tidies
CENTRE: Final = {
    "adapter": "smpp",
    "bus_provider": "Centres",
    "bus_channel": "SMS",
    "tls": "off",
    "system_id": "commproc",
    "password": {"env": "CANARY_TOKEN"},
    "source_addr": "Example",
    "reference_tlv": 0x1400,
    "breaker": BREAKER,
    "bind_timeout": "4s",
} | PHASES
SHORT: Final = {
    "action": "SMS",
    "bus_channel": "SMS",
    "bus_provider": "Centres",
    "provider": "Centre",
    "country": "RO",
    "retry": {"max_attempts": 2, "interval": "1s"},
}
