"""A call is answered when all that it reports is published, and what is not shown to be the provider's is not read."""

from __future__ import annotations

import asyncio
import base64
import hmac
import json
from typing import TYPE_CHECKING, Any

import orjson
import pytest
import structlog
from confluent_kafka import KafkaError, KafkaException
from hypothesis import given
from hypothesis import strategies as st

from processor.codec.assembly import open_codecs
from processor.kafka.reliable import Reliable
from processor.metrics import REGISTRY, know
from processor.providers.webhooks.call import AHEAD_MS
from processor.providers.webhooks.reading import REPORTS_MAX
from processor.stages.tracking.reported import publisher
from processor.stages.tracking.spent import Spent
from processor.stages.tracking.webhooks import Webhooks
from tests.providers.webhook_calls import FORM, GENERIC, NOW_MS, SECRET, configured
from tests.support.cluster import fresh

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from processor.core.events import Receipt
    from tests.support.cluster import Cluster

BODY = b'{"events": [{"what": "done", "id": "1", "message": "M1"}, {"what": "seen", "id": "2", "message": "M1"}]}'
WINDOW_MS = 300_000


class Topic:
    """What Kafka has acknowledged; it can be away."""

    def __init__(self) -> None:
        self.receipts: list[Receipt] = []
        self.is_away = False

    async def publish(self, receipts: Sequence[Receipt]) -> None:
        await asyncio.sleep(0)
        if self.is_away:
            raise KafkaException(KafkaError(KafkaError._MSG_TIMED_OUT))
        self.receipts += receipts


class Stage:
    """The webhooks of one provider P, at an instant of the test's choice."""

    def __init__(self, config: Mapping[str, Any] = GENERIC, environ: Mapping[str, str] | None = None) -> None:
        self.topic = Topic()
        self.now_ms = NOW_MS
        config = {key: value for key, value in config.items() if key != "provider"}
        hooks = {"P": configured(config, environ or {"SECRET": SECRET})}
        self.webhooks = Webhooks(hooks, self.topic.publish, lambda: self.now_ms, WINDOW_MS, "https://t.example/")

    async def take(self, body: bytes, headers: Mapping[str, str], *, provider: str = "P", query: str = "") -> int:
        return await self.webhooks.take(provider, headers, body, query)


def signed(body: bytes, secret: str = SECRET) -> dict[str, str]:
    return {"X-Signature": hmac.digest(secret.encode(), body, "sha256").hex()}


def counted(outcome: str, provider: str = "P") -> float:
    value = REGISTRY.get_sample_value("comm_webhook_calls_total", {"provider": provider, "outcome": outcome})
    return value or 0


@pytest.fixture(autouse=True)
def _known() -> None:
    know(provider=["P"])


async def test_a_call_is_accepted_when_all_its_receipts_are_published() -> None:
    stage, before = Stage(), counted("accepted")

    assert await stage.take(BODY, signed(BODY)) == 204

    assert [(receipt.state, receipt.provider_message_id) for receipt in stage.topic.receipts] == [
        ("delivered", "M1"),
        ("opened", "M1"),
    ]
    assert counted("accepted") == before + 1


async def test_a_call_that_comes_again_publishes_the_same_ids() -> None:
    stage = Stage()
    await stage.take(BODY, signed(BODY))
    stage.now_ms += 60_000
    await stage.take(BODY, signed(BODY))

    first, second, *again = [receipt.event_id for receipt in stage.topic.receipts]
    assert again == [first, second]
    assert first != second


async def test_while_kafka_is_away_the_provider_is_asked_to_call_again() -> None:
    stage, before = Stage(), counted("not_safe")
    stage.topic.is_away = True
    assert await stage.take(BODY, signed(BODY)) == 503

    stage.topic.is_away = False
    assert await stage.take(BODY, signed(BODY)) == 204

    assert len(stage.topic.receipts) == 2
    assert counted("not_safe") == before + 1


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"X-Signature": ""},
        {"X-Signature": "é" * 10_000},
        {"X-Signature": "0" * 64},
        signed(BODY + b" "),
        signed(BODY, "another secret"),
        {"x-signature": signed(BODY)["X-Signature"][:-1]},
    ],
    ids=range(7),
)
async def test_a_call_that_is_not_shown_to_be_the_provider_s_gets_a_401_and_is_counted(
    headers: Mapping[str, str],
) -> None:
    stage, before = Stage(), counted("unverified")

    assert await stage.take(BODY, headers) == 401

    assert stage.topic.receipts == []
    assert counted("unverified") == before + 1


async def test_each_byte_of_a_signed_body_counts() -> None:
    stage = Stage()
    for at in range(len(BODY)):
        assert await stage.take(BODY[:at] + bytes([BODY[at] ^ 1]) + BODY[at + 1 :], signed(BODY)) == 401
    assert stage.topic.receipts == []


async def test_a_provider_that_has_no_webhook_is_not_found() -> None:
    for name in ("Other", "", "../P", "P/", "p", "P" * 10_000):
        assert await Stage().take(BODY, signed(BODY), provider=name) == 404


async def test_a_signed_body_without_reports_gets_a_400_and_one_with_too_many_a_413() -> None:
    stage = Stage()
    many = b'{"events": [' + b"{}," * REPORTS_MAX + b"{}]}"
    for body, status in ((b"", 400), (b"[[[", 400), (b'{"events": [1]}', 400), (b'{"events": 7}', 400), (many, 413)):
        assert await stage.take(body, signed(body)) == status
    assert stage.topic.receipts == []


async def test_one_report_that_cannot_be_read_keeps_back_the_whole_call() -> None:
    stage = Stage()
    deep = b'{"events": [{"what": "done"}, {"a": ' + b"[" * 300 + b"]" * 300 + b"}]}"

    assert await stage.take(deep, signed(deep)) == 400

    assert stage.topic.receipts == []


async def test_an_empty_list_is_accepted_and_publishes_nothing() -> None:
    stage, body = Stage(), b'{"events": []}'
    stage.topic.is_away = True

    assert await stage.take(body, signed(body)) == 204


async def test_a_call_of_another_topic_is_refused_though_its_credentials_are_right() -> None:
    stage = Stage({**GENERIC, "only": {"TopicArn": ["arn:aws:sns:eu-west-1:1:ours"]}})
    for topic, status in (("arn:aws:sns:eu-west-1:1:ours", 204), ("arn:aws:sns:eu-west-1:2:theirs", 401), (None, 401)):
        body = orjson.dumps({"TopicArn": topic, "events": [{"what": "done"}]})
        assert await stage.take(body, signed(body)) == status
    assert len(stage.topic.receipts) == 1


async def test_refused_calls_are_logged_once_a_minute_with_their_number_and_nothing_of_them() -> None:
    stage = Stage()
    with structlog.testing.capture_logs() as lines:
        for _ in range(50):
            await stage.take(b'"canary"', {"X-Signature": "canary"})
        stage.now_ms += 60_000
        await stage.take(b'"canary"', {})

    assert [(line["event"], line["provider"], line["why"], line["count"]) for line in lines] == [
        ("webhook.refused", "P", "wrong", 1),
        ("webhook.refused", "P", "absent", 50),
    ]
    assert "canary" not in json.dumps(lines)


async def test_the_query_of_the_url_tells_our_ids_of_a_single_report() -> None:
    config = {**GENERIC, "echo_in_query": True}
    query = "message_id=m%3A1&attempt=2&channel=SMS&campaign_id=spring&external_id=ref+1"
    stage = Stage(config)
    for body in (b'{"events": [{"what": "done"}]}', BODY):
        assert await stage.take(body, signed(body), query=query) == 204

    told, *together = stage.topic.receipts
    assert (told.message_id, told.attempt, told.channel) == ("m:1", 2, "SMS")
    assert (told.campaign_id, told.external_id) == ("spring", "ref 1")
    assert [receipt.message_id for receipt in together] == [None, None]


async def test_twilio_s_signature_covers_the_public_address_and_the_query() -> None:
    stage = Stage(
        {"scheme": "twilio", "secret": {"env": "SECRET"}, "body": "form", "type": "MessageStatus", "states": {}}
    )
    text = "https://t.example/w/P?message_id=m%3A1MessageSidSM1MessageStatussent"
    headers = {
        "Content-Type": FORM,
        "X-Twilio-Signature": base64.b64encode(hmac.digest(SECRET.encode(), text.encode(), "sha1")).decode(),
    }
    body = b"MessageSid=SM1&MessageStatus=sent"

    assert await stage.take(body, headers, query="message_id=m%3A1") == 204
    assert await stage.take(body, headers, query="message_id=m%3A2") == 401


MAILGUN = {
    "scheme": "mailgun",
    "secret": {"env": "SECRET"},
    "reports": '"event-data"',
    "type": "event",
    "states": {"delivered": "delivered"},
}


def mailgun(token: str, event: str = "delivered", *, at_s: int = NOW_MS // 1000) -> bytes:
    signature = hmac.digest(SECRET.encode(), f"{at_s}{token}".encode(), "sha256").hex()
    return orjson.dumps(
        {"signature": {"timestamp": str(at_s), "token": token, "signature": signature}, "event-data": {"event": event}}
    )


async def test_a_signature_that_leaves_the_body_out_counts_for_one_body() -> None:
    stage = Stage(MAILGUN)

    assert await stage.take(mailgun("a"), {}) == 204
    assert await stage.take(mailgun("a"), {}) == 204  # it heard no answer, perhaps
    assert await stage.take(mailgun("a", "opened"), {}) == 401
    assert await stage.take(mailgun("b", "opened"), {}) == 204

    stage.now_ms += WINDOW_MS + 1
    assert await stage.take(mailgun("a"), {}) == 401


def test_spent_tokens_take_no_more_memory_than_they_may_and_are_forgotten_when_they_count_no_more() -> None:
    spent = Spent(tokens_max=100)
    for number in range(10_000):
        assert spent.fits("P", str(number), b"a", now_ms=number, window_ms=1_000_000)
    assert len(spent) <= 100
    assert not spent.fits("P", "9999", b"b", now_ms=10_000, window_ms=1_000_000)
    assert spent.fits("Q", "9999", b"b", now_ms=10_000, window_ms=1_000_000)

    assert spent.fits("P", "late", b"a", now_ms=2_000_000, window_ms=1_000)
    assert len(spent) == 1


async def test_a_key_without_a_secret_takes_nothing() -> None:
    stage = Stage({**GENERIC, "secret": {"env": "NOBODY", "default": ""}})

    assert await stage.take(BODY, signed(BODY, "")) == 401


@given(st.binary(max_size=200), st.text(max_size=40), st.booleans())
def test_whatever_a_stranger_or_a_provider_sends_has_a_status(body: bytes, query: str, is_signed: bool) -> None:
    stage = Stage({**GENERIC, "reports": "@", "echo_in_query": True})

    status = asyncio.run(stage.take(body, signed(body) if is_signed else {}, query=query))

    assert status in ({204, 400, 413} if is_signed else {401})


async def test_receipts_of_a_call_are_on_their_topic_when_it_is_answered(cluster: Cluster) -> None:
    topic = cluster.make(fresh("receipts"), partitions=3)
    reliable = Reliable(cluster.connection)
    events = open_codecs().events
    reports = [{"what": "done", "id": str(number), "message": f"M{number % 7}"} for number in range(1_200)]
    body = orjson.dumps({"events": [*reports, {"what": "new"}]})
    hooks = {"P": configured(GENERIC, {"SECRET": SECRET})}
    webhooks = Webhooks(
        hooks, publisher(reliable, topic, events.encode_receipt), lambda: NOW_MS, WINDOW_MS, "https://t.example"
    )

    assert await webhooks.take("P", signed(body), body, "") == 204
    reliable.close()

    found = cluster.read([topic])
    receipts: list[Any] = [events.decode_event(record.value()) for record in found]
    assert len(receipts) == 1_201
    assert len({receipt.event_id for receipt in receipts}) == 1_201
    places: dict[Any, set[Any]] = {}
    for record in found:
        places.setdefault(record.key(), set()).add(record.partition())
    assert len(places) == 8
    assert all(len(partitions) == 1 for partitions in places.values())
    assert all(key.startswith(b"P/") for key in places)


def test_a_token_of_a_clock_that_is_ahead_is_remembered_until_its_own_time_is_over() -> None:
    spent = Spent()
    assert spent.fits("P", "token", b"a", now_ms=0, window_ms=1_000)

    assert not spent.fits("P", "token", b"b", now_ms=1_000 + AHEAD_MS, window_ms=1_000)
    assert spent.fits("P", "token", b"b", now_ms=1_001 + AHEAD_MS, window_ms=1_000)
