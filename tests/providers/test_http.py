"""Requests as data, answers as outcomes."""

from __future__ import annotations

import asyncio
import json
import re
from time import monotonic
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qsl

import pytest
from hypothesis import given
from hypothesis import strategies as st

from processor.core.message import Attachment, Head, Message
from processor.core.outcome import Accepted, Deferred, Outcome, Rejected, Stage, Throttled, Unknown
from processor.core.words import Reason
from processor.providers.adapter import TOO_LATE, Submission
from processor.providers.catalogue import open_adapter
from processor.providers.http.answer import Mapped, parse
from processor.providers.http.reading import Answer
from processor.providers.http.request import Requests
from processor.providers.http.wire import Request
from tests.providers.twins import NOW_MS, PASSWORD, http_config, listening, opened, submission

if TYPE_CHECKING:
    from processor.providers.http.config import HttpConfig, Template

URL = "https://gateway.example/send"


def sms(**content: Any) -> Submission:
    fields: dict[str, Any] = {"text": "Hi"} | content
    return Submission(Message(Head("m-1", "SMS", external_id="e-1"), to="+40722000111", **fields), 2)


def build(batch: list[Submission], config: HttpConfig) -> Request | Rejected:
    return Requests(config).build(batch, now_ms=NOW_MS)


def answer(status: int, headers: dict[str, str] | None = None, body: bytes = b"") -> Answer:
    return Answer(status, {name.lower(): value for name, value in (headers or {}).items()}, body)


def body_of(template: Template, asked: Submission, **settings: Any) -> Any:
    request = build([asked], http_config(URL, body=template, recipient_kind="any", **settings))
    assert isinstance(request, Request)
    return json.loads(request.body)


# Requests.


def test_a_leaf_that_is_one_placeholder_takes_the_typed_value() -> None:
    template: Template = {"to": ["{{ to }}"], "try": "{{ attempt }}", "all": "{{recipients}}", "fixed": [1, None, True]}

    asked = sms(cc=("a", "b"))

    assert body_of(template, asked) == {
        "to": ["+40722000111"],
        "try": 2,
        "all": ["+40722000111", "a", "b"],
        "fixed": [1, None, True],
    }


def test_a_placeholder_within_text_becomes_text() -> None:
    template = {"text": "try {{ attempt }} of {{ message_id }}: {{ properties.name }}{{ subject }}"}

    assert body_of(template, sms(properties={"name": "Ann"})) == {"text": "try 2 of m-1: Ann"}


def test_what_the_message_does_not_have_is_left_out() -> None:
    template: Template = {"cc": "{{ cc }}", "s": "{{ subject }}", "p": "{{ params.none }}", "list": ["{{ html }}"]}

    assert body_of(template, sms()) == {"list": []}


def test_a_setting_and_a_provider_parameter_reach_the_body() -> None:
    template = {"from": "{{ settings.sender }}", "class": "{{ params.class }}", "ref": "{{ external_id }}"}

    body = body_of(template, sms(provider_params={"class": "0"}), settings={"sender": "Bank"})

    assert body == {"from": "Bank", "class": "0", "ref": "e-1"}


ANY_TEXT = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\x00"))


@given(text=ANY_TEXT, name=ANY_TEXT)
def test_no_value_escapes_its_leaf(text: str, name: str) -> None:
    template: Template = {"text": "{{ text }}", "hello": "Dear {{ properties.name }}!", "last": "{{ message_id }}"}

    body = body_of(template, sms(text=text, properties={"name": name}))

    expected = {"hello": f"Dear {name}!", "last": "m-1"}
    assert body == (expected | {"text": text} if text else expected)


@given(text=ANY_TEXT)
def test_no_value_escapes_its_form_field(text: str) -> None:
    config = http_config(
        URL, body={"text": "{{ text }}", "to": "{{ recipients }}"}, body_kind="form", recipient_kind="any"
    )

    request = build([sms(text=text, cc=("b&c=d",))], config)

    assert isinstance(request, Request)
    pairs = parse_qsl(request.body.decode(), keep_blank_values=True)
    assert [pair for pair in pairs if pair[0] == "to"] == [("to", "+40722000111"), ("to", "b&c=d")]
    assert [value for name, value in pairs if name == "text"] == ([text] if text else [])
    assert {name for name, _ in pairs} <= {"text", "to"}


@pytest.mark.parametrize("value", ["a\r\nX-Admin: yes", "a\nb", "ü", "a\x00", "\u2028"])
def test_a_value_that_would_break_a_header_rejects_the_message(value: str) -> None:
    config = http_config(URL, headers={"X-Tag": "{{ properties.tag }}"}, recipient_kind="any")

    outcome = build([sms(properties={"tag": value})], config)

    assert outcome == Rejected(Reason.INVALID_CONTENT, stage=Stage.CONNECT, field_name="properties")


@pytest.mark.parametrize(
    ("settings", "header", "value"),
    [
        ({"auth": "basic", "username": "app", "password": "p:w"}, "Authorization", "Basic YXBwOnA6dw=="),
        ({"auth": "bearer", "token": "t0k"}, "Authorization", "Bearer t0k"),
        ({"auth": "header", "auth_header": "X-App-Key", "token": "t0k"}, "X-App-Key", "t0k"),
        ({"idempotency_header": "Idempotency-Key"}, "Idempotency-Key", "m-1"),
        ({"headers": {"X-Try": "{{ attempt }}"}}, "X-Try", "2"),
    ],
)
def test_headers_authenticate_and_refer(settings: dict[str, Any], header: str, value: str) -> None:
    request = build([sms()], http_config(URL, recipient_kind="any", **settings))

    assert isinstance(request, Request)
    assert request.headers == {header: value, "Content-Type": "application/json"}


def test_a_key_that_is_not_set_is_not_sent() -> None:
    request = build([sms()], http_config(URL, auth="header", auth_header="X-App-Key", token=""))

    assert isinstance(request, Request)
    assert request.headers == {"Content-Type": "application/json"}


@pytest.mark.parametrize(
    ("content", "field"),
    [({"cc": ("+40722000112",)}, "cc"), ({"attachments": (Attachment("a", "text/plain", b"x"),)}, "attachments")],
)
def test_what_the_request_does_not_carry_is_rejected_and_not_dropped(content: dict[str, Any], field: str) -> None:
    config = http_config(URL, body={"to": "{{ to }}", "text": "{{ text }}"}, recipient_kind="phone")

    assert Requests(config).refusal(sms(**content).message) == Rejected(
        Reason.INVALID_CONTENT, stage=Stage.CONNECT, field_name=field
    )


@pytest.mark.parametrize("number", ["abc", "0722", "+" + "4" * 40, "+٣٤٥٦٧٨٩٠", "+40 722", "", "+40722000111\n"])
def test_what_is_not_a_phone_number_is_rejected(number: str) -> None:
    message = sms().message._replace(to=number)

    found = Requests(http_config(URL, recipient_kind="phone")).refusal(message)

    assert found == Rejected(Reason.INVALID_RECIPIENT, stage=Stage.CONNECT, field_name="to")


@pytest.mark.parametrize(
    ("setting", "settings"),
    [
        ("url", {"url": "gateway.example"}),
        ("url", {"url": "file:///etc/passwd"}),
        ("auth", {"auth": "kerberos"}),
        ("body_kind", {"body_kind": "xml"}),
        ("body", {"body": {"to": "{{ recipient }}"}}),
        ("body", {"body": {"to": "{{ secrets.x }}"}}),
        ("headers", {"headers": {"X": "{{ items }}"}}),
        ("item", {"item": {"to": "{{ to }}"}}),
        ("body", {"body": ["x"], "body_kind": "form"}),
        ("code", {"code": "a[["}),
        ("statuses", {"statuses": {404: "gone"}}),
        ("token", {"auth": "bearer", "token": "a\nb"}),
        ("url", {"url": "https://gateway.example/ü"}),
        ("url", {"url": "https://gateway.example/a b"}),
        ("headers", {"headers": {"X: y\r\nZ": "1"}}),
        ("headers", {"headers": {"Transfer-Encoding": "chunked"}}),
        ("auth_header", {"auth": "header", "auth_header": "X Y", "token": "x"}),
        ("idempotency_header", {"idempotency_header": "content-length"}),
    ],
)
def test_a_setting_that_cannot_work_is_named_at_the_start(setting: str, settings: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=f"^{setting}"):
        open_adapter("http", http_config(**{"url": URL} | settings))


# Answers.


def outcome_of(answer: Answer, **settings: Any) -> Outcome:
    config: HttpConfig = http_config(URL, **settings)
    (outcome,) = parse(answer, [submission("ann@example.org")], Mapped.of(config), now_ms=NOW_MS)
    return outcome


@pytest.mark.parametrize(
    ("status", "expected"),
    [
        (200, Accepted(code="200")),
        (202, Accepted(code="202")),
        (206, Unknown(Reason.ANSWER_UNLISTED, "206")),
        (302, Unknown(Reason.ANSWER_UNLISTED, "302")),
        (307, Deferred(Reason.PROVIDER_UNAVAILABLE, "307")),
        (400, Rejected(Reason.PROVIDER_REJECTED, "400")),
        (401, Deferred(Reason.AUTHENTICATION_FAILED, "401")),
        (403, Deferred(Reason.AUTHENTICATION_FAILED, "403")),
        (404, Deferred(Reason.PROVIDER_UNAVAILABLE, "404")),
        (408, Deferred(Reason.PROVIDER_DEFERRED, "408")),
        (422, Rejected(Reason.PROVIDER_REJECTED, "422")),
        (429, Throttled(code="429")),
        (499, Rejected(Reason.PROVIDER_REJECTED, "499")),
        (500, Unknown(Reason.ANSWER_MISSING, "500")),
        (502, Unknown(Reason.ANSWER_MISSING, "502")),
        (503, Deferred(Reason.PROVIDER_UNAVAILABLE, "503")),
        (504, Unknown(Reason.ANSWER_MISSING, "504")),
        (599, Unknown(Reason.ANSWER_MISSING, "599")),
        (999, Unknown(Reason.ANSWER_UNLISTED, "999")),
    ],
)
def test_a_status_means_what_the_table_says(status: int, expected: Outcome) -> None:
    assert outcome_of(answer(status)) == expected


@pytest.mark.parametrize(
    ("value", "wait_ms"),
    [
        ("7", 7_000),
        ("0", 0),
        ("Sun, 15 Jun 2025 15:06:50 GMT", 10_000),
        ("Sun, 15 Jun 2025 15:00:00 GMT", 0),
        ("9" * 400, 86_400_000),
        ("soon", None),
        ("-5", None),
        ("٣", None),
        ("", None),
    ],
)
def test_a_wait_is_read_in_both_forms(value: str, wait_ms: int | None) -> None:
    assert outcome_of(answer(429, {"retry-after": value})) == Throttled(code="429", retry_after_ms=wait_ms)


def test_unavailable_until_an_instant_is_throttled() -> None:
    assert outcome_of(answer(503, {"Retry-After": "3"})) == Throttled(code="503", retry_after_ms=3_000)


def test_paths_find_id_and_code_and_tables_are_overridden() -> None:
    settings: dict[str, Any] = {
        "provider_message_id": "data.id",
        "code": "error.code",
        "statuses": {404: "rejected"},
        "codes": {"21610": "rejected", "0": "accepted"},
    }

    assert outcome_of(answer(200, body=b'{"data":{"id":77},"error":{"code":0}}'), **settings) == Accepted("77", "0")
    assert outcome_of(answer(200, body=b'{"error":{"code":21610}}'), **settings) == Rejected(
        Reason.PROVIDER_REJECTED, "21610"
    )
    assert outcome_of(answer(404, body=b""), **settings) == Rejected(Reason.PROVIDER_REJECTED, "404")
    assert outcome_of(answer(200, body=b"not json"), **settings) == Unknown(Reason.ANSWER_UNLISTED, "200")


@pytest.mark.parametrize(
    "body",
    [
        b'{"id": "ann@example.org"}',
        b'{"id": "x\\u001b[31m"}',
        b'{"id": "' + b"x" * 200 + b'"}',
        b'{"id": {}}',
        b"[" * 9_999,
    ],
)
def test_an_id_that_could_carry_text_is_dropped(body: bytes) -> None:
    assert outcome_of(answer(200, body=body)) == Accepted(None, "200")


def test_a_code_that_could_carry_text_is_dropped() -> None:
    answered = answer(400, body=json.dumps({"code": "ann@example.org is unknown"}).encode())

    assert outcome_of(answered, code="code") == Rejected(Reason.PROVIDER_REJECTED, "400")


BULK: dict[str, Any] = {
    "body": {"messages": "{{ items }}"},
    "item": {"ref": "{{ message_id }}", "to": "{{ to }}"},
    "results": "results",
    "code": "status",
    "codes": {"ok": "accepted", "bad": "rejected"},
}


def outcomes_of(results: Any, **settings: Any) -> list[Outcome]:
    batch = [submission("ann@example.org", message_id=f"m-{number}") for number in range(3)]
    answered = answer(200, body=json.dumps({"results": results}).encode())
    return parse(answered, batch, Mapped.of(http_config(URL, **BULK | settings)), now_ms=NOW_MS)


MENTIONED_NOT = Unknown(Reason.ANSWER_MISSING)


def test_an_item_that_a_bulk_answer_does_not_mention_is_unknown() -> None:
    results = [{"ref": "m-2", "status": "bad"}, {"ref": "m-0", "status": "ok"}, {"ref": "m-9", "status": "ok"}, 7]

    assert outcomes_of(results, result_reference="ref") == [
        Accepted(None, "ok"),
        MENTIONED_NOT,
        Rejected(Reason.PROVIDER_REJECTED, "bad"),
    ]


def test_results_of_messages_that_share_an_id_are_theirs_in_turn() -> None:
    batch = [submission("ann@example.org", message_id=message_id) for message_id in ("m-1", "m-2", "m-1")]
    results = [{"ref": "m-1", "status": "ok"}, {"ref": "m-1", "status": "bad"}, {"ref": "m-2", "status": "ok"}]
    answered = answer(200, body=json.dumps({"results": [*results, results[1]]}).encode())
    mapped = Mapped.of(http_config(URL, **BULK, result_reference="ref"))

    accepted, refused = Accepted(None, "ok"), Rejected(Reason.PROVIDER_REJECTED, "bad")
    assert parse(answered, batch, mapped, now_ms=NOW_MS) == [accepted, accepted, refused]


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("contains(msg, id)", b'{"msg": "ok", "id": 5}'),
        ("list[?k > `1`].k | [0]", b'{"list": [{"k": "a"}]}'),
        ("list[::0]", b'{"list": [1]}'),
        ("sum(list)", b'{"list": ["a"]}'),
    ],
)
def test_a_path_that_does_not_fit_an_answer_finds_nothing_in_it(path: str, body: bytes) -> None:
    mapped = Mapped.of(http_config(URL, provider_message_id=path))

    assert parse(answer(202, body=body), [sms()], mapped, now_ms=NOW_MS) == [Accepted(code="202")]


def test_bulk_results_without_a_reference_count_only_if_there_is_one_for_each() -> None:
    ok = {"status": "ok"}

    assert outcomes_of([ok, ok, ok]) == [Accepted(None, "ok")] * 3
    for unclear in ([ok, ok], [], None, "x", {"status": "ok"}):
        assert outcomes_of(unclear) == [MENTIONED_NOT] * 3


# The wire.


def answering(raw: bytes, *, drip_s: float | None = None) -> Any:
    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(raw)
        while drip_s is not None:
            writer.write(b" ")
            await writer.drain()
            await asyncio.sleep(drip_s)
        await writer.drain()
        writer.close()
        await writer.wait_closed()

    return serve


async def outcome_from(serve: Any, **settings: Any) -> Outcome:
    async with listening(serve) as port, opened(http_config(f"http://127.0.0.1:{port}/", **settings)) as adapter:
        (outcome,) = await adapter.send([submission("ann@example.org")])
        return outcome


async def test_a_redirect_is_not_followed() -> None:
    async with listening(answering(b"")) as other:
        redirect = f"HTTP/1.1 307 x\r\nLocation: http://127.0.0.1:{other}/\r\nContent-Length: 0\r\n\r\n"

        outcome = await outcome_from(answering(redirect.encode()))

    assert outcome == Deferred(Reason.PROVIDER_UNAVAILABLE, "307")


async def test_an_answer_that_is_too_long_counts_by_its_status() -> None:
    head = b"HTTP/1.1 202 ok\r\nContent-Type: application/json\r\nContent-Length: 10000000\r\n\r\n"

    assert await outcome_from(answering(head + b" " * 10_000_000)) == Accepted(None, "202")


@pytest.mark.parametrize(
    "raw", [b"", b"\x00\x01", b"HTTP/1.1 banana\r\n\r\n", b"HTTP/1.1 200 ok\r\nX: " + b"x" * 100_000]
)
async def test_what_is_no_answer_is_unknown(raw: bytes) -> None:
    assert await outcome_from(answering(raw)) == Unknown(Reason.ANSWER_MISSING)


@pytest.mark.parametrize("stopped", [False, True])
@pytest.mark.parametrize("bulk", [False, True])
async def test_what_is_over_before_it_can_be_handed_over_is_left_out_and_the_rest_goes(
    *, bulk: bool, stopped: bool
) -> None:
    bodies: list[bytes] = []

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while head := await reader.readuntil(b"\r\n\r\n"):
            size = int(re.search(rb"Content-Length: (\d+)", head)[1])  # type: ignore[index] # we always send one
            bodies.append(await reader.readexactly(size))
            writer.write(b"HTTP/1.1 202 ok\r\nContent-Length: 0\r\n\r\n")

    form: dict[str, Any] = {"body": {"all": "{{ items }}"}, "item": {"id": "{{ message_id }}"}} if bulk else {}
    batch = [submission("ann@example.org", message_id=f"m-{number}") for number in range(3)]
    batch[1] = batch[1]._replace(is_stopped=lambda: True) if stopped else batch[1]._replace(until_s=monotonic())
    async with listening(serve) as port, opened(http_config(f"http://127.0.0.1:{port}/", **form)) as adapter:
        outcomes = await adapter.send(batch)

    assert outcomes == [Accepted(None, "202"), TOO_LATE, Accepted(None, "202")]
    assert len(bodies) == (1 if bulk else 2)
    assert not any(b"m-1" in body for body in bodies)


async def test_a_dripping_answer_is_left_in_time() -> None:
    head = b"HTTP/1.1 202 ok\r\nContent-Length: 60000\r\n\r\n"

    async with asyncio.timeout(5):
        outcome = await outcome_from(answering(head, drip_s=0.02), connect_timeout_ms=3_000, answer_timeout_ms=300)

    assert outcome == Accepted(None, "202")


async def test_a_large_message_goes_through() -> None:
    content = b"HTTP/1.1 202 ok\r\nContent-Length: 0\r\n\r\n"

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = await reader.readuntil(b"\r\n\r\n")
        length = next(int(line[16:]) for line in head.split(b"\r\n") if line.lower().startswith(b"content-length: "))
        await reader.readexactly(length)
        writer.write(content)
        await writer.drain()

    async with listening(serve) as port, opened(http_config(f"http://127.0.0.1:{port}/")) as adapter:
        (outcome,) = await adapter.send([submission("ann@example.org", text="x" * 3_000_000)])

    assert outcome == Accepted(None, "202")


def test_nothing_secret_is_in_the_repr_of_a_request() -> None:
    config = http_config(URL, auth="basic", username="app", password=PASSWORD, headers={"X": PASSWORD})
    request = build([submission("ann@example.org")], config)

    assert PASSWORD not in repr([config, request])
    assert "ann@example.org" not in repr(request)
