"""What a receipt says of a message, word by word, and which message it names."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any, Final

import pytest

from processor.core.events import DeliveryEvent, Receipt
from processor.core.report import (
    ENGAGEMENTS,
    STATES,
    About,
    about,
    delivery,
    echoed,
    engagement,
    id_key,
    known_as,
    part_of,
    says_something,
    wanted,
    whole,
)
from processor.core.words import REPORTED, Lane, Reason, Status

SILENT: Final = {"enroute", "accepted", "unknown", "other"}
MESSAGE: Final = About("m", "ref", 2, "SMS", "spring", Lane.BULK, "P2", ("P1", "P2"))


def receipt(state: str = "delivered", **more: Any) -> Receipt:
    known = {"message_id": None, "provider_code": "011", "done_at": None, "received_at_ms": 1_000} | more
    return Receipt("r", "P", "id", ("00ID",), state=state, **known)


def sent(**more: Any) -> DeliveryEvent:
    made = DeliveryEvent(
        "e", "m", None, 1, 0, "SMS", "P", None, None, Status.SENT, terminal=True, reason=Reason.ACCEPTED
    )
    return made._replace(**more)


def test_each_state_of_the_schema_is_a_status_an_act_or_says_nothing() -> None:
    schema = json.loads((Path(__file__).parents[2] / "schemas/Receipt/v2.avsc").read_text(encoding="utf-8"))
    (told,) = [field["doc"] for field in schema["fields"] if field["name"] == "state"]
    states = set(re.findall(r"\w+", told.partition(";")[0]))

    assert states == STATES.keys() | ENGAGEMENTS | SILENT
    assert not any(says_something(receipt(state)) for state in SILENT)
    assert {status for status, _ in STATES.values()} == REPORTED


@pytest.mark.parametrize("state", STATES)
def test_a_report_is_not_terminal_and_carries_what_the_message_carried(state: str) -> None:
    event = delivery(receipt(state), MESSAGE)

    assert event is not None
    assert (event.message_id, event.external_id, event.attempt, event.channel) == ("m", "ref", 2, "SMS")
    assert (event.campaign_id, event.lane, event.provider, event.provider_code) == ("spring", Lane.BULK, "P", "011")
    assert (event.status, event.reason, event.terminal) == (*STATES[state], False)
    assert (event.provider_message_id, event.part_ids) == ("P2", ())
    assert engagement(receipt(state), MESSAGE, repeated=False) is None


@pytest.mark.parametrize("state", sorted(ENGAGEMENTS))
def test_an_act_is_an_engagement_that_nobody_here_has_seen(state: str) -> None:
    event = engagement(receipt(state, url="https://example.com/"), MESSAGE, repeated=True)

    assert event is not None
    assert (event.type, event.actor, event.rule, event.provider) == (state, "unknown", "reported", "P")
    assert (event.repeated, event.url) == (True, "https://example.com/")
    assert delivery(receipt(state), MESSAGE) is None


@pytest.mark.parametrize(("theirs", "at_ms"), [(None, 1_000), (500, 500), (9_999, 1_000)])
def test_their_instant_counts_where_it_is_not_later_than_ours(theirs: int | None, at_ms: int) -> None:
    event = delivery(receipt(occurred_at_ms=theirs), MESSAGE)

    assert event is not None
    assert event.occurred_at_ms == at_ms


def test_a_receipt_and_its_message_meet_under_one_key() -> None:
    assert set(wanted(receipt())) & set(known_as(sent(provider_message_id="0id")))
    assert set(wanted(receipt(message_id="m"))) & set(known_as(sent(status=Status.UNKNOWN)))
    assert set(wanted(receipt())) & set(known_as(sent(provider_message_id="x", part_ids=("ID", "x"))))


@pytest.mark.parametrize(
    "other", [{"provider": "Q"}, {"provider": None}, {"status": Status.FAILED}, {"status": Status.DELIVERED}]
)
def test_messages_of_others_and_those_that_nobody_took_are_not_met(other: dict[str, Any]) -> None:
    assert not set(wanted(receipt())) & set(known_as(sent(provider_message_id="id", **other)))


def test_only_what_echoes_id_and_channel_needs_no_message() -> None:
    assert echoed(receipt(message_id="m")) is None
    assert echoed(receipt(channel="SMS")) is None
    assert echoed(receipt(message_id="m", channel="SMS", attempt=3)) == About(
        "m", None, 3, "SMS", None, provider_message_id="id"
    )


def test_a_receipt_is_of_a_part_only_where_there_are_several() -> None:
    parts = about(sent(part_ids=("a", "Id", "b")))

    assert part_of(receipt(), parts) == "Id"
    assert part_of(receipt(), about(sent(part_ids=("Id",)))) is None
    assert part_of(receipt(), about(sent())) is None


def test_the_whole_is_the_same_event_whichever_part_is_the_last() -> None:
    one, other = (delivery(receipt(), MESSAGE, part) for part in MESSAGE.part_ids)

    assert one is not None
    assert other is not None
    assert whole(one, 7) == whole(other, 7)
    assert whole(one, 7).event_id != one.event_id


def test_zeros_in_front_and_case_do_not_matter() -> None:
    assert id_key("00aB") == id_key("Ab")
    assert id_key("000") == id_key("0")
