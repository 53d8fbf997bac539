"""What providers report later finds its message: in any order, of every part, once, and over the joiner's deaths."""

from __future__ import annotations

import time
from collections import Counter
from typing import TYPE_CHECKING, Any

import pytest

from processor.cli.history import read_history
from processor.core.events import DeliveryEvent, Receipt
from processor.core.words import Lane, Reason, Status
from processor.kafka.admin import Topics
from tests.integration.test_receipts import with_a_centre
from tests.support.eventually import eventually
from tests.support.plant import STAGES, message, plant

if TYPE_CHECKING:
    from collections.abc import Iterator

    from processor.sandbox.broker import Broker
    from tests.support.plant import Plant
    from tests.support.sandboxed import Sandboxed


def joining(sandbox: Sandboxed) -> dict[str, Any]:
    """Return a configuration whose receipts are soon orphans, with several partitions to be joined across."""
    return with_a_centre(sandbox) | {
        "receipts": {"patience": "3s"},
        "topics": {"partitions": {"inbound": 2, "express": 1, "send": 2, "delay": 1, "events": 3, "dead_letter": 1}},
    }


@pytest.fixture(scope="module")
def works(kafka: Broker, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Plant]:
    folder = tmp_path_factory.mktemp("reports")
    with plant(kafka.bootstrap, folder, running=(*STAGES, "tracking"), changes=joining) as made:
        yield made


def now_ms() -> int:
    return time.time_ns() // 1_000_000


def receipt(name: str, state: str = "delivered", *, provider: str = "Centre", **more: Any) -> Receipt:
    return Receipt(
        event_id=f"{provider}-{name}-{state}",
        provider=provider,
        provider_message_id=name,
        id_keys=(name,),
        message_id=more.pop("message_id", None),
        state=state,
        provider_code=None,
        done_at=None,
        received_at_ms=now_ms(),
        **more,
    )


def sent(name: str, **more: Any) -> DeliveryEvent:
    return DeliveryEvent(
        event_id=f"sent-{name}",
        message_id=f"m-{name}",
        external_id=f"ref-{name}",
        attempt=2,
        occurred_at_ms=now_ms(),
        channel="Short",
        provider="Centre",
        campaign_id="spring",
        lane=Lane.BULK,
        status=more.pop("status", Status.SENT),
        terminal=True,
        reason=Reason.ACCEPTED,
        provider_message_id=more.pop("provider_message_id", name),
        **more,
    )


def put(works: Plant, *events: Receipt | DeliveryEvent) -> None:
    """Write events as our own stages do."""
    codec, producer = works.codecs.events, works.cluster.producer()
    for event in events:
        if isinstance(event, Receipt):
            key = f"{event.provider}/{event.id_keys[0]}".encode()
            producer.produce(works.names.receipts, codec.encode_receipt(event), key)
        else:
            producer.produce(works.names.delivery, codec.encode_delivery(event), event.message_id.encode())
    assert producer.flush(30) == 0


def reports(works: Plant, word: str) -> list[DeliveryEvent]:
    """Return what was reported of messages whose ids begin with *word*."""
    return [each for each in works.ledgers().delivery if not each.terminal and each.message_id.startswith(word)]


def orphans(works: Plant) -> list[Receipt]:
    found = [works.codecs.events.decode_event(each.value()) for each in works.cluster.read([works.names.orphans])]
    return [each for each in found if isinstance(each, Receipt)]


def told(works: Plant, word: str) -> Counter[tuple[str, str]]:
    return Counter((each.message_id, str(each.status)) for each in reports(works, word))


def test_a_text_is_delivered_once_whatever_the_number_of_its_parts(works: Plant) -> None:
    texts = {"whole-1": "Hello", "whole-2": "a" * 161, "whole-3": "ț" * 134}
    works.ask(message(name, "Short", to="+40722000111", text=text) for name, text in texts.items())
    works.drained(within_s=20)

    eventually(lambda: len(told(works, "whole")) == 3, within_s=20, what=lambda: told(works, "whole"))

    assert set(told(works, "whole").items()) == {((name, "DELIVERED"), 1) for name in texts}
    ends = {each.message_id: each for each in works.check().delivery if each.terminal}
    for event in reports(works, "whole"):
        end = ends[event.message_id]
        assert (event.attempt, event.channel, event.provider) == (end.attempt, "Short", "Centre")
        assert (event.reason, event.provider_message_id, event.lane) == (
            Reason.DELIVERED,
            end.provider_message_id,
            end.lane,
        )


def test_show_tells_the_derived_status(works: Plant) -> None:
    connection = works.cluster.connection
    names, codec = works.names, works.codecs.events

    history = read_history(connection, Topics(connection), names, codec, "whole-2", within_s=20)

    assert history.status is Status.DELIVERED


def test_receipts_before_and_after_their_message_join_and_those_of_no_message_are_orphans(works: Plant) -> None:
    put(works, receipt("early"), receipt("nobody"), receipt("both"), receipt("both"), receipt("both", "enroute"))
    put(works, sent("late"), sent("early"), sent("both"), sent("bad"), sent("doubt", status=Status.UNKNOWN))
    put(works, receipt("late"), receipt("LATE".rjust(6, "0"), "expired"), receipt("bad", "undeliverable"))
    put(works, receipt("x", message_id="m-doubt"))

    expected = {
        ("m-early", "DELIVERED"): 1,
        ("m-late", "DELIVERED"): 1,
        ("m-late", "BOUNCED"): 1,
        ("m-both", "DELIVERED"): 1,
        ("m-bad", "BOUNCED"): 1,
        ("m-doubt", "DELIVERED"): 1,
    }
    eventually(lambda: told(works, "m-") == expected, within_s=20, what=lambda: told(works, "m-"))
    eventually(lambda: orphans(works), within_s=20)
    assert [each.event_id for each in orphans(works)] == ["Centre-nobody-delivered"]
    assert told(works, "m-") == expected
    (late,) = [each for each in reports(works, "m-late") if each.status is Status.DELIVERED]
    assert (late.external_id, late.campaign_id, late.attempt, late.lane) == ("ref-late", "spring", 2, Lane.BULK)
    assert works.metric("tracking", "comm_receipts_orphaned_total", provider="Centre") == 1


def test_what_a_provider_echoes_needs_no_message_of_ours(works: Plant) -> None:
    known = {"message_id": "echo-1", "channel": "Email", "campaign_id": "c", "attempt": 3, "occurred_at_ms": 1_000}
    put(works, receipt("e1", "bounced_hard", provider="Mail", **known))
    put(works, receipt("e2", "clicked", provider="Mail", url="https://example.com/", **known))
    put(works, receipt("e2", "opened", provider="Mail", **known))

    eventually(lambda: told(works, "echo"), within_s=20)
    eventually(lambda: len(works.ledgers().engagement) == 2, within_s=20)

    (bounce,) = reports(works, "echo")
    assert (bounce.status, bounce.reason, bounce.attempt) == (Status.BOUNCED, Reason.BOUNCED_HARD, 3)
    assert (bounce.occurred_at_ms, bounce.channel, bounce.terminal) == (1_000, "Email", False)
    acts = {each.type: each for each in works.ledgers().engagement}
    assert (acts["clicked"].url, acts["clicked"].provider, acts["clicked"].actor) == (
        "https://example.com/",
        "Mail",
        "unknown",
    )


def test_joiners_that_come_and_go_share_the_receipts_and_say_everything_once(works: Plant) -> None:
    for number in range(120):
        put(works, receipt(f"share-{number}"))
        if number == 30:
            works.start("tracking", slot="1", ready=False)
        if number == 90:
            eventually(lambda: works.is_ready("tracking", "1"), within_s=30)  # before, a signal just ends it
            assert works.terminate("tracking", slot="1") == 0
        put(works, sent(f"share-{number}"))

    eventually(lambda: len(told(works, "m-share")) == 120, within_s=60, what=lambda: len(told(works, "m-share")))
    assert set(told(works, "m-share").values()) == {1}


def test_no_report_is_lost_or_doubled_when_the_joiner_is_killed_in_mid_stream(works: Plant) -> None:
    count = 400
    for number in range(0, count, 2):
        put(works, receipt(f"kill-{number}"), receipt(f"kill-{number}"))
        if number % 100 == 50:
            works.kill("tracking")
            works.start("tracking", ready=False)  # it may die before it has joined
        put(works, *[sent(f"kill-{each}") for each in (number, number + 1)], receipt(f"kill-{number + 1}"))

    eventually(lambda: len(told(works, "m-kill")) == count, within_s=60, what=lambda: len(told(works, "m-kill")))
    assert works.terminate("tracking") == 0
    works.start("tracking", slot="1")  # another member, which waits for the session of the first to end
    put(works, receipt("kill-end"), sent("kill-end"))
    eventually(lambda: ("m-kill-end", "DELIVERED") in told(works, "m-kill"), within_s=60)

    assert set(told(works, "m-kill").values()) == {1}
    assert "canary" not in works.output()
