"""Help teaches, and a wrong configuration is told at once."""

from __future__ import annotations

import re
import shlex
from typing import TYPE_CHECKING

import pytest
import typer.main

from processor.cli.app import app_for
from processor.settings import DEFAULT
from tests.cli.command import commproc

if TYPE_CHECKING:
    from pathlib import Path

    import click

CANARY = "canary-password-8080"


def commands(group: click.Group, *above: str) -> dict[str, click.Command]:
    """Return every command by its words."""
    found: dict[str, click.Command] = {}
    for name, command in group.commands.items():
        inner = getattr(command, "commands", None)
        found |= commands(command, *above, name) if inner else {" ".join((*above, name)): command}  # type: ignore[arg-type]
    return found


COMMANDS = commands(typer.main.get_command(app_for([])))  # type: ignore[arg-type]


def examples() -> list[tuple[str, list[str]]]:
    lines = [line.strip() for command in COMMANDS.values() for line in (command.epilog or "").splitlines()]
    pasted = [re.split(r"commproc ", line, maxsplit=1)[1].split(" > ")[0] for line in lines if "commproc " in line]
    return [(line, shlex.split(line)) for line in pasted]


@pytest.mark.parametrize("name", COMMANDS)
def test_each_command_explains_itself_and_ends_with_examples(name: str) -> None:
    command = COMMANDS[name]

    assert len(command.help or "") > 30
    assert f"commproc {name}" in (command.epilog or "")
    options = [each for each in command.params if each.name not in {"help", "config"}]
    assert [each.name for each in options if not getattr(each, "help", None)] == []


@pytest.mark.parametrize(("line", "words"), examples(), ids=lambda value: value if isinstance(value, str) else "")
def test_each_example_is_understood(line: str, words: list[str]) -> None:
    name = next(name for name in COMMANDS if words[: len(name.split())] == name.split())
    command = COMMANDS[name]

    command.make_context(name, words[len(name.split()) :])


@pytest.mark.parametrize("line", [line for line, _ in examples()])
def test_an_example_fits_a_terminal(line: str) -> None:
    assert len(line) <= 70


@pytest.mark.parametrize(
    "words", [("run",), ("config", "check"), ("topics", "check"), ("send", "--to", "x"), ("tail",)]
)
def test_a_wrong_configuration_is_told_whole_and_nothing_is_done(tmp_path: Path, words: tuple[str, ...]) -> None:
    wrong = DEFAULT.read_text(encoding="utf-8")
    wrong = wrong.replace("interval: 1m", "interval: soon").replace("kafka:", f"kafka:\n  sasl_pasword: {CANARY}")
    config = tmp_path / "wrong.yaml"
    config.write_text(wrong, encoding="utf-8")

    ran = commproc(*words, config=config)

    assert ran.code == 2
    assert ran.out == ""
    assert "kafka.sasl_pasword: is not a known key; write sasl_password" in ran.err
    assert ran.err.count("retry.interval") == 3
    assert CANARY not in ran.err


def test_a_configuration_that_is_right_is_summed_up() -> None:
    ran = commproc("config", "check")

    assert ran.code == 0
    assert ran.lines[-1] == "ok"
    for name in ("EmailOTP", "GatewayEmail", "express", "bulk"):
        assert name in ran.out


def test_a_file_that_is_missing_is_named(tmp_path: Path) -> None:
    ran = commproc("config", "check", config=tmp_path / "none.yaml")

    assert ran.code == 2
    assert "none.yaml" in ran.err


def test_the_default_that_is_shown_is_one_that_can_be_used(tmp_path: Path) -> None:
    config = tmp_path / "commproc.yaml"
    config.write_text(commproc("config", "show-default").out, encoding="utf-8")

    assert commproc("config", "check", config=config).code == 0


def test_a_secret_is_in_no_summary() -> None:
    ran = commproc("config", "check", environ={"COMMPROC_GATEWAYSMS_TOKEN": CANARY})

    assert ran.code == 0
    assert CANARY not in ran.out + ran.err


def test_kafka_that_does_not_answer_is_named() -> None:
    ran = commproc("topics", "check", environ={"COMMPROC_KAFKA_BOOTSTRAP": "127.0.0.1:9"})

    assert ran.code == 1
    assert "Kafka at 127.0.0.1:9 does not answer" in ran.err
