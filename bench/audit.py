"""
What `commproc audit` costs: time, memory and disk, on topics that a processor might have left.

    python -m bench.audit [--messages 100000 1000000]

Each message is a record, a SENT event and a provider's call. Processor time is that of the command alone; the broker
has its own.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import subprocess
import sys
import tempfile
import time
import uuid
from pathlib import Path
from typing import TYPE_CHECKING, Any

from confluent_kafka import Consumer, KafkaException, Producer, TopicPartition

from bench.codec import DELIVERY, MESSAGE, NOW_MS
from processor.cli.common import codecs_of, specs_of
from processor.kafka.admin import Topics
from processor.sandbox.broker import find_broker
from processor.settings import load

if TYPE_CHECKING:
    from collections.abc import Iterator

    from processor.settings import Settings

SMTP = {"adapter": "smtp", "bus_provider": "Mails", "bus_channel": "EMAIL", "host": "127.0.0.1"}
PARTITIONS = 2


def configuration(bootstrap: str) -> dict[str, Any]:
    """Return one channel with one provider, under a prefix of its own."""
    channel = {"action": "EMAIL", "bus_channel": "EMAIL", "bus_provider": "Mails", "provider": "Mail"}
    return {
        "kafka": {"bootstrap": bootstrap},
        "topics": {
            "prefix": f"audited-{uuid.uuid4().hex[:8]}",
            "partitions": {"inbound": PARTITIONS, "express": 1, "send": 1, "delay": 1, "events": 1, "dead_letter": 1},
        },
        "channels": {"Email": channel},
        "providers": {"Mail": SMTP | {"from_address": "service@example.com"}},
    }


def fill(settings: Settings, ledger: Path, count: int) -> None:
    """Write what *count* messages leave behind that were all sent."""
    names, codecs = settings.topics.names(), codecs_of(settings)
    producer = _producer(settings)
    with ledger.open("w", encoding="ascii") as file:
        for message_id in ids(count):
            head = MESSAGE.head._replace(message_id=message_id, channel="Email", provider=None, start_at_ms=None)
            head = head._replace(end_at_ms=None, interval_min_ms=None, interval_max_ms=None, time_zone=None)
            sent = DELIVERY._replace(event_id=uuid.uuid4().hex, message_id=message_id, provider="Mail")
            _put(producer, names.outbound, message_id, codecs.outbound.encode_message(MESSAGE._replace(head=head)))
            _put(producer, names.delivery, message_id, codecs.events.encode_delivery(sent))
            file.write(json.dumps(_call(message_id)) + "\n")
    producer.flush()
    group = {"group.id": names.group("intake", "rest"), "enable.auto.commit": False}
    intake = Consumer(settings.kafka.connection().common() | group)
    places = [TopicPartition(names.outbound, partition) for partition in range(PARTITIONS)]
    ends = [int(intake.get_watermark_offsets(place)[1]) for place in places]
    read = [TopicPartition(place.topic, place.partition, end) for place, end in zip(places, ends, strict=True)]
    _commit(intake, read)
    intake.close()


def _commit(consumer: Consumer, offsets: list[TopicPartition]) -> None:
    """Commit; the coordinator of a broker that has just started is not ready for its first one."""
    for tries_left in reversed(range(300)):
        try:
            consumer.commit(offsets=offsets, asynchronous=False)
        except KafkaException:
            if not tries_left:
                raise
            time.sleep(0.1)
        else:
            return


def ids(count: int) -> Iterator[str]:
    """Yield message ids as producers make them."""
    for _ in range(count):
        yield str(uuid.uuid4())


def measured(config: Path, ledger: Path) -> tuple[float, float, float, float, dict[str, Any]]:
    """Return seconds, processor seconds, MiB of memory and of temporary files at their highest, and what it told."""
    command = [
        sys.executable,
        "-m",
        "processor.cli",
        "audit",
        "--json",
        "--calls",
        str(ledger),
        "--config",
        str(config),
    ]
    began_s, disk_mib = time.monotonic(), 0.0
    with tempfile.TemporaryFile() as told:
        child = subprocess.Popen(command, stdout=told)
        while True:
            ended, _, usage = os.wait4(child.pid, os.WNOHANG)
            if ended:
                break
            disk_mib = max(disk_mib, temporary_mib(child.pid))
            time.sleep(0.1)
        took_s = time.monotonic() - began_s
        child.returncode = 0
        told.seek(0)
        return took_s, usage.ru_utime + usage.ru_stime, usage.ru_maxrss / 1_024, disk_mib, json.loads(told.read())


def temporary_mib(pid: int) -> float:
    """Return the size of the files that a process has open and that have no name any more (Linux)."""
    total = 0
    for link in Path(f"/proc/{pid}/fd").iterdir():
        try:
            if str(link.readlink()).endswith("(deleted)"):
                total += link.stat().st_size
        except OSError:  # it was closed meanwhile
            continue
    return total / 1_048_576


def _producer(settings: Settings) -> Any:

    more = {"acks": "all", "linger.ms": 20, "partitioner": "murmur2_random", "compression.type": "lz4"}
    return Producer(settings.kafka.connection().common() | more)


def _put(producer: Any, topic: str, key: str, value: bytes) -> None:
    while True:
        try:
            producer.produce(topic, value, key.encode())
        except BufferError:
            producer.poll(0.1)
        else:
            producer.poll(0)
            return


def _call(message_id: str) -> dict[str, Any]:
    return {
        "at_ms": NOW_MS,
        "first_byte_ms": NOW_MS,
        "protocol": "smtp",
        "message_id": message_id,
        "attempt": 1,
        "recipients": ["ann@example.com"],
        "accepted": True,
        "code": "250",
        "sha256": "0" * 64,
        "size_bytes": 1_000,
        "segments": None,
        "n": 1,
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--messages", type=int, nargs="+", default=[100_000, 1_000_000])
    options = parser.parse_args()
    print(f"Python {platform.python_version()}, {platform.machine()}, {os.cpu_count()} cores")
    print(f"{'messages':>10}{'s':>8}{'CPU s':>8}{'µs CPU each':>13}{'memory MiB':>12}{'disk MiB':>10}  holds")
    broker = find_broker()
    with tempfile.TemporaryDirectory() as folder:
        for count in options.messages:
            config, ledger = Path(folder, f"{count}.yaml"), Path(folder, f"{count}.jsonl")
            config.write_text(json.dumps(configuration(broker.bootstrap)))
            settings = load(config, {})
            Topics(settings.kafka.connection()).apply(specs_of(settings), 1)
            fill(settings, ledger, count)
            took_s, cpu_s, memory_mib, disk_mib, told = measured(config, ledger)
            each_us = cpu_s / count * 1_000_000
            print(
                f"{count:10}{took_s:8.1f}{cpu_s:8.1f}{each_us:13.1f}{memory_mib:12.0f}{disk_mib:10.0f}  {told['holds']}"
            )
    broker.close()


if __name__ == "__main__":
    main()
