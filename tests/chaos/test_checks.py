"""The checks of a drill can fail."""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from types import SimpleNamespace
from typing import Any, cast

from chaos.audit import unseen
from chaos.checks import _broken, _by_their_clock, _held, _sent_ms, mistaken
from chaos.opens import Opens
from chaos.works import Held
from processor.core.audit.story import Rules
from processor.core.message import Head, Origin
from processor.core.plan import DAY_MS
from processor.sandbox.ledger import Entry
from tests.core.worlds import channel, plan, zones
from tests.support.ledgers import Asked, Ledgers


def test_a_call_is_judged_by_the_clock_that_the_members_had() -> None:
    ahead = partial(_by_their_clock, [(0, 0), (10_000, 300_000), (20_000, 0)])

    assert ahead(9_999) == [9_999]
    assert ahead(10_001) == [310_001, 10_001], "while it is being set, either"
    assert ahead(15_000) == [315_000]
    assert ahead(30_000) == [30_000]


def test_what_a_message_breaks_at_one_possible_instant_and_another_at_another_is_nothing_that_was_broken() -> None:
    midnight_ms = 20_000 * DAY_MS
    opening, closing = ledger_of("opening", (600_000, 700_000)), ledger_of("closing", (0, 400_000))
    both = replace(opening, asked={**opening.asked, **closing.asked}, provider=[*opening.provider, *closing.provider])

    def broken(*instants_ms: int) -> dict[str, list[str]]:
        found = _broken(both, lambda _: [midnight_ms + each_ms for each_ms in instants_ms])
        return {name: line.examples for name, line in found.items() if name != "lost"}  # no event is told of

    assert broken(350_000) == {"outside": ["opening: attempt 1"]}
    assert broken(650_000) == {"outside": ["closing: attempt 1"]}
    assert broken(350_000, 650_000) == {}, "each may have been sent when it was open"
    assert broken(350_000, 380_000) == {"outside": ["opening: attempt 1"]}
    assert broken(410_000, 550_000) == {"outside": ["opening: attempt 1", "closing: attempt 1"]}


def ledger_of(message_id: str, open_ms: tuple[int, int]) -> Ledgers:
    """Return a message whose window is open between these times of day, and one call of it."""
    head = Head(message_id, "Email", interval_min_ms=open_ms[0], interval_max_ms=open_ms[1], time_zone="UTC")
    call = Entry(0, 0, "smtp", message_id, 1, ("x@example.com",), True, "250", "", 1)
    offset = open_ms[0]
    return Ledgers({Origin("t", 0, offset): Asked(message_id, head=head)}, [call], Rules(plan(channel()), zones))


def test_a_call_that_its_way_held_back_may_have_been_sent_when_the_way_was_closed() -> None:
    sent = partial(_sent_ms, [(0, 0)], [Held("smtp", 10_000, 20_000)])

    def call(protocol: str, at_ms: int) -> Any:
        return SimpleNamespace(protocol=protocol, first_byte_ms=at_ms)

    assert sent(call("smtp", 9_999)) == [9_999]
    assert sent(call("smtp", 20_500)) == [20_500, 10_000]
    assert sent(call("http-sms", 20_500)) == [20_500]
    assert sent(call("smtp", 21_000)) == [21_000]


def test_a_call_that_its_way_held_back_may_have_been_sent_by_each_clock_that_the_members_had_meanwhile() -> None:
    steps = [(0, 0), (5_000, -300_000), (12_000, 300_000), (16_000, 0)]
    sent = partial(_sent_ms, steps, [Held("smtp", 11_000, 20_000)])
    call: Any = SimpleNamespace(protocol="smtp", first_byte_ms=20_500)

    assert sorted(set(sent(call))) == [-289_000, -288_000, 16_000, 20_500, 312_000, 316_000]

    call.first_byte_ms = 25_000
    assert sent(call) == [25_000], "nothing held it back"


def test_an_open_that_was_answered_and_is_no_event_is_lost_and_one_with_two_events_is_doubled() -> None:
    opens = Opens(cast("Any", None), "w", answered={"w-open-1", "w-open-2", "w-open-3"})
    ids = [("w-open-2", "a"), ("w-open-3", "b"), ("w-open-3", "c"), ("w-open-2", "a"), ("other-open-1", "d")]
    events = cast("Any", [SimpleNamespace(message_id=name, event_id=id_, type="opened") for name, id_ in ids])

    assert opens.breaches(events) == {"open lost": ["w-open-1"], "open twice": ["w-open-3"]}
    assert opens.counts(events) == {"answered": 3, "refused": 0, "published again": 1}


def test_an_audit_that_looked_at_less_than_there_was_says_nothing() -> None:
    rows = [{"name": "lost", "verdict": "holds", "why": None}]
    found = {"promises": rows, "records": 9, "calls": 7, "files_searched": 3}

    assert unseen(found, records=9, calls=7) == []
    assert unseen({**found, "records": 0}, records=9, calls=7) == ["0 records of 9"]
    assert unseen({**found, "calls": 6, "files_searched": 0}, records=9, calls=7) == [
        "6 calls of 7",
        "no file was searched for secrets",
    ]
    unchecked = {"name": "early", "verdict": "not checked", "why": "needs --calls"}
    assert unseen({**found, "promises": [*rows, unchecked]}, records=9, calls=7) == ["early: needs --calls"]


def test_a_partition_that_was_held_is_told_by_the_drill_in_which_it_was() -> None:
    line = '{"time":"2026-11-27T15:39:42Z","event":"partition.held","topic":"t","partition":1,"reason":"offset_gone"}'
    plant = cast("Any", SimpleNamespace(output=lambda: f"{line}\n"))
    at_ms = 1_795_793_982_000

    assert _held(plant, at_ms) == ["t/1: offset_gone"]
    assert _held(plant, at_ms + 1) == []


def test_a_call_with_content_that_was_refused_and_a_readable_record_that_was_buried_are_told() -> None:
    def told(message_id: str, *recipients: str, buried: str | None = None) -> list[str]:
        own: Any = SimpleNamespace(
            asked={Origin("t", 0, 5): Asked(buried)},
            provider=[SimpleNamespace(message_id=message_id, recipients=recipients)],
            dead=[SimpleNamespace(message_id=None, origin=Origin("t", 0, 5))],
        )
        return mistaken(own, {"a": "+40700000112", "b": "0722000112", "c": "other.x@example.com"})

    assert told("a", "+40700000111") == told("d", "+40700000112") == told("c", "x@example.com") == []
    assert told("a", "40700000112") == ["a: called with other content"]
    assert told("b", "+40722000112") == ["b: called with other content"]
    assert told("c", "x@example.com", "other.x@example.com") == ["c: called with other content"]
    assert told("d", buried="w-new-1") == ["w-new-1: buried as unreadable"]
