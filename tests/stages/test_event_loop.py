"""The thread in which providers are called, and the threads in which their names are looked up."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

LOOK_UP = """
import os
from processor.stages.dispatch.event_loop import EventLoop

events = EventLoop()
before = len(os.listdir("/proc/self/task"))
events.run(events.loop.getaddrinfo("localhost", 25))
print(len(os.listdir("/proc/self/task")) - before)
events.close()
"""


@pytest.mark.skipif(not Path("/proc/self/task").exists(), reason="threads are counted in /proc")
@pytest.mark.parametrize(("configured", "threads"), [(None, 128), ("7", 7)])
def test_a_few_names_that_resolve_slowly_do_not_keep_all_others_waiting(configured: str | None, threads: int) -> None:
    environment = {name: value for name, value in os.environ.items() if name != "UV_THREADPOOL_SIZE"}
    if configured is not None:
        environment["UV_THREADPOOL_SIZE"] = configured

    told = subprocess.run(  # a process of its own: libuv makes its threads once
        [sys.executable, "-c", LOOK_UP], env=environment, capture_output=True, text=True, check=True, timeout=60
    )

    assert int(told.stdout) == threads
