"""What happens in a drill follows from its seed."""

from __future__ import annotations

from itertools import pairwise

from chaos.faults import FAULTS
from chaos.schedule import alone, mixed

NAMES = [name for name, fault in FAULTS.items() if 3 in fault.nodes and fault.mixes]


def test_the_same_seed_plans_the_same_and_another_something_else() -> None:
    assert mixed(NAMES, 7, 120) == mixed(NAMES, 7, 120) != mixed(NAMES, 8, 120)
    assert alone("killed", 7) == alone("killed", 7)


def test_faults_of_one_target_follow_each_other_and_those_of_others_overlap() -> None:
    plan = mixed(NAMES, 7, 1_800)

    for target in {FAULTS[name].target for name in NAMES}:
        own = [each for each in plan if FAULTS[each.name].target is target]
        assert all(before.at_s + before.lasts_s < after.at_s for before, after in pairwise(own))
    assert any(before.at_s + before.lasts_s > after.at_s for before, after in pairwise(plan))
    assert {each.name for each in plan} == set(NAMES)
