"""docs/events.md says what is published, and nothing else."""

from __future__ import annotations

import json
import re
import sqlite3
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from processor.codec.contracts import latest
from processor.core.words import DEAD_LETTERED, Reason, Status
from tests.cli.command import environment
from tests.support.plant import message

if TYPE_CHECKING:
    from tests.support.plant import Plant

PAGE = (Path(__file__).parents[2] / "docs" / "events.md").read_text(encoding="utf-8")
CONTRACTS = ("DeliveryEvent", "RetryEvent", "DeadLetter", "EngagementEvent", "Receipt", "Control")


def rows(heading: str) -> list[list[str]]:
    """Return the cells of the table under a heading, without its first two lines."""
    section = PAGE.split(f"\n## {heading}\n", 1)[1].split("\n## ", 1)[0]
    lines = [line for line in section.splitlines() if line.startswith("|")][2:]
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in lines]


def test_the_page_lists_exactly_the_statuses_there_are() -> None:
    assert [row[0].strip("`") for row in rows("Status")] == list(Status)


def test_the_page_lists_exactly_the_reasons_there_are() -> None:
    assert [row[0].strip("`") for row in rows("Reason")] == list(Reason)


def test_the_page_says_which_statuses_have_a_dead_letter() -> None:
    assert {row[0].strip("`") for row in rows("Status") if row[2] == "yes"} == DEAD_LETTERED


def test_each_word_has_a_meaning() -> None:
    assert [row[0] for row in (*rows("Status"), *rows("Reason")) if len(row[1]) < 10] == []


@pytest.mark.parametrize("name", CONTRACTS)
def test_the_page_lists_the_fields_of_the_schema_in_its_order(name: str) -> None:
    fields = [field["name"] for field in json.loads(latest(name).text)["fields"]]

    assert [row[0].strip("`") for row in rows(name)] == fields


@pytest.mark.parametrize("name", CONTRACTS)
def test_the_page_says_which_fields_may_be_null(name: str) -> None:
    nullable = {field["name"] for field in json.loads(latest(name).text)["fields"] if isinstance(field["type"], list)}

    assert {row[0].strip("`") for row in rows(name) if "or null" in row[1]} == nullable


def test_the_example_queries_run_on_tables_of_the_events() -> None:
    tables = sqlite3.connect(":memory:")
    for table, name in (("delivery", "DeliveryEvent"), ("retry", "RetryEvent")):
        columns = ", ".join(field["name"] for field in json.loads(latest(name).text)["fields"])
        tables.execute(f"create table {table} ({columns})")
    blocks = re.findall(r"```sql\n(.*?)```", PAGE, re.DOTALL)
    queries = [query for block in blocks for query in block.split(";") if query.strip()]

    assert [tables.execute(query).fetchall() for query in queries] == [[]] * len(queries)
    assert len(queries) > 4
    tables.close()


def test_the_example_reader_prints_what_was_published(running: Plant) -> None:
    running.ask([message("example-1")])
    running.drained(within_s=20)
    block = re.search(r"```python\n(.*?)```", PAGE, re.DOTALL)
    assert block is not None
    program = block[1].replace("127.0.0.1:9092", running.cluster.connection.bootstrap)
    program = program.replace("comm.events", f"{running.names.prefix}.events").replace('"analytics"', '"docs-example"')

    ran = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, timeout=60, env=environment(), check=True
    )

    assert [line.split()[1:] for line in ran.stdout.splitlines()] == [["example-1", "SENT", "accepted"]]
