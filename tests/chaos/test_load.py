"""What a drill asks for can break every promise, ends by itself, and is remembered for whoever judges."""

from __future__ import annotations

import json
from collections import defaultdict
from random import Random
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import pytest

from chaos.load import AGAIN_WITHIN_S, Load
from chaos.wishes import MIX
from chaos.works import CENTRE, SHORT
from processor.core.audit.story import Rules
from processor.core.judge import judge
from processor.core.message import Facts, Message, Origin
from processor.core.verdict import Dispatch, End, Wait
from processor.kafka.partitioner import partition_of
from processor.sandbox.ledger import Entry
from processor.settings import load
from processor.stages.zones import zones
from tests.support.eventually import eventually
from tests.support.ledgers import Asked, Ledgers
from tests.support.plant import PASSWORD, configuration

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from processor.core.plan import Plan

NOW_MS = 1_795_795_200_000  # 2026-11-27T16:00Z
MINUTES_MS = 600_000
ORIGIN = Origin("outbound", 0, 1)


@pytest.fixture
def plan(tmp_path: Path) -> Plan:
    sandbox: Any = SimpleNamespace(http_url="http://127.0.0.1:1", smtp_port=1)
    tree = configuration("127.0.0.1:1", "load", sandbox)
    tree["providers"]["Centre"] = CENTRE | {"host": "127.0.0.1", "port": 1}
    tree["channels"]["Short"] = SHORT
    (tmp_path / "commproc.yaml").write_text(json.dumps(tree))
    return load(tmp_path / "commproc.yaml", {"CANARY_TOKEN": PASSWORD}).plan()


def drawn(count: int = 800) -> list[Message]:
    chance = Random(7)
    made = []
    for number in range(count):
        [make] = chance.choices(list(MIX), list(MIX.values()))
        made.append(make(f"m-{number}", NOW_MS, chance))
    return [each for each in made if each is not None]


def breaches(messages: list[Message], plan: Plan, *, sent_after_ms: int) -> dict[str, set[str]]:
    """Return whose promises are broken, by name, where everything is sent so long after it was asked for."""
    found = defaultdict(set)
    for each in messages:
        at_ms, head, everybody = NOW_MS + sent_after_ms, each.head, (each.to, *each.cc, *each.bcc)
        asked = {ORIGIN: Asked(head.message_id, head=head)}
        call = Entry(at_ms, at_ms, "smtp", head.message_id, 1, everybody, True, "250", "", 1)
        ledgers = Ledgers(asked, [call], Rules(plan, zones))
        for name in ledgers.breaches():
            if name != "lost":  # no event is told of
                found[name].add(head.message_id)
    return found


def test_what_is_sent_long_after_it_was_asked_for_breaks_what_was_promised_of_passwords_and_windows(plan: Plan) -> None:
    messages = drawn()
    heads = {each.head.message_id: each.head for each in messages}

    late = breaches(messages, plan, sent_after_ms=MINUTES_MS)

    assert any(heads[each].channel == "SMSOTP" for each in late["late"])
    assert {heads[each].channel for each in late["outside"]} == {"Email", "SMS"}
    assert len({heads[each].time_zone for each in late["outside"]}) > 3
    assert late["late"].isdisjoint(late["outside"]), "each of the two promises is broken by itself"
    assert breaches(messages, plan, sent_after_ms=0).keys() <= {"early", "outside"}, "some may not go at once"


def test_everything_ends_by_itself_within_minutes(plan: Plan) -> None:
    facts = Facts(ORIGIN, NOW_MS, NOW_MS, 0)

    for each in drawn():
        by_then = judge(each.head, facts, plan, now_ms=NOW_MS + MINUTES_MS, zones=zones)
        assert isinstance(by_then, Dispatch | End), each
        for wrong_ms in (-300_000, 300_000):
            now = judge(each.head, facts, plan, now_ms=NOW_MS + wrong_ms, zones=zones)
            assert not isinstance(now, Wait) or now.until_ms < NOW_MS + MINUTES_MS


def test_mails_have_copies_bodies_in_html_and_files(plan: Plan) -> None:
    messages = drawn()

    assert sum(bool(each.cc and each.bcc) for each in messages) > 5
    assert sum(bool(each.html and each.attachments) for each in messages) > 5
    copies = {each.cc[0].partition("+")[0] for each in messages if each.cc}
    assert copies == {"copy", "rcpt-550", "rcpt-450-1x"}


def planted(ask_soon: Callable[..., None]) -> Any:
    return SimpleNamespace(
        ask_soon=ask_soon,
        put=lambda *_, **__: None,
        flush=lambda: None,
        names=SimpleNamespace(outbound="outbound"),
        settings=SimpleNamespace(topics=SimpleNamespace(partitions=SimpleNamespace(inbound=2))),
    )


def test_a_load_may_begin_with_a_burst() -> None:
    asking = Load(planted(lambda *_, **__: None), Random(7), "w", 0.001, at_once=500)
    asking.start()
    eventually(lambda: asking.count >= 500, within_s=10)
    asking.stop()

    assert asking.count == 501


def test_some_ids_come_again_as_they_were_some_with_other_content_and_some_lie_where_they_do_not_belong() -> None:
    put: dict[str, list[tuple[Message, dict[str, Any]]]] = defaultdict(list)
    plant = planted(lambda asked, **more: put[asked.head.message_id].append((asked, more)))
    asking = Load(plant, Random(7), "w", 20.0)
    for number in range(3_000):
        asking.ask_next(number / 20)
        asking.ask_again(number / 20)
    asking.ask_again(3_000 / 20 + AGAIN_WITHIN_S)

    again = {name: [asked for asked, _ in records] for name, records in put.items() if len(records) > 1}
    same = {name for name, (first, second) in again.items() if first == second}
    assert again.keys() - same == asking.other.keys()
    for name, to in asking.other.items():
        first, second = again[name]
        assert first.to != second.to == to
        assert first == second._replace(to=first.to)
    elsewhere = {name: more for name, [(_, more), *_] in put.items() if more}
    assert all(more == {"partition": 1 - partition_of(name.encode(), 2)} for name, more in elsewhere.items())
    assert min(len(same), len(asking.other), len(elsewhere)) > 20
    assert {put[name][0][0].head.channel for name in asking.other} == {"Email", "SMS", "SMSOTP", "Short"}
