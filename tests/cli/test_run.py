"""One instance from its start to its end, as an operator sees it."""

from __future__ import annotations

import json
import os
import signal
import sys
from typing import TYPE_CHECKING, Any

from processor.kafka.admin import Topics
from processor.sandbox.child import Child
from processor.sandbox.ports import free_port
from tests.cli.command import commproc, environment
from tests.support.cluster import fresh
from tests.support.eventually import eventually
from tests.support.plant import STAGES, TEXT, Plant, message

if TYPE_CHECKING:
    from pathlib import Path


def changed(made: Plant, **sections: Any) -> Path:
    """Return a copy of the configuration with other *sections*."""
    tree = json.loads(made.config.read_text())
    path = made.folder / f"{fresh('changed')}.yaml"
    path.write_text(json.dumps(tree | sections))
    return path


def started(made: Plant, config: Path, *words: str) -> Child:
    folder = made.folder / fresh("run")
    folder.mkdir()
    command = [sys.executable, "-m", "processor.cli", "run", *words, "--config", str(config)]
    return Child(command, folder=folder, environ=environment(made.environ))


def events(child: Child) -> list[str]:
    lines = child.log.read_bytes().splitlines(keepends=True)
    return [json.loads(line)["event"] for line in lines if line.startswith(b"{") and line.endswith(b"}\n")]


def test_a_start_without_topics_names_them_and_what_to_do(idle: Plant) -> None:
    prefix = fresh("bare")
    config = changed(idle, topics={"prefix": prefix})

    ran = commproc("run", config=config, environ=idle.environ)

    assert ran.code == 2
    assert f"{prefix}.delay.urgent.1: is missing; run `commproc topics apply`" in ran.err.splitlines()


def test_a_start_may_make_the_topics_itself(idle: Plant) -> None:
    prefix = fresh("made")
    config = changed(idle, topics={"prefix": prefix})
    child = started(idle, config, "--apply-topics", "--stage", "intake")
    try:
        eventually(lambda: f"{prefix}.outbound" in topics_of(idle), within_s=30, what=child.last_lines)
        eventually(lambda: commproc("topics", "check", config=config, environ=idle.environ).code == 0, within_s=30)
    finally:
        child.kill()


def topics_of(made: Plant) -> set[str]:
    return set(made.cluster.admin.list_topics(timeout=10).topics)


def test_a_delay_topic_that_keeps_its_records_too_shortly_is_refused(idle: Plant) -> None:
    [spec] = [spec for spec in idle.specs if spec.name == f"{idle.names.prefix}.delay.rest.4096"]
    short = type(spec)(spec.name, spec.partitions, {**spec.config, "retention.ms": "1000"})
    Topics(idle.cluster.connection).apply([short], 1)

    ran = commproc("run", config=idle.config, environ=idle.environ)

    assert ran.code == 2
    assert f"{spec.name}: retention.ms is 1000, must be {spec.config['retention.ms']}" in ran.err


def test_a_taken_port_is_told(running: Plant) -> None:
    port = next(line["port"] for line in running.lines("intake") if line["event"] == "process.started")

    ran = commproc("run", config=changed(running, metrics={"port": port}), environ=running.environ)

    assert ran.code == 2
    assert f"Port {port} is taken" in ran.err


def test_what_starts_says_where_it_can_be_asked(running: Plant) -> None:
    for stage in STAGES:
        [line] = [line for line in running.lines(stage) if line["event"] == "process.started"]

        assert line["stage"] == stage
        assert line["slot"] == "0"
        assert line["port"] > 0


def test_an_instance_without_partitions_is_ready_too(idle: Plant) -> None:
    slots = ("a", "b", "c")
    for slot in slots:
        idle.start("intake", slot=slot)

    owned = {slot: idle.metric("intake", "comm_partitions_assigned", slot, loop="intake.express") for slot in slots}
    eventually(lambda: all(idle.is_ready("intake", slot) for slot in slots), within_s=10)

    assert sorted(owned.values()) == [0, 0, 1]


def test_a_process_told_to_stop_says_so_and_leaves_with_0(idle: Plant) -> None:
    idle.start("intake", "dispatch")
    idle.ask([message("before-stop")])

    codes = [idle.terminate(stage) for stage in ("intake", "dispatch")]

    assert codes == [0, 0]
    assert [line["event"] for line in idle.lines("intake")][-2:] == ["process.stopping", "process.stopped"]


def test_a_second_signal_ends_a_process_at_once(idle: Plant) -> None:
    idle.start("intake", "dispatch")
    idle.ask([message("hangs", to="slow-20s@example.com")])
    eventually(lambda: idle.metric("dispatch", "comm_send_backlog_records", provider="Mail") == 1, within_s=20)
    child = idle.processes["dispatch/0"]

    os.kill(child.pid, signal.SIGTERM)
    eventually(lambda: "process.stopping" in events(child), within_s=10)
    assert not child.ended()
    os.kill(child.pid, signal.SIGINT)

    assert child.ended(within_s=2)
    assert child.exit_code == 128 + signal.SIGINT


def test_the_newer_of_two_instances_with_one_slot_stays(idle: Plant) -> None:
    idle.start("intake")
    first = idle.processes["intake/0"]
    idle.processes["first"] = first  # so that it ends with the plant

    idle.start("intake")

    assert first.ended(within_s=20)
    assert first.exit_code == 1
    assert "Another process has taken slot 0" in first.log.read_text()
    eventually(lambda: idle.is_ready("intake"), within_s=20)  # they fence each other a few times before one gives in


def test_kafka_may_come_after_the_process(idle: Plant) -> None:
    config = changed(idle, kafka={"bootstrap": f"127.0.0.1:{free_port()}"})
    child = started(idle, config, "--stage", "intake")
    try:
        eventually(lambda: "kafka.away" in events(child), within_s=20, what=child.last_lines)

        assert not child.ended()
        os.kill(child.pid, signal.SIGTERM)
        assert child.ended(within_s=10)
        assert child.exit_code == 0
        assert events(child).count("kafka.away") == 1
    finally:
        child.kill()


def test_the_backlog_counts_what_waits_and_comes_back_to_nothing(idle: Plant) -> None:
    late = message("late", start_at_ms=4_000_000_000_000)
    slow = [message(f"slow-{number}", to="slow-2s@example.com") for number in range(3)]
    idle.start("intake", "delay", "dispatch")

    idle.ask([late, *slow])

    eventually(lambda: idle.metric("dispatch", "comm_send_backlog_records", provider="Mail") == 3, within_s=20)
    eventually(lambda: idle.metric("delay", "comm_delay_backlog_records", delay_class="rest") == 1, within_s=20)
    eventually(lambda: idle.metric("dispatch", "comm_send_backlog_records") == 0, within_s=20)
    assert idle.metric("intake", "comm_inbound_backlog_records") == 0
    assert idle.metric("delay", "comm_delay_overdue_seconds") == 0
    assert TEXT not in idle.output()
