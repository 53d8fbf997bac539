"""Topics are made, compared, and a held partition is released on purpose only."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from processor.kafka.admin import Topics
from processor.kafka.journal import decode
from processor.kafka.offsets import group_of
from tests.cli.command import commproc
from tests.support.cluster import fresh
from tests.support.eventually import eventually
from tests.support.plant import message

if TYPE_CHECKING:
    from tests.support.plant import Plant


def test_topics_are_made_once_and_differences_are_listed(idle: Plant) -> None:
    tree = json.loads(idle.config.read_text())
    tree["topics"]["prefix"] = prefix = fresh("topics")
    config = idle.folder / "topics.yaml"
    config.write_text(json.dumps(tree))

    before = commproc("topics", "check", config=config, environ=idle.environ)
    applied = commproc("topics", "apply", config=config, environ=idle.environ)
    after = commproc("topics", "check", config=config, environ=idle.environ)

    assert (before.code, applied.code, after.code) == (1, 0, 0)
    assert f"{prefix}.outbound" in before.out
    assert "Set right" in applied.out
    assert "Set right" not in commproc("topics", "apply", config=config, environ=idle.environ).out


def test_a_setting_that_somebody_changed_is_listed_and_set_right(idle: Plant) -> None:
    spec = next(spec for spec in idle.specs if spec.marked)
    changed = type(spec)(spec.name, spec.partitions, {**spec.config, "retention.ms": "60000"})
    Topics(idle.cluster.connection).apply([changed], 1)

    ran = commproc("topics", "check", config=idle.config, environ=idle.environ)

    assert ran.code == 1
    [row] = [line for line in ran.lines if spec.name in line]
    assert ("retention.ms" in row, "60000" in row, " -1 " in row) == (True, True, True)
    assert commproc("topics", "apply", config=idle.config, environ=idle.environ).code == 0
    assert commproc("topics", "check", config=idle.config, environ=idle.environ).code == 0


def test_each_topic_is_read_by_the_group_that_its_stage_joins(idle: Plant) -> None:
    for group, topics in idle._groups().items():
        assert {group_of(topic, idle.names) for topic in topics} == {group}
    assert group_of(idle.names.delivery, idle.names) is None


def test_a_held_partition_goes_on_where_an_operator_says(idle: Plant) -> None:
    topic = f"{idle.names.prefix}.send.Mail.normal"
    group = group_of(topic, idle.names) or ""
    idle.start("intake", "dispatch")
    idle.ask([message(f"before-{number}") for number in range(4)])
    idle.drained(within_s=20)
    idle.terminate("dispatch")
    eventually(lambda: not idle.cluster.members(group), within_s=20)
    idle.cluster.forget(group)
    idle.ask([message("held")])
    idle.start("dispatch")
    eventually(lambda: idle.metric("dispatch", "comm_partitions_held", topic=topic) > 0, within_s=20)
    held = ("topics", "release", topic, "0", "--from-offset", "end")

    refused = commproc(*held, "--yes", config=idle.config, environ=idle.environ)
    idle.terminate("dispatch")
    eventually(lambda: not idle.cluster.members(group), within_s=20)
    asked = commproc(*held, config=idle.config, environ=idle.environ)
    outside = commproc(*held[:-1], "4711", "--yes", config=idle.config, environ=idle.environ)
    others = [commproc(*held[:3], each, *held[4:], "--yes", config=idle.config, environ=idle.environ) for each in "01"]

    assert (refused.code, asked.code, outside.code) == (1, 1, 1)
    assert f"{group} has 1 members; stop every process" in refused.err
    assert "repeat with --yes" in asked.err
    assert "write one of these" in outside.err
    assert [ran.code for ran in others] == [0, 0]
    committed = idle.cluster.committed(group, [(topic, 0), (topic, 1)])
    assert {place: part.offset for place, part in committed.items()} == idle.cluster.ends(committed)
    assert [decode(part.offset, part.metadata).started for part in committed.values()] == [frozenset(), frozenset()]
    idle.start("dispatch")
    assert idle.metric("dispatch", "comm_partitions_held", topic=topic) == 0
