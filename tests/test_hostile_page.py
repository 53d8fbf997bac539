"""docs/hostile.md names tests that there are."""

from __future__ import annotations

import re
from pathlib import Path

TESTS = Path(__file__).parent
PAGE = (TESTS.parent / "docs" / "hostile.md").read_text(encoding="utf-8")
NAMED = re.findall(r"`([a-z_/]+\.py)::(test_[a-z0-9_]+)`", PAGE)


def test_each_row_names_a_test_that_there_is() -> None:
    rows = [line for line in PAGE.splitlines() if line.startswith("| ")][1:]

    assert [row for row in rows if "::test_" not in row and "---" not in row] == []
    assert [(file, name) for file, name in NAMED if f"def {name}(" not in (TESTS / file).read_text()] == []
    assert len(NAMED) > 30


def test_each_test_of_a_hostile_record_is_on_the_page() -> None:
    files = sorted(TESTS.glob("integration/test_hostile*.py"))
    written = [
        (f"integration/{file.name}", name) for file in files for name in re.findall(r"def (test_\w+)", file.read_text())
    ]
    sums = {
        "test_no_process_has_ended_or_holds_what_it_was_sent",
        "test_all_of_it_kept_every_promise_and_ended_no_process",
    }
    sums |= {"test_nothing_of_it_is_in_any_output"}

    assert [(file, name) for file, name in written if (file, name) not in NAMED and name not in sums] == []
