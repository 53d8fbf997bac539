"""What happens in a drill follows from its seed."""

from __future__ import annotations

from itertools import pairwise

from chaos.faults import FAULTS
from chaos.schedule import Planned, alone, due_now, mixed

NAMES = [name for name, fault in FAULTS.items() if 3 in fault.nodes]


def test_the_same_seed_plans_the_same_and_another_something_else() -> None:
    assert mixed(NAMES, 7, 120) == mixed(NAMES, 7, 120) != mixed(NAMES, 8, 120)
    assert alone("killed", 7) == alone("killed", 7)


def test_a_mix_begins_no_earlier_than_it_is_told() -> None:
    assert 30 < mixed(NAMES, 7, 120, from_s=30)[0].at_s < 40
    assert mixed(NAMES, 7, 120)[0].at_s < 30


def test_faults_of_one_target_follow_each_other_and_those_of_others_overlap() -> None:
    plan = mixed(NAMES, 7, 1_800)

    for target in {FAULTS[name].target for name in NAMES}:
        own = [each for each in plan if FAULTS[each.name].target is target]
        assert all(before.at_s + before.lasts_s < after.at_s for before, after in pairwise(own))
    assert any(before.at_s + before.lasts_s > after.at_s for before, after in pairwise(plan))
    assert {each.name for each in plan} == set(NAMES)


def test_all_faults_of_a_target_come_once_before_any_comes_again() -> None:
    plan = mixed(NAMES, 7, 1_800)

    for target in {FAULTS[name].target for name in NAMES}:
        known = {name for name in NAMES if FAULTS[name].target is target}
        own = [each.name for each in plan if FAULTS[each.name].target is target]
        rounds = [set(own[begin : begin + len(known)]) for begin in range(0, len(own), len(known))]
        assert all(each == known for each in rounds[:-1])
        assert len(rounds) > 2


def test_a_fault_waits_until_the_one_before_it_at_its_target_is_healed() -> None:
    early, same, other = (Planned(at_s, name, 5.0, 0) for at_s, name in ((1, "killed"), (2, "terminated"), (3, "slow")))

    assert FAULTS["killed"].target == FAULTS["terminated"].target != FAULTS["slow"].target
    assert due_now([early, same, other], [], 2.5) == [early, same]
    assert due_now([same, other], [early], 3.5) == [other]
