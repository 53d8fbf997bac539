"""What the runbook tells an operator to do works on a real Kafka."""

from __future__ import annotations

import re
import textwrap
from pathlib import Path
from typing import TYPE_CHECKING

from confluent_kafka.admin import AdminClient, NewTopic

from processor.kafka.committed import committed_now
from processor.kafka.connection import Connection
from processor.kafka.journal import Entry, decode

if TYPE_CHECKING:
    from processor.sandbox.broker import Broker

RUNBOOK = (Path(__file__).parents[1] / "docs" / "runbook.md").read_text(encoding="utf-8")


def snippet(heading: str) -> str:
    """Return the Python block of the section *heading*."""
    section = RUNBOOK.partition(f"## {heading}\n")[2].partition("\n## ")[0]
    (block,) = re.findall(r"```python\n(.*?)```", section, re.DOTALL)
    return textwrap.dedent(block)


def test_a_held_partition_is_released_by_committing_an_empty_journal(kafka: Broker) -> None:
    admin = AdminClient({"bootstrap.servers": kafka.bootstrap})
    topic, group = "comm.send.Runbook.bulk", "comm.dispatch.runbook"
    admin.create_topics([NewTopic(topic, 1, 1)])[topic].result(10)
    program = snippet("CommprocPartitionHeld").replace("BROKER:9092", kafka.bootstrap)
    program = program.replace("comm.send.GatewaySMS.bulk", topic).replace("comm.dispatch.rest", group)

    exec(program, {})  # noqa: S102 - the runbook's own lines

    committed = committed_now(Connection(kafka.bootstrap), group, [(topic, 0)], within_s=10)[topic, 0]
    assert committed is not None
    assert decode(committed.offset, committed.metadata) == Entry(0, frozenset(), frozenset())
