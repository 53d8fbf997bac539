"""Text messages over SMPP, whole: events tell segments and encoding, and receipts come to their topic."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from processor.core.words import Reason, Status
from tests.support.eventually import eventually
from tests.support.plant import message, plant

if TYPE_CHECKING:
    from collections.abc import Iterator

    from processor.sandbox.broker import Broker
    from tests.support.plant import Plant
    from tests.support.sandboxed import Sandboxed

BULK = 40
TEXTS = {  # text, segments, encoding
    "short-gsm": ("Your code is 4711", 1, "gsm7"),
    "short-two": ("a" * 161, 2, "gsm7"),
    "short-ucs": ("Codul dumneavoastră", 1, "ucs2"),
}


def with_a_centre(sandbox: Sandboxed) -> dict[str, Any]:
    """Return a channel `Short`, of Romanian numbers, whose provider is the sandbox's short message centre."""
    centre = {
        "adapter": "smpp",
        "bus_provider": "Centres",
        "bus_channel": "SMS",
        "host": "127.0.0.1",
        "port": sandbox.smsc_port,
        "tls": "off",
        "system_id": "commproc",
        "password": {"env": "CANARY_TOKEN"},
        "source_addr": "Example",
        "reference_tlv": 0x1400,
    }
    channel = {
        "action": "SMS",
        "bus_channel": "SMS",
        "bus_provider": "Centres",
        "provider": "Centre",
        "country": "RO",
        "segments_max": 2,
    }
    return {"channels": {"Short": channel}, "providers": {"Centre": centre}}


@pytest.fixture(scope="module")
def texting(kafka: Broker, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Plant]:
    with plant(kafka.bootstrap, tmp_path_factory.mktemp("texting"), changes=with_a_centre) as made:
        yield made


def test_the_event_tells_segments_and_encoding(texting: Plant) -> None:
    texting.ask(message(name, "Short", to="0722000111", text=text) for name, (text, _, _) in TEXTS.items())
    texting.drained(within_s=20)

    ends = {each.message_id: each for each in texting.check().delivery}
    for name, (_, segments, encoding) in TEXTS.items():
        end = ends[name]
        assert (end.status, end.segments, end.encoding) == (Status.SENT, segments, encoding)
    numbers = {entry.recipients[0] for entry in texting.sandbox.entries() if entry.message_id in TEXTS}
    assert {number.lstrip("+") for number in numbers} == {"40722000111"}


def test_a_text_that_is_too_long_for_its_channel_is_rejected(texting: Plant) -> None:
    texting.ask([message("short-long", "Short", to="0722000111", text="a" * 307)])
    texting.drained(within_s=20)

    (end,) = [each for each in texting.check().delivery if each.message_id == "short-long"]
    assert (end.status, end.reason, end.field_name) == (Status.REJECTED, Reason.TOO_MANY_SEGMENTS, "text")


def test_every_receipt_comes_to_its_topic_and_names_its_message(texting: Plant) -> None:
    texting.ask(message(f"receipt-{number}", "Short", to="+40722000111") for number in range(BULK))
    texting.drained(within_s=20)

    def told() -> set[str]:
        return {key for each in texting.ledgers().receipts if each.state == "delivered" for key in each.id_keys}

    def sent() -> set[str]:
        ends = [each for each in texting.ledgers().delivery if each.message_id.startswith("receipt-")]
        return {(each.provider_message_id or "").lstrip("0").lower() for each in ends}

    eventually(lambda: sent() <= told(), within_s=20, what=lambda: f"{len(sent() - told())} without a receipt")
    assert len(sent()) == BULK
    receipts = texting.ledgers().receipts
    assert len({each.event_id for each in receipts}) == len(receipts)
    assert {each.provider for each in receipts} == {"Centre"}
    assert texting.metric("dispatch", "comm_receipts_total", provider="Centre", state="delivered") >= BULK
