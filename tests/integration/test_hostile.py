"""Whatever a record holds, it ends with a reason, the one after it is sent, and no process ends."""

from __future__ import annotations

import hashlib
import time
from typing import TYPE_CHECKING, Any

import pytest

from processor.core.words import Lane, Reason, Status
from tests.support.cluster import fresh
from tests.support.eventually import eventually
from tests.support.ledgers import Asked
from tests.support.plant import STAGES, Plant, message, plant

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from processor.core.events import DeadLetter, DeliveryEvent
    from processor.sandbox.broker import Broker

NEWS = {
    "topics": {"partitions": {"inbound": 1}},  # whatever is in a record, it is judged where it is put
    "channels": {
        "News": {"action": "EMAIL", "bus_channel": "EMAIL", "bus_provider": "Mails", "provider": "Mail", "lane": "bulk"}
    },
}
PAST_MS = 1_000_000_000_000


@pytest.fixture(scope="module")
def works(kafka: Broker, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Plant]:
    with plant(kafka.bootstrap, tmp_path_factory.mktemp("hostile"), changes=NEWS) as made:
        yield made


def sent(works: Plant, message_id: str) -> bytes:
    return works.codecs.outbound.encode_message(message(message_id))


def prefix(works: Plant) -> bytes:
    return sent(works, "x")[:10]


def varint(number: int) -> bytes:
    """Return Avro's zigzag encoding of a number."""
    left, raw = (number << 1) ^ (number >> 63), bytearray()
    while left > 0x7F:
        raw.append(left & 0x7F | 0x80)
        left >>= 7
    return bytes([*raw, left])


def followed(works: Plant, value: bytes | None, **more: Any) -> tuple[DeadLetter, list[DeliveryEvent]]:
    """Put *value*, and a good message behind it; return its dead letter once both have ended."""
    after = fresh("after")
    works.put(value, Asked(None), works.names.outbound, partition=0, **more)
    works.put(sent(works, after), Asked(after), works.names.outbound, partition=0)
    works.flush()
    ledgers = works.drained(within_s=20)
    assert [each.status for each in ledgers.delivery if each.message_id == after] == [Status.SENT]
    (origin,) = list(works.asked)[-2:-1]
    (letter,) = [each for each in ledgers.dead if each.origin == origin]
    return letter, [each for each in ledgers.delivery if each.message_id == letter.message_id]


UNREADABLE: dict[str, Callable[[Plant], bytes | None]] = {
    "a tombstone": lambda works: None,
    "no bytes": lambda works: b"",
    "one byte": lambda works: b"\xc3",
    "text": lambda works: b"hello",
    "an unknown schema": lambda works: b"\xc3\x01" + bytes(8),
    "a registry's framing without a registry": lambda works: b"\x00\x00\x00\x00\x07" + bytes(40),
    "nothing after the framing": prefix,
    "a length of 2**40": lambda works: prefix(works) + varint(1 << 40) + b"x",
    "a negative length": lambda works: prefix(works) + varint(-5) + b"x",
    "an endless number": lambda works: prefix(works) + b"\xff" * 40,
    "text that is not UTF-8": lambda works: prefix(works) + varint(2) + b"\xff\xfe" + bytes(60),
    "a union branch that does not exist": lambda works: prefix(works) + varint(1) + b"m" + varint(1) + b"c" + b"\x05",
    "a cut head": lambda works: sent(works, "cut-1")[:20],
    "half a surrogate pair": lambda works: prefix(works) + varint(3) + b"\xed\xa0\x80" + bytes(60),
    "a symbol before the first": lambda works: with_purpose(works, -1),
    "a symbol after the last": lambda works: with_purpose(works, 3),
}


@pytest.mark.parametrize("kind", UNREADABLE)
def test_a_record_that_nobody_can_read_is_dead_lettered_whole(works: Plant, kind: str) -> None:
    value = UNREADABLE[kind](works)

    letter, _ = followed(works, value)

    assert (letter.reason, letter.value, letter.truncated) == (Reason.UNREADABLE, value, False)
    assert letter.message_id is None


def with_purpose(works: Plant, symbol: int) -> bytes:
    """Return a record whose purpose is the symbol of that number; there are three."""
    whole = sent(works, "purpose-1")
    before = len(prefix(works)) + len(b"\x12purpose-1") + len(b"\x0aEmail") + 1 + 1 + 8
    assert whole[before : before + 1] == varint(1)
    return whole[:before] + varint(symbol) + whole[before + 1 :]


@pytest.mark.parametrize("key", [None, b"", b"\xff\xfe", b"k" * 10_000, b"another-id", b"commproc.marker"])
def test_the_key_of_a_record_means_nothing(works: Plant, key: bytes | None) -> None:
    message_id = fresh("keyed")
    works.put(sent(works, message_id), Asked(message_id), works.names.outbound, key=key)
    works.flush()
    works.drained(within_s=20)

    assert [each.status for each in works.ledgers().delivery if each.message_id == message_id] == [Status.SENT]


@pytest.mark.slow
def test_200_mb_in_a_batch_of_200_kb_are_rejected_and_do_not_fill_the_memory(works: Plant) -> None:
    bomb = prefix(works) + bytes(200_000_000)
    producer = works.cluster.producer(**{"message.max.bytes": 250_000_000, "compression.type": "gzip"})
    producer.produce(works.names.outbound, bomb, partition=0)
    assert producer.flush(60) == 0
    after = fresh("after")
    works.put(sent(works, after), Asked(after), works.names.outbound, partition=0)
    works.flush()

    def letters() -> list[DeadLetter]:
        return [each for each in works.ledgers().dead if each.value_size_bytes == len(bomb)]

    (letter,) = eventually(letters, within_s=60)
    works.drained(within_s=20)
    assert (letter.reason, letter.truncated) == (Reason.TOO_LARGE, True)
    assert all(works.alive().values())
    assert works.highest_mib("intake") < 1_200
    works.asked[letter.origin] = Asked(None)


@pytest.mark.slow
def test_each_offset_of_a_batch_that_nobody_can_unpack_is_a_dead_letter_and_what_follows_is_processed(
    works: Plant,
) -> None:
    # 180 MB of nothing are 6 KB of zstd, and more than a client unpacks; Kafka hands such a batch out for ever.
    whole = {"message.max.bytes": 250_000_000, "batch.size": 250_000_000, "linger.ms": 5_000}
    producer = works.cluster.producer(**whole, **{"compression.type": "zstd"})
    for _ in range(3):
        producer.produce(works.names.outbound, bytes(60_000_000), partition=0)
    assert producer.flush(60) == 0
    after = fresh("after")
    works.put(sent(works, after), Asked(after), works.names.outbound, partition=0)
    works.flush()

    def letters() -> list[DeadLetter]:
        return [each for each in works.ledgers().dead if each.value is None and each.origin not in works.asked]

    found = eventually(lambda: letters() if len(letters()) >= 3 else None, within_s=60)
    works.drained(within_s=20)
    assert found is not None
    offsets = [each.origin.offset for each in found]
    assert offsets == list(range(offsets[0], offsets[0] + 3))
    assert {(each.reason, each.origin.topic) for each in found} == {(Reason.UNREADABLE, works.names.outbound)}
    assert all(works.alive().values())
    works.asked.update((each.origin, Asked(None)) for each in found)


@pytest.mark.parametrize("kind", ["a cut content", "a trailing byte", "2*10**8 copies"])
def test_a_record_whose_content_cannot_be_read_is_rejected_before_any_call(works: Plant, kind: str) -> None:
    whole = sent(works, fresh("content"))
    to = whole.index(b"canary.recipient") - 1
    recipient_end = to + 1 + len("canary.recipient.3141@example.com")
    value = {
        "a cut content": whole[:-3],
        "a trailing byte": whole + b"\0",
        "2*10**8 copies": whole[:recipient_end] + varint(200_000_000) + b"\0\0",
    }[kind]

    letter, events = followed(works, value)

    assert [(each.status, each.reason, each.attempt) for each in events] == [(Status.REJECTED, Reason.UNREADABLE, 0)]
    assert (letter.value, letter.attempts) == (value, 0)


def test_a_thousand_headers_and_our_own_name_among_them_change_nothing(works: Plant) -> None:
    headers = [("commproc", b"{}")] * 500 + [(f"h{number}", b"x") for number in range(500)]

    works.ask([message("headers-1")], headers=headers)
    works.drained(within_s=20)

    assert [each.status for each in works.check().delivery if each.message_id == "headers-1"] == [Status.SENT]


def test_what_is_larger_than_a_dead_letter_may_be_leaves_a_pointer_with_hash_and_prefix(works: Plant) -> None:
    bomb = prefix(works) + bytes(20_000_000)

    letter, _ = followed(works, bomb)

    assert (letter.reason, letter.truncated, letter.value_size_bytes) == (Reason.TOO_LARGE, True, len(bomb))
    assert letter.value_sha256 == hashlib.sha256(bomb).hexdigest()
    assert letter.value
    assert bomb.startswith(letter.value)
    assert len(letter.value) <= 1_024


@pytest.mark.parametrize("field", ["external_id", "campaign_id"])
def test_a_reference_as_large_as_a_record_stalls_no_event_topic(works: Plant, field: str) -> None:
    # An event repeats it: one that its topic refuses would abort every tick for ever.
    large: dict[str, Any] = {field: "x" * 1_300_000}
    asked, after = message(fresh("large"), **large), message(fresh("after"))

    works.ask([asked, after])
    ledgers = works.drained(within_s=15)

    assert [each.status for each in ledgers.delivery if each.message_id == after.head.message_id] == [Status.SENT]


@pytest.mark.parametrize("message_id", ["", "../../etc/passwd", "a\r\nBcc: x@example.com", "i" * 10_000, "a b", "é"])
def test_an_id_that_may_not_be_is_rejected_and_told_nowhere(works: Plant, message_id: str) -> None:
    bad = works.codecs.outbound.encode_message(message(message_id))

    letter, (event,) = followed(works, bad)

    assert (event.status, event.reason, event.field_name) == (Status.REJECTED, Reason.INVALID_MESSAGE_ID, "message_id")
    assert event.message_id.startswith("invalid-")
    assert letter.value == bad
    assert len(message_id) < 2 or message_id not in works.output() + repr(event)


REJECTED: dict[str, tuple[dict[str, Any], str]] = {
    "a zone of no planet": ({"time_zone": "Mars/X", "interval_min_ms": 0, "interval_max_ms": 1}, "time_zone"),
    "an end before its start": ({"start_at_ms": PAST_MS + 1, "end_at_ms": PAST_MS}, "end_at"),
    "half an interval": ({"interval_min_ms": 1}, "interval_max"),
    "priority 10": ({"priority": 10}, "priority"),
    "a provider of another channel": ({"provider": "Text"}, "provider"),
    "a provider that does not exist": ({"provider": "None"}, "provider"),
    "a start in the year 40,000": ({"start_at_ms": 1 << 50}, "start_at"),
    "a negative budget": ({"retry_max_attempts": -1}, "retry_max_attempts"),
}


@pytest.mark.parametrize("kind", REJECTED)
def test_a_message_that_asks_for_what_cannot_be_done_is_rejected_by_the_field(works: Plant, kind: str) -> None:
    head, field = REJECTED[kind]
    message_id = fresh("rejected")
    works.ask([message(message_id, **head), message(fresh("after"))])
    ledgers = works.drained(within_s=20)

    (event,) = [each for each in ledgers.delivery if each.message_id == message_id]
    assert (event.status, event.attempt, event.field_name) == (Status.REJECTED, 0, field)
    assert [each.reason for each in ledgers.dead if each.message_id == message_id] == [event.reason]


def test_a_channel_that_nobody_configured_is_not_repeated(works: Plant) -> None:
    works.ask([message("stranger-1", "Carrier\nPigeon", to="coop@example.com")])
    ledgers = works.drained(within_s=20)

    (event,) = [each for each in ledgers.delivery if each.message_id == "stranger-1"]
    assert (event.status, event.reason, event.channel) == (Status.REJECTED, Reason.UNKNOWN_CHANNEL, "unconfigured")


def test_what_has_ended_before_it_came_is_expired_without_a_call(works: Plant) -> None:
    works.ask([message("past-1", end_at_ms=PAST_MS)])
    ledgers = works.drained(within_s=20)

    (event,) = [each for each in ledgers.delivery if each.message_id == "past-1"]
    assert (event.status, event.reason, event.attempt) == (Status.EXPIRED, Reason.PAST_END, 0)


def test_a_one_time_password_without_an_end_expires_by_its_channel(works: Plant) -> None:
    # Its start was long ago, and so is the end of the five minutes for which it counts.
    works.ask([message("stale-1", "SMSOTP", start_at_ms=PAST_MS)])
    ledgers = works.drained(within_s=20)

    (event,) = [each for each in ledgers.delivery if each.message_id == "stale-1"]
    assert (event.status, event.reason) == (Status.EXPIRED, Reason.PAST_END)


def test_a_newsletter_that_claims_the_urgency_of_a_password_stays_in_its_lane(works: Plant) -> None:
    works.ask([message("claim-1", "News", to="reader@example.com", priority=9)])
    ledgers = works.drained(within_s=20)

    (event,) = [each for each in ledgers.delivery if each.message_id == "claim-1"]
    assert (event.status, event.lane) == (Status.SENT, Lane.BULK)
    assert works.metric("intake", "comm_priority_claims_ignored_total", channel="News") == 1


def test_all_of_it_kept_every_promise_and_ended_no_process(works: Plant) -> None:
    ledgers = works.check()

    assert all(works.alive().values())
    assert works.metric("intake", "comm_internal_errors_total", stage="intake") == 0
    dead = sum(works.metric(stage, "comm_dead_letters_total") for stage in STAGES)
    assert dead == len(ledgers.dead)
    ended = sum(works.metric(stage, "comm_delivery_events_total") for stage in STAGES)
    assert ended == len(ledgers.delivery)


def test_nothing_of_it_is_in_any_output(works: Plant) -> None:
    told = works.output() + "".join(works.metrics(stage) for stage in STAGES)

    for canary in (
        "passwd",
        "Bcc",
        "Pigeon",
        "Mars",
        "canary",
        "iiiiiiii",
        "xxxxxxxx",
        str(time.gmtime().tm_year) + "é",
    ):
        assert canary not in told
