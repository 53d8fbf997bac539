"""What the runbook tells an operator to type is what the commands take; `tests/cli` sees them work on a real Kafka."""

from __future__ import annotations

import re
from pathlib import Path

from processor.cli.topics import RELEASE_EXAMPLES

RUNBOOK = (Path(__file__).parents[1] / "docs" / "runbook.md").read_text(encoding="utf-8")


def test_a_held_partition_is_released_as_the_help_of_the_command_shows() -> None:
    section = RUNBOOK.partition("## CommprocPartitionHeld\n")[2].partition("\n## ")[0]
    (typed,) = re.findall(r"commproc topics release .*", section)

    assert typed.removesuffix(" --yes") in RELEASE_EXAMPLES
