"""
Breaks what the processor stands on, while it works, and counts what was lost or doubled.

    python -m chaos [--seed N] [--nodes 1 3] [--faults NAME ...] [--minutes M] [--rate R] [--no-report]

Each fault alone, then a random mix of --minutes, on a cluster of each size, and last what sets clocks wrong, alone and
among the others; docs/reliability.md is written from what was found. Ends with 1 where a promise was broken, and keeps
and names the folder with all ledgers and logs.
"""

from __future__ import annotations

import argparse
import os
import random
import shutil
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from chaos import mounts
from chaos.audit import audited, told
from chaos.drill import Drill
from chaos.faults import CLOCK_WRONG_BY_MS, FAULTS, Target
from chaos.report import TITLES, Run, table, write
from chaos.samples import BURST_S, LONG_MIN, REST_S, Growth
from chaos.schedule import BEFORE_S, alone, mixed
from chaos.strikes import met
from chaos.works import Works
from processor.sandbox.versions import versions

if TYPE_CHECKING:
    from collections.abc import Sequence

    from chaos.checks import Findings
    from chaos.strikes import Strike

RATE_PER_CORE: Final = 10.0
CLOCKED_MIX_MIN: Final = 1.0  # what a clock has put off waits for five more minutes
RIGHT: Final = "of all but drills of clocks"
WRONG_BY_S: Final = CLOCK_WRONG_BY_MS / 1_000 + 2.0  # until every member has seen it
WRONG: Final = f"of all, of clocks that may differ by {WRONG_BY_S:g} s"
WATCHED: Final = (("intake", "1"), ("delay", "1"), ("dispatch", "1"))
"""In a long mix these are frozen and cut off, and never ended: each has to be seen not to grow."""


def main() -> int:
    """Run what was asked for and tell what was found."""
    asked = _arguments()
    mounts.enter(sys.argv[1:] if "--seed" in sys.argv else [*sys.argv[1:], "--seed", str(asked.seed)])
    print(f"seed {asked.seed}; repeat with: {asked.command}", flush=True)
    found: dict[str, list[Findings]] = {}
    audits: dict[str, dict[str, dict[str, Any]]] = {}
    strikes: dict[str, dict[str, list[Strike]]] = {}
    kept: list[Path] = []
    for nodes in asked.nodes:
        folder = Path(tempfile.mkdtemp(prefix=f"commproc-chaos-{nodes}-"))
        try:
            with Works(nodes, folder, registry=any(FAULTS[name].registry for name in asked.faults)) as works:
                works.watched = set(WATCHED if asked.is_long else ())
                by_right_clock, by_wrong = _drills(asked, nodes)
                found[str(nodes)], audits[str(nodes)] = [], {}
                for drills, of_what, skew_s in ((by_right_clock, RIGHT, 0.0), (by_wrong, WRONG, WRONG_BY_S)):
                    found[str(nodes)] += [_run(drill, works) for drill in drills]
                    if drills:
                        audits[str(nodes)][of_what] = audited(works, skew_s=skew_s)
                        print(f"commproc audit, {of_what}: {told(audits[str(nodes)][of_what])}", flush=True)
                strikes[str(nodes)] = {drill.name: drill.strikes for drill in [*by_right_clock, *by_wrong]}
        except BaseException:
            print(f"ledgers and logs are kept in {folder}", file=sys.stderr)
            raise
        holds = all(each["holds"] for each in audits[str(nodes)].values())
        if asked.keep or any(each.breaches for each in found[str(nodes)]) or not holds:
            kept.append(folder)
        else:
            shutil.rmtree(folder, ignore_errors=True)
    for nodes, rows in found.items():
        print("", f"nodes: {nodes}", *table(rows), sep="\n", flush=True)
    print(f"seed {asked.seed}; {versions()}", flush=True)
    if asked.report:
        title = TITLES[not asked.alone and asked.is_long]
        audited_as = {
            nodes: "; ".join(f"{of_what}: {told(each)}" for of_what, each in both.items())
            for nodes, both in audits.items()
        }
        write(Run(title, asked.command, asked.seed, found, audited_as, strikes))
    for folder in kept:
        print(f"ledgers and logs are kept in {folder}", file=sys.stderr)
    broken = any(each.breaches for rows in found.values() for each in rows)
    return int(broken or not all(each["holds"] for both in audits.values() for each in both.values()))


def _run(drill: Drill, works: Works) -> Findings:
    print(f"{drill.name} on nodes: {len(works.brokers)}", flush=True)
    findings = drill.run(works)
    _tell(findings)
    print(f"  {met(drill.strikes)}", flush=True)
    return findings


def _tell(findings: Findings) -> None:
    print(f"  {findings.messages} messages: {findings.ended}; drained after {findings.drain_s:.1f} s", flush=True)
    if findings.repeated:
        print(f"  written twice by the producer's client: {findings.repeated}", flush=True)
    print(f"  tried again: {findings.retried}; opens: {findings.opens}", flush=True)
    for member, grown in findings.growth.items():
        print(f"  {member}: {Growth._make(grown)}", flush=True)
    for name, line in findings.breaches.items():
        print(f"  BROKEN: {name}: {line.broken}, such as {line.examples}", flush=True)


def _drills(asked: argparse.Namespace, nodes: int) -> tuple[list[Drill], list[Drill]]:
    """Return the drills, and apart those that set clocks wrong: nobody but a drill itself knows by what."""
    names = [name for name in asked.faults if nodes in FAULTS[name].nodes]
    for name in [] if mounts.inside() else [name for name in names if FAULTS[name].mounts]:
        print(f"left out: {name}, for this system gives us no mount namespace (unshare --map-root-user --mount)")
        names.remove(name)
    clocks = [name for name in names if FAULTS[name].target is Target.CLOCK]
    others = [name for name in names if name not in clocks]
    drills, wrong = [
        [Drill(name, alone(name, asked.seed), asked.seed, asked.rate) for name in group if asked.alone]
        for group in (others, clocks)
    ]
    if asked.minutes:
        drills.append(_mix("mix", others, asked, asked.minutes))
        if clocks and asked.alone:
            wrong.append(_mix("clocks-mixed", names, asked, min(asked.minutes, CLOCKED_MIX_MIN)))
    return drills, wrong


def _mix(name: str, faults: Sequence[str], asked: argparse.Namespace, minutes: float) -> Drill:
    is_long = minutes >= LONG_MIN
    from_s = BURST_S + REST_S if is_long else BEFORE_S
    until_s = from_s + minutes * 60
    plan = mixed(faults, asked.seed, until_s, from_s=from_s)
    return Drill(name, plan, asked.seed, asked.rate, until_s, is_long)


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m chaos", description="Break what the processor stands on.")
    parser.add_argument("--seed", type=int, default=random.SystemRandom().randrange(1 << 32))
    parser.add_argument("--nodes", type=int, nargs="+", default=[1, 3], choices=[1, 3])
    parser.add_argument("--faults", nargs="+", default=list(FAULTS), choices=list(FAULTS))
    parser.add_argument("--minutes", type=float, default=1.0, help="of the random mix; 0: none")
    parser.add_argument("--mix-only", dest="alone", action="store_false", help="no fault alone")
    parser.add_argument("--rate", type=float, default=RATE_PER_CORE * (os.cpu_count() or 1), help="messages a second")
    parser.add_argument("--no-report", dest="report", action="store_false", help="leave docs/reliability.md as it is")
    parser.add_argument("--keep", action="store_true", help="ledgers and logs, also of a run without a breach")
    asked = parser.parse_args()
    asked.is_long = asked.minutes >= LONG_MIN
    asked.command = (
        f"python -m chaos --seed {asked.seed} --nodes {' '.join(map(str, asked.nodes))} "
        f"--faults {' '.join(asked.faults)} --minutes {asked.minutes:g} --rate {asked.rate:g}"
        + ("" if asked.alone else " --mix-only")
    )
    return asked
