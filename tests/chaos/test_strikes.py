"""A fault of which nothing shows that it struck is a finding, and what a drill met is kept."""

from __future__ import annotations

import json
import subprocess
import sys
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

from chaos.evidence import members_stopped, nodes_down, opens_refused, partitions_of_third_members, received
from chaos.faults import FAULTS
from chaos.newcomer import newer, written_by
from chaos.report import Run
from chaos.strikes import Strike, met, unmet
from processor.codec.assembly import open_codecs
from tests.support.eventually import eventually
from tests.support.plant import message

if TYPE_CHECKING:
    from pathlib import Path


def strikes(fault: str, *moved: float | None) -> list[Strike]:
    return [Strike(fault, 3.0, "slot 1", 5.0, each) for each in moved]


def test_a_fault_by_itself_strikes_each_time_and_one_among_others_may_find_another_in_its_way() -> None:
    assert unmet(strikes("cut_off", 4, 0)) == ["cut_off: 1 of 2"]
    assert unmet(strikes("cut_off", 4, 1)) == []
    assert unmet(strikes("terminated", None)) == []
    others = strikes("slow", 5_000)
    assert unmet([*others, *strikes("joined", 0, 0)]) == []
    assert unmet([*others, *strikes("joined", 0, 0, 0)]) == ["joined: 3 of 3"]
    assert unmet([*others, *strikes("joined", 0, 0, 0, 2)]) == []


def test_it_is_told_and_kept_which_faults_a_drill_met() -> None:
    found = [*strikes("slow", 5_000, 200), *strikes("joined", 0, 2), *strikes("disk_full", 0)]

    assert met(found) == "2 faults met: disk_full 0 of 1, joined 1 of 2, slow 2"
    run = Run("The last run", "python -m chaos", 7, {"3": []}, {"3": "held"}, {"3": {"mix": found}})
    assert Run.fromdict(json.loads(json.dumps(run.asdict()))) == run
    older = {name: value for name, value in run.asdict().items() if name != "strikes"}
    assert Run.fromdict(older).strikes == {}


def test_every_fault_has_what_shows_that_it_struck_but_one_whose_healing_does() -> None:
    assert [name for name, fault in FAULTS.items() if fault.moved is None] == ["terminated"]


def test_what_shows_it_moves_with_the_fault(tmp_path: Path) -> None:
    (tmp_path / "ledger.jsonl").write_text("{}\n")
    asleep = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"])
    try:
        ended = SimpleNamespace(ended=lambda: True)
        plant = SimpleNamespace(
            folder=tmp_path,
            processes={"delay/2": asleep, "intake/1": asleep},
            metric=lambda stage, name, slot: 3.0 if (stage, slot) == ("delay", "2") else 7.0,
        )
        nodes = [SimpleNamespace(child=ended), SimpleNamespace(child=SimpleNamespace(ended=lambda: False))]
        works: Any = SimpleNamespace(
            plant=plant, cluster=SimpleNamespace(nodes=nodes), opens=SimpleNamespace(refused=4)
        )

        assert members_stopped(works) == 0
        asleep.send_signal(19)
        eventually(lambda: members_stopped(works) == 2, within_s=10)
        assert partitions_of_third_members(works) == 3.0
        assert (nodes_down(works), opens_refused(works), received(works)) == (1, 4, 3)
    finally:
        asleep.kill()
        asleep.wait()


def test_a_third_member_that_is_over_or_has_not_said_where_it_listens_has_no_partitions() -> None:
    def unheard(*_: object, **__: object) -> float:
        raise StopIteration

    works: Any = SimpleNamespace(plant=SimpleNamespace(processes={"delay/2": None}, metric=unheard))

    assert partitions_of_third_members(works) == 0


def test_what_a_producer_writes_in_a_newer_schema_says_the_same_to_who_asks_the_registry() -> None:
    asked, text = message("m-1"), newer(7)
    registry: Any = SimpleNamespace(schema=lambda schema_id: text if schema_id == 41 else None)
    codec = open_codecs().outbound
    value = written_by(41, codec)(asked)

    read = open_codecs(registry=registry, prefixes=open_codecs().prefixes).outbound.decode_message(value)

    assert read == asked
    assert "added_7" in text
