"""What `examples/` shows can be done as it is shown."""

from __future__ import annotations

import os
import subprocess
import sys
import uuid
from pathlib import Path
from typing import TYPE_CHECKING

from processor.cli.compose import message_of
from processor.cli.rows import Lines, format_of, rows
from processor.core.refusal import refusal
from processor.core.words import Lane
from processor.settings import load
from processor.stages.zones import zones

if TYPE_CHECKING:
    from processor.core.message import Message
    from processor.sandbox.broker import Broker

MESSAGES = Path(__file__).parents[1] / "examples/messages.jsonl"


def test_every_example_is_a_message_that_the_packaged_configuration_takes() -> None:
    plan = load(None, {}).plan()

    assert [refusal(message.head, plan, zones) for message in messages()] == [None] * len(messages())


def test_the_examples_show_every_channel() -> None:
    plan = load(None, {}).plan()

    assert {message.head.channel for message in messages()} == set(plan.channels)
    assert any(plan.channels[message.head.channel].lane is Lane.EXPRESS for message in messages())


def test_commproc_send_takes_the_file(kafka: Broker) -> None:
    prefix = f"examples-{uuid.uuid4().hex[:6]}"
    environ = os.environ | {"COMMPROC_KAFKA_BOOTSTRAP": kafka.bootstrap, "COMMPROC_TOPIC_PREFIX": prefix}

    commproc("topics", "apply", environ=environ)
    told = commproc("send", "--file", str(MESSAGES), environ=environ)

    assert sorted(told.split()) == sorted(message.head.message_id for message in messages())


def messages() -> list[Message]:
    with MESSAGES.open("rb") as file:
        found = [row for _, row in rows(Lines(file), format_of(MESSAGES, None))]
    return [message_of(row, now_ms=0) for row in found if isinstance(row, dict)]


def commproc(*arguments: str, environ: dict[str, str]) -> str:
    command = [sys.executable, "-m", "processor.cli", *arguments]
    done = subprocess.run(command, env=environ, capture_output=True, text=True, check=False, timeout=60)
    assert done.returncode == 0, done.stderr
    return done.stdout
