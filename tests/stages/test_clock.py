"""The clock of a drill is stepped from outside, and is right again when the drill is over."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from processor.stages.clock import DrillClock, SystemClock
from tests.support.eventually import eventually

if TYPE_CHECKING:
    from pathlib import Path

HOUR_MS = 3_600_000


def off_ms(clock: SystemClock) -> float:
    return clock.now_ms() - time.time_ns() / 1_000_000


def test_a_drill_steps_the_wall_clock_of_a_running_process_and_never_its_durations(tmp_path: Path) -> None:
    file = tmp_path / "offset"
    clock = DrillClock(file)
    assert abs(off_ms(clock)) < 1_000, "without a file it is right"

    file.write_text(str(HOUR_MS), encoding="ascii")
    eventually(lambda: off_ms(clock) > HOUR_MS - 1_000, within_s=5)
    assert abs(clock.monotonic_s() - time.monotonic()) < 1

    file.write_text(str(-HOUR_MS), encoding="ascii")
    eventually(lambda: off_ms(clock) < -HOUR_MS + 1_000, within_s=5)

    file.write_text("what is this", encoding="ascii")
    eventually(lambda: abs(off_ms(clock)) < 1_000, within_s=5)
