"""What a message is told at the instant of submission: gone for good, later, or without some of its copies."""

from __future__ import annotations

from dataclasses import replace

import pytest

from processor.core.control import RECALL, SUPPRESSION, address_hash, control_key
from processor.core.controls import Controls
from processor.core.events import Control
from processor.core.message import Facts, Message
from processor.core.outcome import Accepted, Partly
from processor.core.plan import Form, Plan
from processor.core.verdict import Dispatch, End, Wait
from processor.core.words import Lane, Purpose, Reason, Scope, Status
from processor.providers.adapter import Submission
from processor.providers.listed import listed
from processor.stages.dispatch.stopping import Stops, reduced, widened
from tests.core.worlds import NOW_MS, channel, facts, head, plan

KEY = b"key"
GO = Dispatch("first", Lane.NORMAL)


def message(*copies: str, blind: tuple[str, ...] = (), **of: object) -> Message:
    return Message(head(**{"purpose": Purpose.MARKETING} | of), to="to@example.com", cc=copies, bcc=blind)


def stops(*controls: Control, whole: bool = True, of: Plan | None = None) -> Stops:
    known = Controls()
    known.whole = whole
    for each in controls:
        known.take(control_key(each), each)
    return Stops(known, of or plan(), KEY)


def suppression(address: str, scope: Scope = Scope.MARKETING, campaign: str | None = None) -> Control:
    return Control(SUPPRESSION, scope, address_hash(address, KEY), None, campaign, None, None, 1, "operator")


def recall(campaign: str) -> Control:
    return Control(RECALL, "campaign", None, None, campaign, None, None, 1, "operator")


def sent_in_part(*still_open: int) -> Facts:
    return facts(attempt=1)._replace(open_recipients=still_open)


@pytest.mark.parametrize("purpose", [Purpose.OTP, Purpose.TRANSACTIONAL])
@pytest.mark.parametrize("scope", Scope)
@pytest.mark.parametrize("whole", [True, False])
def test_no_suppression_stops_or_holds_up_what_is_not_marketing(purpose: Purpose, scope: Scope, whole: bool) -> None:
    told = stops(suppression("to@example.com", scope, "spring"), whole=whole)

    assert told.of(message(purpose=purpose, campaign_id="spring"), facts(), GO, NOW_MS) == ()


@pytest.mark.parametrize("scope", Scope)
def test_each_scope_stops_marketing(scope: Scope) -> None:
    told = stops(suppression("to@example.com", scope, "spring" if scope is Scope.CAMPAIGN else None))

    verdict = told.of(message(campaign_id="spring"), facts(), GO, NOW_MS)

    assert verdict == End(Status.SUPPRESSED, Reason.RECIPIENT_SUPPRESSED)


def test_what_a_channel_is_for_counts_and_not_what_its_messages_say() -> None:
    of = plan(replace(channel(), form=Form(purpose=Purpose.MARKETING)))
    told = stops(suppression("to@example.com"), of=of)

    assert isinstance(told.of(message(purpose=Purpose.TRANSACTIONAL), facts(), GO, NOW_MS), End)
    assert told.of(message(purpose=Purpose.OTP), facts(), GO, NOW_MS) == ()


def test_marketing_waits_longer_the_longer_the_list_is_unread_and_is_asked_again_within_minutes() -> None:
    told = stops(whole=False)
    waits = []
    for elapsed_ms in (0, 1_000, 10_000, 3_600_000):
        verdict = told.of(message(), facts(), GO, NOW_MS + elapsed_ms)
        assert isinstance(verdict, Wait)
        waits.append(verdict.until_ms - NOW_MS - elapsed_ms)

    assert waits == [2_000, 2_000, 10_000, 300_000]


@pytest.mark.parametrize("whole", [True, False])
def test_a_recall_binds_at_once_and_for_one_time_passwords_too(whole: bool) -> None:
    told = stops(recall("spring"), whole=whole)

    verdict = told.of(message(purpose=Purpose.OTP, campaign_id="spring"), facts(), GO, NOW_MS)

    assert verdict == End(Status.CANCELLED, Reason.RECALLED)


def test_a_recalled_message_that_has_reached_somebody_is_sent() -> None:
    verdict = stops(recall("spring")).of(message("a@example.com", campaign_id="spring"), sent_in_part(1), GO, NOW_MS)

    assert verdict == End(Status.SENT, Reason.RECALLED)


def test_copies_to_suppressed_addresses_are_named_by_index() -> None:
    told = stops(suppression("a@example.com"), suppression("d@example.com"))
    of = message("a@example.com", "b@example.com", blind=("c@example.com", "d@example.com"))

    assert told.of(of, facts(), GO, NOW_MS) == (1, 4)
    assert told.of(of, sent_in_part(2, 4), GO, NOW_MS) == (4,)
    assert told.of(of, sent_in_part(1, 4), GO, NOW_MS) == End(Status.SENT, Reason.RECIPIENT_SUPPRESSED)


def test_a_submission_without_copies_names_nobody_who_is_missing_and_its_outcome_names_the_whole() -> None:
    of = message("a@example.com", "b@example.com", blind=("c@example.com", "d@example.com"))

    whole = reduced(Submission(of, 1), (1, 4))
    part = reduced(Submission(of, 2, (2, 3, 4)), (4,))

    assert (whole.message.cc, whole.message.bcc) == (("b@example.com",), ("c@example.com",))
    assert whole.recipients is None
    assert (part.message.bcc, part.recipients) == (("c@example.com",), (2, 3))
    assert widened(Accepted("1"), of, (1, 4)) == Accepted("1")
    outcome = Partly((1,), (2,), Reason.PROVIDER_DEFERRED)
    assert widened(outcome, of, (1, 4)) == Partly((2,), (3,), Reason.PROVIDER_DEFERRED)


def test_who_had_a_message_before_being_suppressed_is_not_sent_to_again() -> None:
    # `to` is open and suppressed, a copy is open and is not: only the copy goes.
    of = message("a@example.com", "b@example.com")
    missing = stops(suppression("to@example.com")).of(of, sent_in_part(0, 2), GO, NOW_MS)

    assert missing == (0,)
    assert reduced(Submission(of, 2, (0, 2)), (0,)).recipients == (2,)


@pytest.mark.parametrize(
    ("written", "country", "form"),
    [
        (" Someone@Example.com ", None, "Someone@Example.com"),
        ("someone@bücher.example", None, "someone@xn--bcher-kva.example"),
        ("0722 000 111", "RO", None),
        ("0722000111", "RO", "+40722000111"),
        ("+40722000111", None, "+40722000111"),
        ("40722000111", None, "+40722000111"),
        ("a@b@example.com", None, None),
        ("someone", None, None),
    ],
)
def test_an_address_has_one_form_on_the_list(written: str, country: str | None, form: str | None) -> None:
    assert listed(written, country=country) == form
