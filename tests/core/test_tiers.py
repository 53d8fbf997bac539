"""Tiers never overshoot, and a record needs few of them."""

from __future__ import annotations

from hypothesis import example, given
from hypothesis import strategies as st

from processor.core.plan import DAY_MS
from processor.core.tiers import HOP_MARGIN_MS, TIERS_S, tier_for


@given(st.integers(-1000, 400 * DAY_MS))
def test_the_longest_tier_that_does_not_overshoot_is_taken(remaining_ms: int) -> None:
    fitting = [tier_s for tier_s in TIERS_S if tier_s * 1000 + HOP_MARGIN_MS <= remaining_ms]

    assert tier_for(remaining_ms) == max(fitting, default=None)


@given(st.integers(0, 90 * DAY_MS), st.lists(st.integers(0, HOP_MARGIN_MS), min_size=80, max_size=80))
@example(90 * DAY_MS, [0] * 80)
@example(90 * DAY_MS, [HOP_MARGIN_MS] * 80)
def test_a_record_due_within_90_days_is_never_late_and_makes_at_most_57_hops(
    remaining_ms: int, hop_costs_ms: list[int]
) -> None:
    hops = 0
    while (tier_s := tier_for(remaining_ms)) is not None:
        remaining_ms -= tier_s * 1000 + hop_costs_ms[hops]
        hops += 1
        assert remaining_ms >= 0

    assert remaining_ms < TIERS_S[0] * 1000 + HOP_MARGIN_MS
    assert hops <= 3 * (len(TIERS_S) - 1) + 90 * DAY_MS // (TIERS_S[-1] * 1000) + 1


def test_below_the_shortest_tier_the_dispatcher_waits() -> None:
    assert tier_for(1_099) is None
    assert tier_for(1_100) == 1
    assert tier_for(-1) is None
