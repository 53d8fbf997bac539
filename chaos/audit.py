"""`commproc audit` over everything that a cluster has seen: a program apart, with no memory of what was done."""

from __future__ import annotations

import os
import subprocess
import sys
from typing import TYPE_CHECKING, Any, Final

import orjson

from chaos.checks import CANARIES
from chaos.faults import HANGS_MAX_S
from processor.cli.audit.notes import call_of
from processor.cli.audit.report import BROKEN, UNCHECKED

if TYPE_CHECKING:
    from chaos.works import Works

WITHIN_S: Final = 600.0


def audited(works: Works, *, skew_s: float) -> dict[str, Any]:
    """
    Return what it says, as JSON has it, of all that was asked, called and told so far; clocks may differ by *skew_s*.

    Raises `AssertionError` with its words where it could not say anything.
    """
    plant = works.plant
    asked, secrets = plant.folder / "asked.jsonl", plant.folder / "secrets.txt"
    lines = (orjson.dumps({**origin._asdict(), "message_id": each.message_id}) for origin, each in works.asked.items())
    asked.write_bytes(b"\n".join(lines) + b"\n")
    secrets.write_text("\n".join(CANARIES) + "\n")
    command = [sys.executable, "-m", "processor.cli", "audit", "--config", str(plant.config), "--drained", "--json"]
    command += ["--asked", str(asked), "--calls", str(plant.folder / "ledger.jsonl"), "--secrets", str(secrets)]
    command += ["--skew", str(skew_s)]
    command += ["--latency", str(HANGS_MAX_S + 1.0)]  # it cannot know what a way has held back; each drill's judge does
    command += [part for log in plant.logs for part in ("--output", str(log))]
    done = subprocess.run(
        command, env=os.environ | plant.environ, capture_output=True, text=True, check=False, timeout=WITHIN_S
    )
    assert done.returncode in {0, 1}, f"commproc audit ended with {done.returncode}:\n{done.stderr[-2000:]}"
    (plant.folder / "audit.json").write_text(done.stdout)
    found: dict[str, Any] = orjson.loads(done.stdout)
    calls = sum(call_of(each) is not None for each in plant.sandbox.entries())
    assert not (holes := unseen(found, records=len(works.asked), calls=calls)), holes
    return found


def unseen(found: dict[str, Any], *, records: int, calls: int) -> list[str]:
    """Return what an audit has not looked at, of a run that asked *records* and whose providers noted *calls*."""
    holes = [f"{each['name']}: {each['why']}" for each in found["promises"] if each["verdict"] == UNCHECKED]
    holes += [f"{found['records']} records of {records}"] if found["records"] < records else []
    holes += [f"{found['calls']} calls of {calls}"] if found["calls"] < calls else []
    return holes + ([] if found["files_searched"] else ["no file was searched for secrets"])


def told(found: dict[str, Any]) -> str:
    """Return the verdict in a line."""
    broken = [f"{each['name']} {each['examples']}" for each in found["promises"] if each["verdict"] == BROKEN]
    figures = f"{found['records']} records, {found['results']} results, {found['calls']} calls"
    doubts = f"{found['attempts_in_doubt']} attempts in doubt"
    return f"{figures}, {doubts}: {'every promise holds' if found['holds'] else 'BROKEN: ' + ', '.join(broken)}"
