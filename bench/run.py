"""
Measures the processor beside the bare transactional forward loop, and writes docs/performance.md.

    python -m bench [--rounds 3] [--records 100000] [--waiting 1000000] [--only NAME ...]

What is not measured with --only stays as the last run left it; each section says its day.

Each measurement has a process and a topic prefix of its own; the bare loop runs before each one, and the
ratio is theirs. These machines are noisy: the table gives the median of the rounds and their spread.
"""

import argparse
import json
import os
import subprocess
import sys
import time
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from typing import Any

from bench import loops
from bench.express import express
from bench.field import PROVIDER, Field, send_topics
from bench.memory import memory
from bench.report import RESULTS, Ratio, ran_on, write
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
HEAD = {"intake", "delay_hop", "dispatch_instant", "dispatch_50ms", "express", "memory"}
"""What the report begins with, and says the day of."""


def main() -> None:
    """Run what was asked for and write the report."""
    asked = _arguments()
    with find_broker() as broker:
        results = _begun(asked)
        for name, (run, concurrency, count) in _measured(asked).items():
            if asked.only and name not in asked.only:
                continue
            results[name] = [_round(broker.bootstrap, name, run, concurrency, count) for _ in range(asked.rounds)]
        if not asked.only or "express" in asked.only:
            results["express"] = _apart(broker.bootstrap, "express", SLOTS, express, 300)
        if not asked.only or "memory" in asked.only:
            results["memory"] = _apart(broker.bootstrap, "memory", SLOTS, memory, asked.waiting)
        os.environ["KAFKA_BOOTSTRAP"] = broker.bootstrap
        for name, arguments in APART.items():
            if not asked.only or name in asked.only:
                command = f"python -m {' '.join(arguments)}"
                told = {"on": time.strftime("%Y-%m-%d"), "command": command, "versions": ran_on()}
                results[name] = told | {"text": _said(arguments)}
    RESULTS.write_text(json.dumps(results, indent=2) + "\n", encoding="utf-8")
    write(results)


def _begun(asked: argparse.Namespace) -> dict[str, Any]:
    """Return what the results begin with: of a run of --only, those of the last run."""
    told = {"command": asked.command, "rounds": asked.rounds, "records": asked.records}
    told |= {"on": time.strftime("%Y-%m-%d"), "versions": ran_on()}
    if not asked.only:
        return told
    kept = dict(json.loads(RESULTS.read_text(encoding="utf-8")))
    return kept | told if set(asked.only) >= HEAD else kept


def _measured(asked: argparse.Namespace) -> dict[str, tuple[Callable[..., float], int, int]]:
    """Return what is measured beside the bare loop: the loop, the provider's concurrency, the records."""
    # A provider with all lanes keeps a fifth of its slots for express: 500 leave 400 for the others.
    return {
        "intake": (loops.intake, SLOTS, asked.records),
        "delay_hop": (loops.delay_hop, SLOTS, asked.records),
        "dispatch_instant": (loops.dispatch_instant, 2_500, asked.records),
        "dispatch_50ms": (loops.dispatch_50ms, SLOTS * 5 // 4, asked.records),
    }


def _said(arguments: list[str]) -> str:
    """Return what another of our measurements prints, and print it."""
    done = subprocess.run([sys.executable, "-m", *arguments], capture_output=True, text=True, check=True)
    print(f"--- {' '.join(arguments)}\n{done.stdout}", flush=True)
    return done.stdout.strip()


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
    parser.add_argument("--only", nargs="*", default=[])
    asked = parser.parse_args()
    asked.command = f"python -m bench --rounds {asked.rounds} --records {asked.records} --waiting {asked.waiting}"
    os.environ.setdefault("PYTHONHASHSEED", "0")
    return asked
