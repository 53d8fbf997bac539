"""What is told of a takeover is how long there was no call, also where there was none any more."""

from __future__ import annotations

import pytest

from bench.takeover import NobodyTookOver, longest_gap_ms

STEADY = range(0, 20_000, 10)
DIED_MS, ENDED_MS = 5_000, 12_000


def test_the_gap_around_a_death_is_told() -> None:
    calls = [each for each in STEADY if not 5_000 < each < 8_200]

    assert longest_gap_ms(calls, DIED_MS, ENDED_MS) == 3_200


def test_a_gap_that_is_open_at_the_end_goes_on_to_the_first_call_after_it() -> None:
    calls = [each for each in STEADY if not 5_000 < each < 18_000]

    assert longest_gap_ms(calls, DIED_MS, ENDED_MS) == 13_000


def test_a_takeover_that_never_happened_is_no_short_one() -> None:
    with pytest.raises(NobodyTookOver, match="after the end"):
        longest_gap_ms([each for each in STEADY if each <= 5_000], DIED_MS, ENDED_MS)


def test_a_gap_whose_beginning_nobody_saw_is_not_told() -> None:
    with pytest.raises(NobodyTookOver, match="before the death"):
        longest_gap_ms([each for each in STEADY if each > 8_000], DIED_MS, ENDED_MS)


def test_what_was_long_before_or_after_is_left_out() -> None:
    calls = [each for each in STEADY if not (1_000 < each < 3_900 or 13_000 < each < 19_000)]

    assert longest_gap_ms(calls, DIED_MS, ENDED_MS) == 10
