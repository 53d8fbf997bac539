"""`commproc demo` as a person runs it: it adds up, it shows no recipient, and it leaves nothing behind."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Final

import pytest

from processor.sandbox.probe import admin_client
from tests.support.eventually import eventually

if TYPE_CHECKING:
    from collections.abc import Iterator

    from processor.sandbox.broker import Broker

COMMAND: Final = (str(Path(sys.executable).with_name("commproc")), "demo")
README: Final = Path(__file__).parents[1] / "README.md"
ASKED: Final = 500
pytestmark = [pytest.mark.slow, pytest.mark.timeout(150)]


def test_500_messages_add_up_and_nothing_is_left_behind(kafka: Broker, tmp_path: Path) -> None:
    done = subprocess.run(
        COMMAND, env=environ(kafka, tmp_path), capture_output=True, text=True, check=False, timeout=120
    )

    assert done.returncode == 0, done.stdout + done.stderr
    assert "It adds up. Sent twice: 0. Sent early: 0." in done.stdout
    assert "Exit codes of the stages: intake 0, delay 0, dispatch 0, tracking 0." in done.stdout
    assert sum(counted(done.stdout).values()) == ASKED
    assert counted(done.stdout) == {
        "SENT": 430,
        "FAILED": 14,
        "EXPIRED": 20,
        "SUPPRESSED": 5,
        "CANCELLED": 10,
        "REJECTED": 2,
        "unreadable": 4,
        "waiting": 15,
    }
    assert counted(README.read_text(encoding="utf-8")) == counted(done.stdout), "the README shows a real run"
    assert not re.search(r"@demo\.example|\+1555", done.stdout + done.stderr), "a recipient"
    assert topics(kafka, done.stdout) == []
    assert list(tmp_path.iterdir()) == [], done.stdout


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT], ids=lambda number: number.name)
def test_a_demo_that_is_asked_to_stop_ends_all_that_it_started(
    number: signal.Signals, kafka: Broker, tmp_path: Path
) -> None:
    with running(kafka, tmp_path) as (demo, pids, told):
        demo.send_signal(number)
        rest, _ = demo.communicate(timeout=60)

        assert demo.returncode != 0
        assert not any(map(alive, pids))
        assert topics(kafka, told + rest) == []
        assert list(tmp_path.iterdir()) == [], told + rest


def test_no_process_outlives_a_demo_that_is_killed(kafka: Broker, tmp_path: Path) -> None:
    with running(kafka, tmp_path) as (demo, pids, _):
        demo.kill()
        demo.wait()

        eventually(lambda: not any(map(alive, pids)), within_s=10, what=lambda: [pid for pid in pids if alive(pid)])


def test_a_demo_whose_stage_dies_says_so_and_fails(kafka: Broker, tmp_path: Path) -> None:
    with running(kafka, tmp_path) as (demo, pids, _):
        os.kill(pids[2], signal.SIGKILL)
        rest, _ = demo.communicate(timeout=60)

        assert demo.returncode == 1
        assert "processes that had ended by themselves: dispatch" in rest
        assert "stage dispatch ended with exit code -9" in rest
        assert "It does not add up" in rest
        assert any(tmp_path.glob("commproc-demo-*/dispatch/server.log")), "the logs stay, to be looked into"


def environ(kafka: Broker, folder: Path) -> dict[str, str]:
    return os.environ | {"KAFKA_BOOTSTRAP": kafka.bootstrap, "TMPDIR": str(folder)}


@contextmanager
def running(kafka: Broker, folder: Path) -> Iterator[tuple[subprocess.Popen[str], list[int], str]]:
    """Run a demo up to its first messages; gives the process ids of its stages, and what it has said."""
    with subprocess.Popen(
        COMMAND, env=environ(kafka, folder), stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    ) as demo:
        try:
            assert demo.stdout is not None
            told = ""
            for line in demo.stdout:
                told += line
                if found := re.search(r"process ids: intake (\d+), delay (\d+), dispatch (\d+), tracking (\d+)", line):
                    yield demo, [int(pid) for pid in found.groups()], told
                    return
            pytest.fail(told)
        finally:
            demo.kill()


def counted(told: str) -> dict[str, int]:
    """Return the rows of the sum, by their first word."""
    rows = told.partition("asked: acknowledged by Kafka")[2].partition("together")[0]
    return {word: int(count) for word, count in re.findall(r"^ *(\w+) +(\d+) ", rows, re.MULTILINE)}


def topics(kafka: Broker, told: str) -> list[str]:
    """Return the topics of a demo that the broker still has."""
    prefix = re.search(r"topics +(demo-[0-9a-f]+)\.", told)
    assert prefix, told
    with admin_client(kafka.bootstrap) as client:
        return [topic for topic in client.list_topics(timeout=10).topics if topic.startswith(prefix[1])]


def alive(pid: int) -> bool:
    """Tell whether the process runs; a zombie, whose parent is slow to ask, does not."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False
