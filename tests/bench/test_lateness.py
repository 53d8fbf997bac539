"""How late messages were is told with how many were early, and apart for those that a death of their stage touched."""

from __future__ import annotations

from bench.lateness import Death, line, told_apart


def test_a_row_says_how_many_were_early() -> None:
    row = line("due", [-3, 1, 2, 4])

    assert row == "due: late by 1 ms p50, 4 ms p99, 4 ms p99.9, 4 ms at most; early: 1 (of 4)"
    assert line("due", []) == "due: none"


def test_messages_due_once_the_stage_was_ready_again_are_told_apart() -> None:
    death = Death(began_ms=10_000, ready_ms=12_000)
    due_ms = {"before": 1_000, "meanwhile": 11_000, "soon after": 13_000, "long after": 30_000}
    late_ms = {"before": 1, "meanwhile": 1_500, "soon after": 20, "long after": 2}

    touched, again, others = told_apart(death, due_ms, late_ms).values()

    assert touched == [1_500, 20]
    assert again == [20, 2]
    assert others == [1, 2]
