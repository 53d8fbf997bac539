"""
What shows that a fault has struck: a count that is higher as it is healed than it was before.

A fault without one shows it by itself: it cannot be healed where it did not strike.
"""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from chaos.works import Works


def members_down(works: Works) -> int:
    """Return how many processes are over."""
    return sum(not alive for alive in works.plant.alive().values())


def members_stopped(works: Works) -> int:
    """Return how many processes the system has stopped (Linux)."""
    return sum(_state(child.pid) == "T" for child in works.plant.processes.values())


def partitions_of_third_members(works: Works) -> float:
    """Return how many partitions those have that join: none before they have joined."""
    found = 0.0
    for name in works.plant.processes:
        stage, _, slot = name.partition("/")
        if slot == "2":
            with suppress(OSError, StopIteration):  # it is over, or has not said yet where it listens
                found += works.plant.metric(stage, "comm_partitions_assigned", slot)
    return found


def nodes_down(works: Works) -> int:
    """Return how many nodes of the cluster are over."""
    return sum(node.child is None or node.child.ended() for node in works.cluster.nodes)


def touched_to_kafka(works: Works) -> int:
    """Return what has been done to connections between slot 1 and Kafka."""
    return sum(each.touched for each in works.brokers)


def touched_to_providers(works: Works) -> int:
    """Return what has been done to connections between members and providers."""
    return sum(each.touched for each in works.providers.values())


def received(works: Works) -> int:
    """Return how much providers have noted of what they received: a byte for each of their ledger."""
    return (works.plant.folder / "ledger.jsonl").stat().st_size


def opens_refused(works: Works) -> int:
    """Return how many opens tracking has not taken."""
    assert works.opens is not None
    return works.opens.refused


def unknown_waiting(works: Works) -> int:
    """Return how many messages wait of those whose schema nobody could know when they were asked for."""
    assert works.load is not None
    ended = {each.message_id for each in works.plant.ledgers().delivery if each.terminal}
    return len(works.load.newcomers - ended)


def clocks_stepped(works: Works) -> int:
    """Return how often members have said that their clock was stepped."""
    return sum(log.read_text(errors="replace").count('"clock.stepped"') for log in works.plant.logs)


def _state(pid: int) -> str:
    """Return what proc(5) calls the state of a process; nothing where it is over."""
    try:
        return Path(f"/proc/{pid}/stat").read_text(encoding="ascii").rpartition(")")[2].split()[0]
    except (OSError, IndexError):
        return ""
