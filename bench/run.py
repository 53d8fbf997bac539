"""
Measures the processor beside the bare transactional forward loop, and writes docs/performance.md.

    python -m bench [--rounds 3] [--records 100000] [--waiting 1000000] [--only NAME ...]

What is measured is written at once; what is not, with --only or because the run ended, stays as an earlier run left it.
Each section says of which run and revision it is. One that fails is told on the page, and the others go on.

Each measurement has a process and a topic prefix of its own; the bare loop runs before each one, and the
ratio is theirs. These machines are noisy: the table gives the median of the rounds and their spread.
"""

import argparse
import os
import subprocess
import sys
import time
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from multiprocessing import get_context
from typing import Any

from bench import loops
from bench.express import express
from bench.field import PROVIDER, Field, send_topics
from bench.memory import memory
from bench.report import Ratio, write
from bench.results import Run, keep, kept
from processor.metrics import know
from processor.sandbox.broker import find_broker

ANSWER_S = 0.05
APART = {  # each prints what it has measured; the report shows it as it was printed
    "smtp": ["bench.smtp", "--rounds", "3"],
    "http": ["bench.http", "--rounds", "3"],
    "smpp": ["bench.smpp", "--rounds", "3"],
    "whole": ["bench.whole", "--rounds", "2"],
    "rewriting": ["bench.rewriting"],
    "tracking": ["bench.tracking", "--rounds", "3", "--requests", "15000"],
    "controls": ["bench.controls"],
    "path": ["bench.path"],
    "lateness": ["bench.lateness"],
    "lateness_killed": ["bench.lateness", "--kill"],
    "urgency": ["bench.urgency"],
    "opening": ["bench.opening"],
    "takeover": ["bench.takeover"],
    "growth": ["bench.growth"],
    "ids": ["bench.ids"],
    "audit": ["bench.audit"],
}
SLOTS = 400
Found = dict[str, Any]


def main() -> None:
    """Run what was asked for and write the report."""
    asked = _arguments()
    run, results, failed = Run.begun(), kept(), []
    with find_broker() as broker:
        os.environ["KAFKA_BOOTSTRAP"] = broker.bootstrap
        for name, (command, measure) in measurements(asked, broker.bootstrap).items():
            if asked.only and name not in asked.only:
                continue
            results[name] = run.told(name, command) | measure()
            keep(results)
            write(results)
            if results[name].get("failed"):
                failed.append(name)
    if failed:
        raise SystemExit(f"failed: {', '.join(failed)}")


def measurements(asked: argparse.Namespace, bootstrap: str) -> dict[str, tuple[str, Callable[[], Found]]]:
    """Return the command of each measurement, and what measures."""
    every: dict[str, tuple[str, Callable[[], Found]]] = {}
    for name, (run, concurrency, count) in _measured(asked).items():
        command = f"python -m bench --rounds {asked.rounds} --records {asked.records} --only {name}"
        every[name] = command, partial(_rounds, bootstrap, name, run, concurrency, count, asked.rounds)
    every["express"] = "python -m bench --only express", partial(_apart, bootstrap, "express", SLOTS, express, 300)
    command = f"python -m bench --waiting {asked.waiting} --only memory"
    every["memory"] = command, partial(_apart, bootstrap, "memory", SLOTS, memory, asked.waiting)
    for name, arguments in APART.items():
        every[name] = f"python -m {' '.join(arguments)}", partial(measured_apart, arguments)
    return every


def _measured(asked: argparse.Namespace) -> dict[str, tuple[Callable[..., float], int, int]]:
    """Return what is measured beside the bare loop: the loop, the provider's concurrency, the records."""
    # A provider with all lanes keeps a fifth of its slots for express: 500 leave 400 for the others.
    return {
        "intake": (loops.intake, SLOTS, asked.records),
        "delay_hop": (loops.delay_hop, SLOTS, asked.records),
        "dispatch_instant": (loops.dispatch_instant, 2_500, asked.records),
        "dispatch_50ms": (loops.dispatch_50ms, SLOTS * 5 // 4, asked.records),
    }


def measured_apart(arguments: list[str]) -> Found:
    """Return what another of our measurements prints, and print it; its errors go where ours go."""
    done = subprocess.run([sys.executable, "-m", *arguments], stdout=subprocess.PIPE, text=True, check=False)
    print(f"--- {' '.join(arguments)}\n{done.stdout}", flush=True)
    return {"text": done.stdout.strip("\n")} | ({"failed": True} if done.returncode else {})


def _rounds(
    bootstrap: str, name: str, run: Callable[..., float], concurrency: int, count: int, rounds: int
) -> dict[str, list[Ratio]]:
    return {"rounds": [_round(bootstrap, name, run, concurrency, count) for _ in range(rounds)]}


def _round(bootstrap: str, name: str, run: Callable[..., float], concurrency: int, count: int) -> Ratio:
    bare = _apart(bootstrap, f"{name}.bare", concurrency, loops.bare, count)
    rate = _apart(bootstrap, name, concurrency, run, count)
    ratio: Ratio = {"rate_per_s": round(rate), "bare_per_s": round(bare), "ratio": round(rate / bare, 3)}
    print(f"{name}: {ratio}", flush=True)
    return ratio


def _apart(bootstrap: str, name: str, concurrency: int, run: Callable[..., Any], count: int) -> Any:
    """Run one measurement in a process of its own."""
    prefix = f"bench{time.time_ns() // 1_000_000}.{name}"
    with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as apart:
        return apart.submit(_measure, Field(bootstrap, prefix, concurrency), run, count).result()


def _measure(field: Field, run: Callable[..., Any], count: int) -> Any:
    field.parts()
    know(provider=[PROVIDER], channel=["Email"], topic=send_topics(field))
    return run(field, count)


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m bench", description="Measure the processor.")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--records", type=int, default=100_000)
    parser.add_argument("--waiting", type=int, default=1_000_000)
    parser.add_argument("--only", nargs="*", default=[], metavar="NAME")
    asked = parser.parse_args()
    if unknown := set(asked.only) - measurements(asked, "").keys():
        parser.error(f"--only {' '.join(unknown)}: there is {', '.join(measurements(asked, ''))}")
    os.environ.setdefault("PYTHONHASHSEED", "0")
    return asked
