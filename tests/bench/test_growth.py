"""Where several processes are measured, each of them has work."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from bench.growth import LANES, PROCESSES, with_partitions
from bench.works import tree
from processor.cli.common import specs_of
from processor.core.lanes import lane_of
from processor.settings import load

if TYPE_CHECKING:
    from pathlib import Path


def test_every_topic_that_messages_go_through_has_a_partition_for_each_process(tmp_path: Path) -> None:
    made = tree("127.0.0.1:9092", "growth", "http://127.0.0.1:1/sms")
    with_partitions(made)
    (tmp_path / "commproc.yaml").write_text(json.dumps(made), encoding="utf-8")
    settings = load(tmp_path / "commproc.yaml", {})
    plan, partitions = settings.plan(), {spec.name: spec.partitions for spec in specs_of(settings)}
    lanes = {lane_of(priority, plan.channels["SMS"], plan.lanes) for priority in LANES}

    assert len(lanes) == len(LANES)
    assert partitions["growth.outbound"] >= max(PROCESSES)
    assert all(partitions[f"growth.send.Text.{lane}"] >= max(PROCESSES) for lane in lanes)
