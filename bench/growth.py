"""
How cost grows: with processes on the same topics, with the size of messages, with the number of providers.

    python -m bench.growth [--messages 20000] [--only processes sizes providers]

What is told is processor time a message of the processes of a stage: where cores are short, a rate would tell of them.
The provider is a server that answers at once, in a process of its own. Messages are of three lanes in turn, and where
processes are several, topics have partitions for each of them: nothing is asked before each owns some.
"""

from __future__ import annotations

import argparse
import time
from typing import TYPE_CHECKING, Any

from confluent_kafka import Consumer

from bench.http_server import served
from bench.works import CHANNEL, Works, text, works
from processor.sandbox.broker import find_broker

if TYPE_CHECKING:
    from collections.abc import Callable

    from processor.sandbox.service import Broker

PROCESSES = (1, 2, 4)
SIZES_KB = (1, 4, 64, 512)
PROVIDERS = (1, 10, 100)
LANES = (8, 4, 0)  # priorities of the high, the normal and the bulk lane
PARTITIONS = {"inbound": 2 * max(PROCESSES), "send": max(PROCESSES)}


def measure(
    broker: Broker,
    count: int,
    *,
    size: int = 0,
    instances: int = 1,
    change: Callable[[dict[str, Any]], None] = lambda _: None,
) -> tuple[float, float, float]:
    """Return processor time a message of intake and of dispatch, in microseconds, and messages a second."""
    with served() as url, works(broker.bootstrap, "growth", stages=(), change=change, url=url) as made:
        slots = [str(number) for number in range(instances)]
        for slot in slots:
            made.start("intake", "dispatch", slot=slot)
        made.wait_until_owners("intake", slots)
        made.wait_until_owners("dispatch", slots)
        spent_s = [made.cpu_s("intake"), made.cpu_s("dispatch")]
        begun_s = time.monotonic()
        made.ask(text(f"m-{n}", size=size, priority=LANES[n % len(LANES)]) for n in range(count))
        ended = _ended(made, count)
        took_s = time.monotonic() - begun_s
        intake_s, dispatch_s = made.cpu_s("intake") - spent_s[0], made.cpu_s("dispatch") - spent_s[1]
        return intake_s * 1e6 / count, dispatch_s * 1e6 / count, ended / took_s


def _ended(made: Works, count: int) -> int:
    """Return how many delivery events there are, once there are *count*."""
    reader = Consumer(
        made.settings.kafka.connection().common()
        | {"group.id": f"{made.names.prefix}.growth", "auto.offset.reset": "earliest"}
        | {"isolation.level": "read_committed"}
    )
    reader.subscribe([made.names.delivery])
    found, until_s = 0, time.monotonic() + 300
    while found < count and time.monotonic() < until_s:
        found += sum(each.error() is None for each in reader.consume(5_000, 0.2))
    reader.close()
    if found < count:
        raise TimeoutError(f"{found:,} messages of {count:,} ended within 5 minutes")
    return found


def with_partitions(tree: dict[str, Any]) -> None:
    """Give topics as many partitions as there are processes at most, and more: with fewer some would have no work."""
    tree["topics"]["partitions"] = PARTITIONS


def with_providers(count: int) -> Callable[[dict[str, Any]], None]:
    """Return what adds providers up to *count*, each with a channel of its own; all lanes of each have topics."""

    def change(tree: dict[str, Any]) -> None:
        for number in range(1, count):
            name = f"Text{number}"
            tree["providers"][name] = tree["providers"]["Text"] | {"bus_provider": name}
            tree["channels"][name] = tree["channels"][CHANNEL] | {"bus_provider": name, "provider": name}

    return change


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--messages", type=int, default=20_000)
    parser.add_argument("--only", nargs="*", default=["processes", "sizes", "providers"])
    asked = parser.parse_args()
    count = asked.messages
    print(f"{'':26}{'messages':>10}{'intake':>12}{'dispatch':>12}   µs of processor time a message")
    with find_broker() as broker:
        if "processes" in asked.only:
            for number in PROCESSES:
                say(f"{number} of each stage", count, measure(broker, count, instances=number, change=with_partitions))
        if "sizes" in asked.only:
            for kilobytes in SIZES_KB:
                fewer = max(500, count // max(1, kilobytes // 4))
                say(f"{kilobytes} KB", fewer, measure(broker, fewer, size=kilobytes * 1_024))
        if "providers" in asked.only:
            for number in PROVIDERS:
                say(f"{number} configured", count, measure(broker, count, change=with_providers(number)))


def say(what: str, count: int, found: tuple[float, float, float]) -> None:
    intake_us, dispatch_us, per_s = found
    print(f"{what:26}{count:10,}{intake_us:12,.0f}{dispatch_us:12,.0f}   ({per_s:,.0f} a second)", flush=True)


if __name__ == "__main__":
    main()
