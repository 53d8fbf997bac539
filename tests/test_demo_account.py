"""The sum of the demo comes out only when everything is accounted for; each thing that may be wrong is planted once."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from processor.cli.demo.account import Account, percentile
from processor.cli.demo.feed import Acknowledged
from processor.cli.demo.held import Held
from processor.cli.demo.mix import CASES, SENT, UNREADABLE, WAITING, Ask, mix
from processor.cli.demo.readers import OPENED, Act
from processor.cli.demo.watch import Evidence
from processor.core.actor import Actor
from processor.core.events import DeadLetter, DeliveryEvent, EngagementEvent, RetryEvent
from processor.core.message import Origin
from processor.core.words import DEAD_LETTERED, Lane, Reason, Status
from processor.sandbox.ledger import Entry

ASKS = {ask.message_id: ask for ask in mix()}
NAMES = ("mail-001", "in-3s-001", "twice-001", "bounce-001", "later-001", "garbage-001")
DUE_MS = 4_000


def acknowledged(name: str, offset: int) -> Acknowledged:
    ask: Ask = ASKS[name]
    return Acknowledged(ask, 1_000, Origin("demo.outbound", 0, offset), DUE_MS if name == "in-3s-001" else None)


ASKED = {name: acknowledged(name, offset) for offset, name in enumerate(NAMES)}


def result(name: str, status: Status = Status.SENT, reason: Reason = Reason.ACCEPTED) -> DeliveryEvent:
    provider = ASKED[name].ask.route.provider
    return DeliveryEvent(
        name, name, None, 1, 0, "Email", provider, None, Lane.NORMAL, status, terminal=True, reason=reason
    )


def letter(name: str, *, named: bool) -> DeadLetter:
    origin = ASKED[name].origin
    return DeadLetter(name, name if named else None, 0, Reason.UNREADABLE, None, 0, origin, 0, b"", 0, "")


def entry(name: str, attempt: int = 1, at_ms: int = 5_000, *, accepted: bool = True) -> Entry:
    return Entry(at_ms, at_ms, "smtp", name, attempt, (), accepted, "250", "", 1)


def retry(name: str, attempt: int, next_ms: int) -> RetryEvent:
    return RetryEvent(
        name, name, None, attempt, 1, 0, "Email", "GatewayEmail", None, Lane.NORMAL, Reason.PROVIDER_DEFERRED, next_ms
    )


def opened(name: str) -> EngagementEvent:
    return EngagementEvent(
        f"{name}/1", OPENED, name, None, 9_000, "Email", None, None, None, "SENT", "Firefox", Actor.HUMAN, "browser"
    )


EVIDENCE = Evidence(
    results=(
        result("mail-001"),
        result("in-3s-001"),
        result("twice-001"),
        result("bounce-001", Status.FAILED, Reason.PROVIDER_REJECTED),
    ),
    retries=(retry("twice-001", 1, 5_000),),
    letters=(letter("bounce-001", named=True), letter("garbage-001", named=False)),
    entries=(
        entry("mail-001"),
        entry("in-3s-001"),
        entry("twice-001", accepted=False),
        entry("twice-001", 2, 5_010),
        entry("bounce-001", accepted=False),
    ),
)
WHOLE = Account(len(ASKED), ASKED, EVIDENCE, (Held("later-001", "demo.delay.rest.4096"),), {"intake": 0, "dispatch": 0})


def changed(**parts: Any) -> Account:
    """Return the whole account with other parts of its evidence."""
    return replace(WHOLE, evidence=replace(EVIDENCE, **parts))


PLANTED = {
    "a message that was not acknowledged": (replace(WHOLE, asked=7), "1 messages were not acknowledged"),
    "a lost message": (replace(WHOLE, held=()), "no result and wait nowhere: later-001"),
    "a second result": (changed(results=(*EVIDENCE.results, result("mail-001"))), "more than one result"),
    "a result of one that waits": (replace(WHOLE, held=(*WHOLE.held, Held("mail-001", "t"))), "and wait as well: mail"),
    "a stranger": (replace(WHOLE, held=(*WHOLE.held, Held("who", "t"))), "never asked for: who"),
    "another ending": (
        changed(results=(result("mail-001", Status.EXPIRED, Reason.PAST_END), *EVIDENCE.results[1:])),
        "mail-001 ended as EXPIRED past_end, and should as SENT",
    ),
    "a double": (changed(entries=(*EVIDENCE.entries, entry("mail-001", 2))), "were sent twice: mail-001"),
    "a message that only we say was sent": (changed(entries=EVIDENCE.entries[1:]), "not in the sandbox's ledger: mail"),
    "a message that only the sandbox has": (changed(results=EVIDENCE.results[1:]), "and not SENT: mail-001"),
    "another provider": (
        changed(results=(result("mail-001")._replace(provider="GatewaySMS"), *EVIDENCE.results[1:])),
        "mail-001 went through GatewaySMS, and should through GatewayEmail",
    ),
    "a dead letter too few": (
        changed(letters=EVIDENCE.letters[1:]),
        "1 messages are REJECTED or FAILED, and 0 of them",
    ),
    "an attempt with two events": (
        changed(retries=(*EVIDENCE.retries, *EVIDENCE.retries)),
        "two events for one attempt: twice-001",
    ),
    "an early start": (
        changed(entries=(EVIDENCE.entries[0], entry("in-3s-001", at_ms=DUE_MS - 1), *EVIDENCE.entries[2:])),
        "sent before they were due: in-3s-001",
    ),
    "an early retry": (
        changed(entries=(*EVIDENCE.entries[:3], entry("twice-001", 2, 4_999), EVIDENCE.entries[4])),
        "sent before they were due: twice-001",
    ),
    "an act without event": (replace(WHOLE, acts=(Act(OPENED, "mail-001"),)), "and no event tells it: mail-001"),
    "an event without act": (changed(engagement=(opened("mail-001"),)), "of an act that nobody did: mail-001"),
    "a stage that crashed": (replace(WHOLE, exit_codes={"intake": 0, "dispatch": 1}), "stage dispatch ended with exit"),
}


def test_a_run_in_which_all_is_well_adds_up() -> None:
    assert WHOLE.problems() == []
    assert WHOLE.totals() == {"SENT": 3, "FAILED": 1, "unreadable": 1, "waiting": 1}


@pytest.mark.parametrize("what", PLANTED)
def test_it_does_not_add_up_with(what: str) -> None:
    account, sentence = PLANTED[what]

    assert any(sentence in problem for problem in account.problems()), account.problems()


def test_latency_counts_what_could_go_at_once_and_lateness_what_was_due() -> None:
    assert WHOLE.latencies_ms() == {Lane.NORMAL: [4_000]}
    assert WHOLE.latenesses_ms() == {"due in 3 s": [1_000], "retries": [10]}


def test_an_act_without_its_answer_may_have_an_event_or_none() -> None:
    hasty = replace(WHOLE, acts=(Act(OPENED, "mail-001", confirmed=False),))

    assert hasty.problems() == []
    assert replace(hasty, evidence=replace(EVIDENCE, engagement=(opened("mail-001"),))).problems() == []


def test_a_percentile_is_one_of_the_values() -> None:
    assert [percentile([30, 10, 20], share) for share in (0.0, 0.5, 0.99, 1.0)] == [10, 20, 30, 30]


def test_the_mix_is_500_messages_of_every_kind_through_all_six_providers() -> None:
    ends = {case.ending.split()[0] for case in CASES}

    assert len(ASKS) == 500
    assert ends == {SENT, "FAILED", "EXPIRED", "SUPPRESSED", "CANCELLED", "REJECTED", UNREADABLE, WAITING}
    assert {str(status) for status in DEAD_LETTERED} <= ends
    assert len({ask.route.provider for ask in ASKS.values() if ask.case.ending == SENT}) == 6
    assert {ask.case.lane for ask in ASKS.values()} == set(Lane)
