"""Suppressions and recalls bind at the instant of submission, whatever a message has waited for."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING

import pytest

from processor.core.words import Purpose, Reason, Status
from tests.support.cluster import fresh
from tests.support.controls import heard, now_ms, recall, suppression, tell
from tests.support.eventually import eventually
from tests.support.plant import RECIPIENT, Plant, message, plant

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from processor.core.events import DeliveryEvent
    from processor.core.message import Message
    from processor.sandbox.broker import Broker

NUMBER = "+40700000222"
BINDS_WITHIN_MS = 1_000


@pytest.fixture
def made(kafka: Broker, tmp_path: Path) -> Iterator[Plant]:
    """A processor of its own: what one test suppresses must not reach another."""
    with plant(kafka.bootstrap, tmp_path) as works:
        yield works


def marketing(message_id: str, channel: str = "Email", **more: object) -> Message:
    return message(message_id, channel, **{"purpose": Purpose.MARKETING, "campaign_id": "spring"} | more)  # type: ignore[arg-type]


def ends(works: Plant, *, within_s: float = 20) -> dict[str, DeliveryEvent]:
    works.drained(within_s=within_s)
    return {each.message_id: each for each in works.check().delivery}


def statuses(works: Plant) -> dict[str, Status]:
    return {message_id: event.status for message_id, event in ends(works).items()}


def test_marketing_to_a_suppressed_address_is_never_sent_and_passwords_and_receipts_are(made: Plant) -> None:
    tell(made, [suppression(made, NUMBER), suppression(made, "Left@Bücher.example")])
    heard(made, "suppression", 2)

    made.ask(
        [
            marketing("sms-marketing", "SMS", to=NUMBER),
            message("sms-receipt", "SMS", to=NUMBER, campaign_id="spring"),
            message("sms-password", "SMSOTP", to=NUMBER, purpose=Purpose.OTP),
            marketing("mail-marketing", to="left@xn--bcher-kva.example"),
            marketing("mail-to-another", to="stayed@example.com"),
        ]
    )

    found = ends(made)
    assert {key: each.status for key, each in found.items()} == {
        "sms-marketing": Status.SUPPRESSED,
        "sms-receipt": Status.SENT,
        "sms-password": Status.SENT,
        "mail-marketing": Status.SUPPRESSED,
        "mail-to-another": Status.SENT,
    }
    assert (found["sms-marketing"].reason, found["sms-marketing"].attempt) == (Reason.RECIPIENT_SUPPRESSED, 0)
    assert NUMBER.removeprefix("+40") not in made.output()
    assert "left@" not in made.output().lower()


def test_who_left_a_campaign_still_gets_another_and_its_own_again_once_the_time_is_over(made: Plant) -> None:
    someone = "someone@example.com"
    until_ms = now_ms() + 4_000
    tell(made, [suppression(made, someone, "campaign", campaign="spring", until_ms=until_ms)])
    heard(made, "suppression", 1)

    made.ask([marketing("now", to=someone), marketing("other", to=someone, campaign_id="autumn")])
    made.ask([marketing("later", to=someone, start_at_ms=until_ms)])

    assert statuses(made) == {"now": Status.SUPPRESSED, "other": Status.SENT, "later": Status.SENT}


def test_a_copy_to_a_suppressed_address_is_left_out_and_told(made: Plant) -> None:
    gone, there = "gone@example.com", "there@example.com"
    tell(made, [suppression(made, gone)])
    heard(made, "suppression", 1)

    made.ask([marketing("copies", cc=[gone, there]), marketing("all-gone", to=gone, cc=[there])])

    found = ends(made)
    assert (found["copies"].status, found["copies"].recipients_refused) == (Status.SENT, (1,))
    assert found["all-gone"].status is Status.SUPPRESSED
    (entry,) = [each for each in made.sandbox.entries() if each.message_id == "copies"]
    assert set(entry.recipients) == {f"{RECIPIENT}@example.com", there}


@pytest.mark.timed
def test_a_campaign_that_is_recalled_while_it_drains_is_sent_before_or_cancelled(made: Plant) -> None:
    word = fresh("drain")
    made.ask(
        marketing(f"{word}-{number}", to="slow-250ms@example.com", campaign_id=("spring", "kept")[number % 10 == 0])
        for number in range(1_200)
    )
    eventually(lambda: len(made.sandbox.entries()) > 100, within_s=20)

    acknowledged_ms = tell(made, [recall(campaign="spring")])

    found = ends(made, within_s=40)
    campaign = [each for each in found.values() if each.campaign_id == "spring"]
    assert len(campaign) == 1_080
    assert {each.status for each in campaign} == {Status.SENT, Status.CANCELLED}
    assert {each.reason for each in campaign if each.status is Status.CANCELLED} == {Reason.RECALLED}
    assert {each.status for each in found.values() if each.campaign_id == "kept"} == {Status.SENT}
    calls = {each.message_id: each.first_byte_ms for each in made.sandbox.entries()}
    late = [calls[each.message_id] - acknowledged_ms for each in campaign if each.message_id in calls]
    assert max(late) < BINDS_WITHIN_MS, sorted(late)[-5:]


def test_what_waits_for_its_start_or_for_another_attempt_is_judged_again(made: Plant) -> None:
    someone = "someone@example.com"
    made.ask(
        [
            marketing("start", start_at_ms=now_ms() + 4_000),
            marketing("listed", to=someone, start_at_ms=now_ms() + 4_000),
            message("password", "SMSOTP", purpose=Purpose.OTP, start_at_ms=now_ms() + 4_000),
            message("retry", to="defer-451-1x@example.com", retry_interval_s=4),
            marketing("back", campaign_id="autumn", start_at_ms=now_ms() + 4_000),
        ]
    )
    eventually(lambda: made.ledgers().retry, within_s=10)

    tell(made, [recall(campaign="spring"), recall(message="retry"), recall(channel="SMSOTP")])
    tell(made, [suppression(made, someone), recall(campaign="autumn")])
    tell(made, [recall(campaign="autumn"), recall(campaign="spring")], taken_back=True)

    found = ends(made)
    assert {key: each.status for key, each in found.items()} == {
        "start": Status.SENT,
        "listed": Status.SUPPRESSED,
        "password": Status.CANCELLED,
        "retry": Status.CANCELLED,
        "back": Status.SENT,
    }
    assert (found["retry"].attempt, found["retry"].reason) == (1, Reason.RECALLED)


def test_a_dispatcher_that_comes_back_reads_the_whole_list_before_its_first_marketing_and_keeps_no_password_waiting(
    made: Plant,
) -> None:
    # So many that they take longer than to join the groups: what must wait does, and what must not does not.
    made.kill("dispatch")
    others = [suppression(made, "x@example.com")._replace(address_hash=f"{number:032x}") for number in range(200_000)]
    tell(made, [*others, suppression(made, "last@example.com")])
    made.ask(
        [
            marketing("listed", to="last@example.com"),
            marketing("free", to="free@example.com"),
            message("password", "SMSOTP", purpose=Purpose.OTP),
            message("receipt"),
        ]
    )

    made.start("dispatch")

    assert {key: each.status for key, each in ends(made, within_s=60).items()} == {
        "listed": Status.SUPPRESSED,
        "free": Status.SENT,
        "password": Status.SENT,
        "receipt": Status.SENT,
    }
    (line,) = [each for each in made.lines("dispatch") if each["event"] == "control.read"]
    read_ms = datetime.fromisoformat(line["time"]).timestamp() * 1_000
    calls = {each.message_id: each.first_byte_ms for each in made.sandbox.entries()}
    assert line["records"] == len(others) + 1
    assert calls["password"] < read_ms < calls["free"]
    assert calls["receipt"] < read_ms
