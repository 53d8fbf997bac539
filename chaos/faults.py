"""
The faults, as a table: what each does, how it is healed, and what it may bring into doubt.

A fault is a context: it happens when it is entered, and is healed when it is left. Whom it strikes is drawn. A member
comes back by itself, as under a supervisor; nobody else helps. What shows that it struck is in `chaos.evidence`.
"""

from __future__ import annotations

import os
import signal
import threading
from contextlib import AbstractContextManager, contextmanager, suppress
from dataclasses import dataclass
from enum import StrEnum
from functools import partial
from typing import TYPE_CHECKING, Final

from chaos.detour import Detour
from chaos.evidence import (
    clocks_stepped,
    members_down,
    members_stopped,
    nodes_down,
    opens_refused,
    partitions_of_third_members,
    received,
    touched_to_kafka,
    touched_to_providers,
    unknown_waiting,
)
from chaos.works import ANSWER
from tests.support.eventually import eventually

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from random import Random

    from chaos.works import Works

    Happens = Callable[[Works, Random], AbstractContextManager[str]]

STOPS_WITHIN_S: Final = 30.0
FLAPS_S: Final = 0.5
SHARED: Final = ("intake", "delay", "dispatch")
DROPS: Final = ("drop-before-dot-1x", "drop-after-dot-1x", "answer-600-1x")
HANGS_MAX_S: Final = 12.0
CLOCK_WRONG_BY_MS: Final = 300_000
IN_SYNC_WITHIN_S: Final = 180.0  # a broker that recovers on two busy cores; nothing of ours is measured by it


class Target(StrEnum):
    """What a fault reaches; in a mix, one fault at a time for each."""

    MEMBER = "member"
    KAFKA = "kafka"
    PROVIDER = "provider"
    CLOCK = "clock"


@dataclass(frozen=True, slots=True)
class Fault:
    """A row of the table."""

    happens: Happens  # what it yields says whom it struck
    target: Target
    lasts_s: tuple[float, float]  # from which its length is drawn
    doubt: str  # what it may leave unknown
    moved: Callable[[Works], float] | None = None  # higher as it is healed than as it struck; None: healing shows it
    nodes: frozenset[int] = frozenset({1, 3})  # clusters on which it makes sense
    mounts: bool = False  # it needs a mount namespace
    registry: bool = False  # it needs a schema registry
    strikes: int = 1  # alone it strikes so often: each stage, each provider, each way


# ------------------------------------------------------------------------------------------------------------- members


@contextmanager
def killed(works: Works, chance: Random) -> Iterator[str]:
    """SIGKILL: back at once under the same slot, or after the session time-out."""
    stage, slot = member = works.take(chance, ends=True)
    works.plant.kill(stage, slot)
    yield f"{stage}/{slot}"
    works.start(member)
    works.give_back(member)


@contextmanager
def terminated(works: Works, chance: Random) -> Iterator[str]:
    """SIGTERM: it leaves in order, whatever else is happening."""
    stage, slot = member = works.take(chance, ends=True)
    os.kill(works.plant.processes[f"{stage}/{slot}"].pid, signal.SIGTERM)
    yield f"{stage}/{slot}"
    works.let_end(member, within_s=STOPS_WITHIN_S)
    works.start(member)
    works.give_back(member)


@contextmanager
def frozen(works: Works, chance: Random) -> Iterator[str]:
    """SIGSTOP beyond the session time-out, then SIGCONT: it does not know that it was away."""
    stage, slot = member = works.take(chance)
    works.plant.freeze(stage, slot)
    yield f"{stage}/{slot}"
    works.plant.thaw(stage, slot)
    works.give_back(member)


@contextmanager
def joined(works: Works, chance: Random) -> Iterator[str]:
    """A third member comes, and leaves in order."""
    stage, slot = member = works.draw(SHARED, chance), "2"
    works.start(member)
    yield f"{stage}/{slot}"
    os.kill(works.plant.processes[f"{stage}/{slot}"].pid, signal.SIGTERM)
    works.let_end(member, within_s=STOPS_WITHIN_S)


# --------------------------------------------------------------------------------------------------------------- Kafka


@contextmanager
def broker_crashed(works: Works, chance: Random) -> Iterator[str]:
    """
    SIGKILL of the only broker, between two transactions.

    A broker without replicas may forget the end of a transaction that it acknowledged (docs/architecture.md), so
    that there is nothing that a processor could do: crashes inside transactions are for three nodes.
    """
    members = works.running()

    def between() -> bool:
        for stage, slot in members:
            works.plant.freeze(stage, slot)
        if works.plant.settled():
            return True
        for stage, slot in members:
            works.plant.thaw(stage, slot)
        return False

    eventually(between, within_s=30, what="no moment without a transaction")
    works.cluster.kill(1)
    for stage, slot in members:
        works.plant.thaw(stage, slot)
    yield "node 1"
    works.cluster.restart(1)


@contextmanager
def _without_leader(works: Works, chance: Random, end: Callable[[int], None]) -> Iterator[str]:
    names = works.plant.names
    topic = chance.choice([names.delivery, names.outbound, "__transaction_state", "__consumer_offsets"])
    number = eventually(partial(works.cluster.leader_of, topic, 0), within_s=30, what=f"{topic} has no leader")
    assert number is not None
    end(number)
    yield f"node {number}, leader of {topic.rpartition('.')[2]}"
    works.cluster.restart(number)
    eventually(works.cluster.whole, within_s=IN_SYNC_WITHIN_S, what="not in sync again")


def leader_killed(works: Works, chance: Random) -> AbstractContextManager[str]:
    """SIGKILL of the node that leads a partition in use, at any moment."""
    return _without_leader(works, chance, works.cluster.kill)


def leader_stopped(works: Works, chance: Random) -> AbstractContextManager[str]:
    """The node that leads a partition in use is stopped in order, as for an upgrade, and started again."""
    return _without_leader(works, chance, works.cluster.stop)


@contextmanager
def majority_away(works: Works, chance: Random) -> Iterator[str]:
    """SIGKILL of two of three nodes: nothing can be acknowledged until they are back."""
    pair = chance.sample([1, 2, 3], 2)
    works.cluster.kill(*pair)
    yield f"nodes {pair[0]} and {pair[1]}"
    works.cluster.restart(*pair)
    eventually(works.cluster.whole, within_s=IN_SYNC_WITHIN_S, what="not in sync again")


@contextmanager
def partitioned(works: Works, chance: Random) -> Iterator[str]:
    """No byte passes between the members of slot 1 and Kafka; then what was held back arrives."""
    for detour in works.brokers:
        detour.stall()
    yield "slot 1"
    for detour in works.brokers:
        detour.accept()


@contextmanager
def cut_off(works: Works, chance: Random) -> Iterator[str]:
    """Connections of slot 1 to Kafka are reset, and new ones refused."""
    for detour in works.brokers:
        detour.refuse()
    yield "slot 1"
    for detour in works.brokers:
        detour.accept()


@contextmanager
def distant(works: Works, chance: Random) -> Iterator[str]:
    """Each way between slot 1 and Kafka takes a quarter of a second."""
    for detour in works.brokers:
        detour.delay(0.25)
    yield "slot 1"
    for detour in works.brokers:
        detour.delay(0.0)


# ----------------------------------------------------------------------------------------------------------- providers


@contextmanager
def refusing(works: Works, chance: Random) -> Iterator[str]:
    """A provider refuses connections."""
    name = works.draw(works.providers, chance)
    works.providers[name].refuse()
    yield name
    works.providers[name].accept()


@contextmanager
def hanging(works: Works, chance: Random) -> Iterator[str]:
    """A provider takes connections and says nothing; what it was told meanwhile it hears afterwards."""
    name = works.draw(works.providers, chance)
    with works.holding(name):
        yield name


@contextmanager
def flapping(works: Works, chance: Random) -> Iterator[str]:
    """Every provider resets what is open and refuses what is new for half a second, and so on every second."""
    steady = threading.Event()

    def flap() -> None:
        while not steady.is_set():
            for change in (Detour.refuse, Detour.accept):
                for detour in works.providers.values():
                    change(detour)
                steady.wait(FLAPS_S)

    thread = threading.Thread(target=flap, name="flapping")
    thread.start()
    yield "all"
    steady.set()
    thread.join()


@contextmanager
def scripted(rule: str, works: Works) -> Iterator[str]:
    """All providers do what a rule of the sandbox says."""
    works.plant.sandbox.script({"default": {"rule": rule, "delay_ms": 100}})
    yield rule
    works.plant.sandbox.script(ANSWER)


def dropping(works: Works, chance: Random) -> AbstractContextManager[str]:
    """Providers cut before the message is handed over, after it, or answer what nobody knows."""
    return scripted(works.draw(DROPS, chance), works)


@contextmanager
def severed(works: Works, chance: Random) -> Iterator[str]:
    """Connections to every provider end in the middle of what is said: a greeting, a login, a message, an answer."""
    for detour in works.providers.values():
        detour.sever(chance)
    yield "all"
    for detour in works.providers.values():
        detour.accept()


def slow(works: Works, chance: Random) -> AbstractContextManager[str]:
    """Providers take three seconds for every answer."""
    return scripted("slow-3s", works)


def throttling(works: Works, chance: Random) -> AbstractContextManager[str]:
    """Providers ask to slow down."""
    return scripted("throttle-421-1x", works)


@contextmanager
def nameless(works: Works, chance: Random) -> Iterator[str]:
    """The providers' name stops resolving; what is connected is reset."""
    assert works.names is not None
    works.names.forget()
    for detour in works.providers.values():
        detour.cut()
    yield "all"
    works.names.know()


@contextmanager
def certificate_expired(works: Works, chance: Random) -> Iterator[str]:
    """The mail server shows a certificate that has expired; what is connected is reset."""
    works.plant.sandbox.present(works.expired)
    works.providers["mail"].cut()
    yield "mail"
    works.plant.sandbox.present(works.good)


# ------------------------------------------------------------------------------------------------------------ machines


@contextmanager
def registry_away(works: Works, chance: Random) -> Iterator[str]:
    """The schema registry refuses connections, while a killed member starts and a message in a new schema comes."""
    assert works.registry is not None
    assert works.load is not None
    written = works.newcomer(chance)
    works.registry.refuse()
    stage, slot = member = works.take(chance, ends=True)
    works.plant.kill(stage, slot)
    works.start(member)
    works.load.ask_as(written)
    yield f"{stage}/{slot}, which starts"
    works.registry.accept()
    works.give_back(member)


@contextmanager
def disk_full(works: Works, chance: Random) -> Iterator[str]:
    """The disk of tracking's buffer is full while Kafka is out of its reach, and mails are being opened."""
    for detour in works.brokers:
        detour.refuse()
    filler = works.buffer / "filler"
    with suppress(OSError), filler.open("wb", buffering=0) as file:
        while True:
            file.write(bytes(4_096))
    yield "tracking/0"
    filler.unlink()
    for detour in works.brokers:
        detour.accept()


@contextmanager
def stepped(works: Works, offset_ms: int) -> Iterator[str]:
    """Set every member's wall clock wrong."""
    works.step_clock(offset_ms)
    yield "all"
    works.step_clock(0)


def clock_ahead(works: Works, chance: Random) -> AbstractContextManager[str]:
    """The wall clock of every member is five minutes ahead, and then right again."""
    return stepped(works, CLOCK_WRONG_BY_MS)


def clock_behind(works: Works, chance: Random) -> AbstractContextManager[str]:
    """The wall clock of every member is five minutes behind, and then right again."""
    return stepped(works, -CLOCK_WRONG_BY_MS)


NOTHING: Final = "none"
CALLS: Final = "calls under way"
RESETS: Final = "calls that were reset or timed out"

EXPELLED: Final = "calls of members that are expelled"
ONE: Final = frozenset({1})
THREE: Final = frozenset({3})

FAULTS: Final = {
    "killed": Fault(killed, Target.MEMBER, (0.0, 12.0), CALLS, members_down, strikes=4),
    "terminated": Fault(terminated, Target.MEMBER, (0.5, 9.0), "calls that outlast the grace", strikes=4),
    "frozen": Fault(frozen, Target.MEMBER, (11.0, 15.0), CALLS, members_stopped, strikes=4),
    "joined": Fault(joined, Target.MEMBER, (10.0, 14.0), NOTHING, partitions_of_third_members, strikes=3),
    "broker_crashed": Fault(broker_crashed, Target.KAFKA, (2.0, 6.0), EXPELLED, nodes_down, ONE),
    "leader_killed": Fault(leader_killed, Target.KAFKA, (2.0, 6.0), EXPELLED, nodes_down, THREE),
    "leader_stopped": Fault(leader_stopped, Target.KAFKA, (2.0, 6.0), NOTHING, nodes_down, THREE),
    "majority_away": Fault(majority_away, Target.KAFKA, (60.0, 60.0), EXPELLED, nodes_down, THREE),
    "partitioned": Fault(partitioned, Target.KAFKA, (4.0, 16.0), CALLS, touched_to_kafka, strikes=2),
    "cut_off": Fault(cut_off, Target.KAFKA, (4.0, 16.0), CALLS, touched_to_kafka, strikes=2),
    "distant": Fault(distant, Target.KAFKA, (4.0, 8.0), NOTHING, touched_to_kafka),
    "refusing": Fault(refusing, Target.PROVIDER, (3.0, 8.0), RESETS, touched_to_providers, strikes=3),
    "hanging": Fault(hanging, Target.PROVIDER, (3.0, HANGS_MAX_S), RESETS, touched_to_providers, strikes=3),
    "flapping": Fault(flapping, Target.PROVIDER, (2.0, 5.0), RESETS, touched_to_providers),
    "dropping": Fault(dropping, Target.PROVIDER, (3.0, 6.0), RESETS, received, strikes=3),
    "severed": Fault(severed, Target.PROVIDER, (4.0, 8.0), RESETS, touched_to_providers, strikes=2),
    "nameless": Fault(nameless, Target.PROVIDER, (3.0, 8.0), RESETS, touched_to_providers, mounts=True),
    "certificate_expired": Fault(certificate_expired, Target.PROVIDER, (3.0, 8.0), RESETS, touched_to_providers),
    "slow": Fault(slow, Target.PROVIDER, (3.0, 6.0), NOTHING, received),
    "throttling": Fault(throttling, Target.PROVIDER, (2.0, 4.0), NOTHING, received),
    "disk_full": Fault(disk_full, Target.KAFKA, (4.0, 8.0), CALLS, opens_refused, mounts=True),
    "registry_away": Fault(registry_away, Target.MEMBER, (8.0, 14.0), CALLS, unknown_waiting, registry=True),
    "clock_ahead": Fault(clock_ahead, Target.CLOCK, (6.0, 6.0), NOTHING, clocks_stepped),
    "clock_behind": Fault(clock_behind, Target.CLOCK, (6.0, 6.0), NOTHING, clocks_stepped),
}
