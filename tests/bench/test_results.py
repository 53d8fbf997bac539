"""A page that several runs have written tells of each section which run, which revision and which versions it is of."""

from __future__ import annotations

import json
import shutil
import subprocess
from argparse import Namespace
from typing import TYPE_CHECKING, Any

import pytest

from bench.report import GROWTH, PATH, PROVIDERS, ROWS, TIME, TRACKING, page
from bench.results import RESULTS, Run, keep, kept, ran_on, revision
from bench.run import APART, measured_apart, measurements

if TYPE_CHECKING:
    from pathlib import Path

ROUND = {"rate_per_s": 100, "bare_per_s": 200, "ratio": 0.5}
FIGURES: dict[str, dict[str, Any]] = {
    **{name: {"rounds": [ROUND]} for name in (*ROWS, "dispatch_50ms")},
    "express": {"p50_ms": 1, "p99_ms": 2, "max_ms": 3},
    "memory": {"before_mib": 1, "highest_mib": 2, "waiting": 3},
    **{name: {"text": f"what {name} printed"} for name in APART},
}


def test_every_measurement_of_a_run_has_a_place_on_the_page() -> None:
    assert {*PATH, *TIME, *GROWTH, *PROVIDERS, *TRACKING} == set(APART)
    assert set(FIGURES) == set(measurements(Namespace(rounds=1, records=1, waiting=1), "127.0.0.1:9092"))


def test_each_section_says_its_own_command_run_revision_and_versions() -> None:
    results = {
        name: {"command": f"run {name}", "on": f"on {name}", "revision": f"of {name}", "versions": f"v {name}"} | found
        for name, found in FIGURES.items()
    }

    told = page(results)

    for name in FIGURES:
        assert f"`run {name}`, on {name}, revision of {name}: v {name}." in told


def test_lateness_is_measured_with_a_death_and_without() -> None:
    assert APART["lateness"] == ["bench.lateness"]
    assert APART["lateness_killed"] == ["bench.lateness", "--kill"]
    assert {"lateness", "lateness_killed", "ids"} <= {*TIME, *GROWTH}


def test_what_an_older_run_kept_once_for_all_is_kept_with_each(tmp_path: Path) -> None:
    old = {"command": "python -m bench", "on": "2026-11-26", "versions": "Python 3", "rounds": 1, "records": 9}
    old |= {"intake": [ROUND], "express": FIGURES["express"], "smtp": {"on": "2026-11-25", "text": "fast"}}
    (tmp_path / "results.json").write_text(json.dumps(old), encoding="utf-8")

    results = kept(tmp_path / "results.json")

    of_the_run = {"command": "python -m bench", "on": "2026-11-26", "versions": "Python 3"}
    assert results["intake"] == of_the_run | {"rounds": [ROUND]}
    assert results["express"] == of_the_run | FIGURES["express"]
    assert results["smtp"] == {"on": "2026-11-25", "text": "fast"}
    assert set(results) == {"intake", "express", "smtp"}
    keep(results, tmp_path / "results.json")
    assert kept(tmp_path / "results.json") == results
    assert "`python -m bench.smtp`, 2026-11-25, revision not kept: versions not kept." in page(results)


def test_what_is_published_can_be_renewed_in_part() -> None:
    assert page(kept(RESULTS) | {"ids": {"command": "c", "on": "d", "text": "few bytes"}})


def test_a_measurement_that_failed_is_no_good_one_on_the_page() -> None:
    found = {"command": "c", "on": "d", "text": "it did not drain"}

    assert "**It failed**" in page({"urgency": found | {"failed": True}})
    assert "**It failed**" not in page({"urgency": found})


def test_a_measurement_that_fails_keeps_what_it_had_printed_and_ends_no_run() -> None:
    assert measured_apart(["json.tool", "--help"])["text"].startswith("usage:")
    assert measured_apart(["json.tool", "nowhere.json"]) == {"text": "", "failed": True}


def test_what_a_measurement_stands_beside_is_told_with_its_version() -> None:
    assert "aiohttp " in ran_on("http")
    assert "smpp34 " in ran_on("smpp")
    assert "granian " in ran_on("tracking")
    assert all(each in ran_on("growth") for each in ("Python ", "confluent-kafka ", "librdkafka ", "Apache Kafka "))


@pytest.mark.skipif(shutil.which("postconf", path="/usr/sbin:/usr/bin") is None, reason="Postfix is not installed")
def test_the_version_of_postfix_is_told_where_its_programs_are_the_peer() -> None:
    assert "Postfix 3." in ran_on("smtp")


def test_a_revision_says_whether_files_were_changed_but_for_what_a_run_writes(tmp_path: Path) -> None:
    def git(*arguments: str) -> str:
        who = ["-c", "user.name=a", "-c", "user.email=a@example.com"]
        command = ["git", "-C", str(tmp_path), *who, *arguments]
        return subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()

    git("init", "-q")
    (tmp_path / "docs").mkdir()
    for name in ("code.py", "docs/performance.json"):
        (tmp_path / name).write_text("1", encoding="ascii")
    git("add", ".")
    git("commit", "-q", "-m", "first")
    commit = git("rev-parse", "--short=12", "HEAD")

    (tmp_path / "docs/performance.json").write_text("2", encoding="ascii")
    assert revision(tmp_path) == commit
    (tmp_path / "code.py").write_text("2", encoding="ascii")
    assert revision(tmp_path) == f"{commit} and changes"


def test_a_copy_without_history_has_no_revision(tmp_path: Path) -> None:
    assert revision(tmp_path) == "unknown"


def test_what_is_kept_of_a_run_is_its_command_and_all_that_it_is_of() -> None:
    kept_of_it = Run("2026-11-27 16:00 UTC", "abc").told("http", "python -m bench.http")

    assert kept_of_it["revision"] == "abc"
    assert set(kept_of_it) == {"command", "on", "revision", "versions"}
