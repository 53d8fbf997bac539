"""What the runbook tells an operator to do works on a real Kafka."""

from __future__ import annotations

import re
import textwrap
from pathlib import Path
from typing import TYPE_CHECKING

from processor.kafka.committed import committed_now
from processor.kafka.connection import Connection
from processor.kafka.journal import Entry, decode
from tests.support.cluster import Cluster

if TYPE_CHECKING:
    from processor.sandbox.broker import Broker

RUNBOOK = (Path(__file__).parents[1] / "docs" / "runbook.md").read_text(encoding="utf-8")


def snippet(heading: str) -> str:
    """Return the Python block of the section *heading*."""
    section = RUNBOOK.partition(f"## {heading}\n")[2].partition("\n## ")[0]
    (block,) = re.findall(r"```python\n(.*?)```", section, re.DOTALL)
    return textwrap.dedent(block)


def test_a_held_partition_is_released_by_committing_an_empty_journal(kafka: Broker) -> None:
    topic, group = Cluster.at(kafka.bootstrap).make("comm.send.Runbook.bulk"), "comm.dispatch.runbook"
    program = snippet("CommprocPartitionHeld").replace("BROKER:9092", kafka.bootstrap)
    program = program.replace("comm.send.GatewaySMS.bulk", topic).replace("comm.dispatch.rest", group)

    exec(program, {})  # noqa: S102 - the runbook's own lines

    committed = committed_now(Connection(kafka.bootstrap), group, [(topic, 0)], within_s=10)[topic, 0]
    assert committed is not None
    assert decode(committed.offset, committed.metadata) == Entry(0, frozenset(), frozenset())
