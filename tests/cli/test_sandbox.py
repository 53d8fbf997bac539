"""`commproc sandbox` as a person runs it, and the page that tells its rules."""

from __future__ import annotations

import re
import smtplib
import sys
from pathlib import Path

import pytest

from processor.sandbox.behaviour import rule_of
from processor.sandbox.child import Child
from tests.cli.command import commproc, environment

ROOT = Path(__file__).parents[2]
PORTS = ("--smtp-port", "0", "--http-port", "0", "--smsc-port", "0")


def test_a_script_file_says_what_becomes_of_recipients(tmp_path: Path) -> None:
    (tmp_path / "staging.yaml").write_text("bob@: rcpt-553\nann@: {rule: accept, delay_ms: 1}\n")
    command = [sys.executable, "-m", "processor.cli", "sandbox", *PORTS, "--script", "staging.yaml"]
    child = Child(command, folder=tmp_path, environ=environment({"PYTHONPATH": str(ROOT)}))
    try:
        child.wait_until(lambda: "ledger " in child.log.read_text(), within_s=30, what="commproc sandbox")
        port = int(child.log.read_text().partition("smtp 127.0.0.1:")[2].split()[0])
        with smtplib.SMTP("127.0.0.1", port, timeout=10) as client:
            client.ehlo()
            client.mail("service@example.com")
            answers = [client.rcpt(to)[0] for to in ("ann@example.com", "bob@example.com")]
    finally:
        child.stop()

    assert answers == [250, 553]
    assert child.exit_code == 0


@pytest.mark.parametrize(
    ("script", "told"),
    [
        ("bob@: explode", "bob@: not a rule"),
        ("- bob", "holds no rules; write a mapping"),
        ("{", "cannot be read"),
        (None, "cannot be read"),
    ],
)
def test_a_script_that_says_nothing_is_told_by_file_and_key(tmp_path: Path, script: str | None, told: str) -> None:
    path = tmp_path / "staging.yaml"
    if script is not None:
        path.write_text(script)

    ran = commproc("sandbox", *PORTS, "--ledger", str(tmp_path / "l.jsonl"), "--script", str(path))

    assert ran.code != 0
    assert f"{path}: {told}" in ran.err.replace("\n", " ")
    assert "Traceback" not in ran.err


def test_every_recipient_on_the_page_asks_for_a_rule() -> None:
    page = (ROOT / "docs" / "sandbox.md").read_text(encoding="utf-8")
    named = re.findall(r"`([a-z0-9-]+@example\.com|\+[0-9]{11})`", page)

    assert len(named) > 15
    assert [each for each in named if rule_of(each) is None] == []
