"""
Fuzz every target for some seconds, each in a process of its own.

    python -m fuzz [--seconds 60] [--seed N] [TARGET ...]

What is found is kept as a file, with the command that repeats it; the exit code is 1 then.
"""

from __future__ import annotations

import argparse
import random
import re
import subprocess
import sys
from pathlib import Path
from typing import NamedTuple

from fuzz.targets import TARGETS

STARTS_WITHIN_S = 120
LINES_MAX = 20
STATISTIC = re.compile(r"stat::number_of_executed_units:\s*(\d+)")
COVERED = re.compile(r"\bcov: (\d+)")
KEPT = re.compile(r"Test unit written to (\S+)")
RAISED = "=== Uncaught Python exception: ===\n"


class Ran(NamedTuple):
    """A run of one target."""

    executions: int
    covered: int  # branches that were seen
    found: str | None  # what went wrong
    file: Path | None  # with the input that did it


def fuzzed(target: str, *, seconds: int, seed: int, folder: Path) -> Ran:
    """Fuzz *target*; inputs that break it are kept in *folder*."""
    command = [sys.executable, "-m", "fuzz.child", target, "--seconds", str(seconds), "--seed", str(seed)]
    command += ["--keep", str(folder)]
    ended = subprocess.run(
        command, capture_output=True, text=True, errors="replace", timeout=seconds + STARTS_WITHIN_S, check=False
    )
    told = ended.stderr + ended.stdout
    executions, covered, kept = STATISTIC.search(told), COVERED.findall(told), KEPT.search(told)
    return Ran(
        int(executions[1]) if executions else 0,
        int(covered[-1]) if covered else 0,
        None if ended.returncode == 0 else _why(told, ended.returncode),
        Path(kept[1]) if kept else None,
    )


def _why(told: str, code: int) -> str:
    """Return the traceback, or else how the output begins."""
    _, _, raised = told.partition(RAISED)
    return f"exit code {code}: " + "\n".join((raised or told).strip().splitlines()[:LINES_MAX])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("targets", nargs="*", metavar="TARGET", help=", ".join(TARGETS))
    parser.add_argument("--seconds", type=int, default=60, help="for each target")
    parser.add_argument("--seed", type=int, default=random.SystemRandom().randrange(1, 1 << 31))
    options = parser.parse_args()
    folder = Path("build", "fuzz")
    folder.mkdir(parents=True, exist_ok=True)
    failed = False
    print(f"{len(options.targets or TARGETS)} targets, {options.seconds} s each, --seed {options.seed}")
    print(f"{'target':20}{'executions':>12}{'branches':>10}  found")
    for target in options.targets or TARGETS:
        ran = fuzzed(target, seconds=options.seconds, seed=options.seed, folder=folder)
        print(f"{target:20}{ran.executions:12}{ran.covered:10}  {'nothing' if ran.found is None else ran.found}")
        if ran.found is not None:
            failed = True
            print(f"{'':20}again: python -m fuzz.child {target} --input {ran.file}")
    sys.exit(failed)


if __name__ == "__main__":
    main()
