"""A page says nothing of what its run did not look at."""

from __future__ import annotations

from typing import TYPE_CHECKING

from chaos.checks import Findings
from chaos.report import COLUMNS, Run, _told, table

if TYPE_CHECKING:
    from chaos.strikes import Strike

FOUND = Findings("killed", 856, {"SENT": 856}, 3, 1, 2.5, 1_200, {}, {})


def run(**strikes: list[Strike]) -> Run:
    return Run("The last run", "python -m chaos", 7, {"1": [FOUND]}, {"1": "holds"}, {"1": strikes} if strikes else {})


def test_what_was_looked_at_and_not_found_is_0() -> None:
    row = table([FOUND])[-1]

    assert row.split(" | ")[2 : 2 + len(COLUMNS)] == ["0"] * len(COLUMNS)


def test_whether_faults_struck_is_told_of_runs_that_looked_at_it() -> None:
    earlier = [line for line in _told(run()) if line.startswith("| killed")]
    later = [line for line in _told(run(killed=[])) if line.startswith("| killed")]

    at = 2 + list(COLUMNS).index("did not strike")
    assert earlier[0].split(" | ")[at] == "–"
    assert later[0].split(" | ")[at] == "0"
