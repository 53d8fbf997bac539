"""Forms of requests and answers that hosted services ask for: blocks, files, signatures, codes, headers."""

from __future__ import annotations

import asyncio
import email
import json
import ssl
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from processor.core.message import Attachment, Head, Message
from processor.core.outcome import Accepted, Deferred, Outcome, Rejected, Stage, Throttled, Unknown
from processor.core.words import Reason
from processor.providers.adapter import Submission
from processor.providers.catalogue import open_adapter
from processor.providers.http.answer import Mapped, parse
from processor.providers.http.aws4 import Signer
from processor.providers.http.reading import Answer
from processor.providers.http.request import Requests
from processor.providers.http.wire import Request
from tests.providers.hosted import Reply, hosted
from tests.providers.twins import NOW_MS, http_config, opened, submission
from tests.support.certificate import local_certificate

if TYPE_CHECKING:
    from email.message import Message as Mail
    from pathlib import Path

    from processor.providers.http.config import Template

URL = "https://gateway.example/send"


def mail(**content: Any) -> Submission:
    fields: dict[str, Any] = {"subject": "Hello", "text": "Hi"} | content
    return Submission(Message(Head("m:1", "Email"), to="ann@example.org", **fields), 1)


def request_of(asked: Submission, **settings: Any) -> Request:
    request = Requests(http_config(**{"url": URL} | settings)).build([asked], now_ms=NOW_MS)
    assert isinstance(request, Request)
    return request


def body_of(template: Template, asked: Submission, **settings: Any) -> Any:
    return json.loads(request_of(asked, body=template, **settings).body)


# Blocks.

ECHO = "message_id=m%3A1&attempt=1&channel=Email"
TWO = mail(cc=("bob@example.org", "eve@example.org"))
FILED = mail(attachments=(Attachment("../a/b.pdf", "application/pdf", b"%PDF"), Attachment("c", "text/plain", b"")))


@pytest.mark.parametrize(
    ("template", "asked", "body"),
    [
        ({"cc": {"{{ each cc }}": {"email": "{{ it }}"}}}, TWO, {"cc": [{"email": c} for c in TWO.message.cc]}),
        (
            {"cc": {"{{each cc}}": "<{{ it }}> of {{ message_id }}"}},
            TWO,
            {"cc": [f"<{c}> of m:1" for c in TWO.message.cc]},
        ),
        ({"cc": {"{{ each cc }}": {"email": "{{ it }}"}}}, mail(), {}),
        ({"cc": {"{{ join cc }}": ", "}}, TWO, {"cc": "bob@example.org, eve@example.org"}),
        ({"cc": {"{{ join cc }}": ", "}}, mail(), {}),
        ([{"{{ with text }}": {"t": "{{ text }}"}}, {"{{ with html }}": {"h": "{{ html }}"}}], mail(), [{"t": "Hi"}]),
        ({"a": {"{{ with settings.on }}": 1}, "b": {"{{ with settings.off }}": 1}}, mail(), {"a": 1}),
        ({"at": {"{{ url settings.on }}": {"id": "{{ message_id }}"}}}, mail(), {"at": "https://x/y?z=1&id=m%3A1"}),
        ({"at": {"{{ url settings.on }}": "{{ echo }}"}}, mail(), {"at": f"https://x/y?z=1&{ECHO}"}),
        ({"n": {"{{ fit attempt }}": 1}, "no": {"{{ fit message_id }}": 2}}, mail(), {"n": "1"}),
        ({"ș": {"{{ fit text }}": 1}, "none": {"{{ fit html }}": 9}}, mail(text="ș"), {}),
        ({"at": {"{{ url settings.off }}": {"id": "{{ message_id }}"}}}, mail(), {}),
        (
            {
                "files": {
                    "{{ each attachments }}": {"n": "{{ it.name }}", "t": "{{ it.type }}", "c": "{{ it.content }}"}
                }
            },
            FILED,
            {
                "files": [
                    {"n": "b.pdf", "t": "application/pdf", "c": "JVBERg=="},
                    {"n": "c", "t": "text/plain", "c": ""},
                ]
            },
        ),
        (
            {"files": "{{ attachments }}"},
            FILED,
            {
                "files": [
                    {"name": "b.pdf", "type": "application/pdf", "content": "JVBERg=="},
                    {"name": "c", "type": "text/plain", "content": ""},
                ]
            },
        ),
        (
            {"off": "{{ settings.off }}", "in": "<{{ settings.off }}>", "list": ["{{ settings.off }}"]},
            mail(),
            {"in": "<>", "list": []},
        ),
    ],
)
def test_a_block_gives_what_the_message_has(template: Template, asked: Submission, body: Any) -> None:
    assert body_of(template, asked, settings={"on": "https://x/y?z=1", "off": ""}) == body


@pytest.mark.parametrize(
    ("campaign_id", "external_id", "more"),
    [
        ("spring", "ref 1", "&campaign_id=spring&external_id=ref+1"),
        ("spring", "x" * 1_024, "&campaign_id=spring"),
        ("ș" * 100, "ref", "&external_id=ref"),
        ("a&attempt=9", None, "&campaign_id=a%26attempt%3D9"),
        ("\ud800", None, "&campaign_id=%3F"),
    ],
)
def test_what_a_provider_gives_back_holds_as_much_as_fits(campaign_id: str, external_id: str | None, more: str) -> None:
    asked = mail()
    head = asked.message.head._replace(campaign_id=campaign_id, external_id=external_id)

    found = body_of({"e": "{{ echo }}"}, Submission(asked.message._replace(head=head), 1))["e"]

    assert found == ECHO + more
    assert len(found) <= 512


def test_what_is_the_same_for_every_message_is_not_shared_with_what_one_may_change() -> None:
    requests = Requests(http_config(URL, body={"fixed": [1, {"x": "y"}], "to": "{{ to }}"}))
    first, second = (requests.build([mail()], now_ms=NOW_MS) for _ in range(2))

    assert first == second


@pytest.mark.parametrize(
    ("field", "carried"), [("cc", {"{{ each cc }}": "{{ it }}"}), ("cc", {"{{ join recipients }}": ","})]
)
def test_a_block_carries_its_field_and_a_condition_does_not(field: str, carried: Template) -> None:
    for template, refused in (({"x": carried}, False), ({"x": {"{{ with cc }}": 1}}, True)):
        found = Requests(http_config(URL, body=template)).refusal(TWO.message)
        assert (found == Rejected(Reason.INVALID_CONTENT, stage=Stage.CONNECT, field_name=field)) == refused


# URLs and queries.


def test_a_url_takes_constants_only_and_none_of_them_adds_a_path() -> None:
    url = "https://{{ settings.region }}.gateway.example/{{ username }}/send"
    request = request_of(mail(), url=url, settings={"region": "eu"}, username="a/../b?c")

    assert str(request.url) == "https://eu.gateway.example/a%2F..%2Fb%3Fc/send"
    for settings in ({"region": "evil.example/"}, {"region": "user@evil.example"}, {"region": ""}, {}):
        with pytest.raises(ValueError, match=r"^url"):
            open_adapter("http", http_config(url, settings=settings, username="x"))


def test_a_query_carries_keys_and_what_a_message_says_stays_in_its_value() -> None:
    query = {"key": "{{ token }}", "tag": "{{ properties.tag }}", "none": "{{ properties.none }}"}
    request = request_of(mail(properties={"tag": "a&b=c#d"}), url=f"{URL}?v=1", query=query, token="s3cret")

    assert str(request.url) == f"{URL}?v=1&key=s3cret&tag=a%26b%3Dc%23d"
    assert "s3cret" not in repr(request)


# Multipart.

NAMES = st.text(st.characters(exclude_categories=["Cs", "Cc"]), max_size=20)


def parts_of(request: Request) -> list[Mail]:
    """The parts as Python's own e-mail parser sees them."""
    head = f"Content-Type: {request.headers['Content-Type']}\r\n\r\n".encode()
    parsed = email.message_from_bytes(head + request.body)
    assert not parsed.defects
    return list(parsed.get_payload())


@given(text=st.text(st.characters(exclude_categories=["Cs"])), file_name=NAMES, content=st.binary())
def test_no_value_escapes_its_part(text: str, file_name: str, content: bytes) -> None:
    asked = mail(text=f"--x\r\n{text}", attachments=(Attachment(file_name, "application/pdf", content),))
    body: Template = {"t": "{{ text }}", "to": "{{ recipients }}", "f": "{{ attachments }}"}

    request = request_of(asked, body=body, body_kind="multipart")

    boundary = request.headers["Content-Type"].partition("boundary=")[2].encode()
    raw = request.body.split(b"--" + boundary)
    assert (raw[0], raw[-1]) == (b"", b"--\r\n")
    heads, contents = zip(*(part[2:-2].split(b"\r\n\r\n", 1) for part in raw[1:-1]), strict=True)
    assert list(contents) == [f"--x\r\n{text}".encode(), b"ann@example.org", content]
    assert heads[0] == b'Content-Disposition: form-data; name="t"'
    assert heads[2].count(b"\r\n") == 1
    assert heads[2].count(b'"') == 4
    assert heads[2].endswith(b"\r\nContent-Type: application/pdf")


def test_another_parser_sees_the_same_parts_and_only_the_base_name_of_a_file() -> None:
    asked = mail(attachments=(Attachment('../../x\\y"z.pdf', "application/pdf", b"\x00\r\n--"),))
    body: Template = {"text": "{{ text }}", "file": "{{ attachments }}"}

    text, file = parts_of(request_of(asked, body=body, body_kind="multipart"))

    assert (text.get_param("name", header="content-disposition"), text.get_payload()) == ("text", "Hi")
    assert (file.get_filename(), file.get_content_type()) == ("y%22z.pdf", "application/pdf")
    assert file.get_payload(decode=True) == b"\x00\r\n--"


def test_half_a_character_in_a_property_rejects_the_message_in_every_form() -> None:
    for kind in ("json", "form", "multipart"):
        requests = Requests(http_config(URL, body={"x": "{{ properties.x }}"}, body_kind=kind))

        found = requests.build([mail(properties={"x": "\ud800"})], now_ms=NOW_MS)

        assert found == Rejected(Reason.INVALID_CONTENT, stage=Stage.CONNECT, field_name="properties")


@pytest.mark.parametrize("address", ["https://[bank.example/x", "https://a\u2100b/x"])
def test_a_property_that_is_no_address_where_one_is_needed_rejects_the_message(address: str) -> None:
    body: Template = {"callback": {"{{ url properties.x }}": "{{ echo }}"}}

    found = Requests(http_config(URL, body=body)).build([mail(properties={"x": address})], now_ms=NOW_MS)

    assert found == Rejected(Reason.INVALID_CONTENT, stage=Stage.CONNECT, field_name="properties")


@pytest.mark.parametrize(
    ("written", "item"),
    [
        ("\ud800", {"x": "{{ properties.x }}"}),
        ("https://[bank.example/x", {"callback": {"{{ url properties.x }}": "{{ echo }}"}}),
    ],
)
async def test_a_message_of_a_batch_that_cannot_be_written_is_refused_alone(written: str, item: Template) -> None:
    batch = [mail(), mail(properties={"x": written}), mail()]
    bulk: dict[str, Any] = {"body": ["{{ items }}"], "item": item}
    async with hosted(Reply(202)) as service, opened(http_config(service.url, **bulk)) as adapter:
        outcomes = await adapter.send(batch)

        assert len(service.asked) == 2
    refused = Rejected(Reason.INVALID_CONTENT, stage=Stage.CONNECT, field_name="properties")
    assert outcomes == [Accepted(code="202"), refused, Accepted(code="202")]


@pytest.mark.parametrize(
    ("setting", "value"),
    [
        ("body", {"all": "{{ items }}", "subject": "{{ subject }}"}),
        ("headers", {"X-Try": "{{ attempt }}"}),
        ("query", {"to": "{{ to }}"}),
    ],
)
def test_what_is_said_once_for_several_messages_takes_no_value_of_one(setting: str, value: Any) -> None:
    bulk: dict[str, Any] = {"body": "{{ items }}", "item": {"to": "{{ to }}"}}
    with pytest.raises(ValueError, match=f"^{setting}: a call for several messages"):
        Requests(http_config(URL, **bulk | {setting: value}))


# Signatures.

EXAMPLE = "https://example.amazonaws.com/"
FORM = {"Content-Type": "application/x-www-form-urlencoded"}


@pytest.mark.parametrize(
    ("method", "headers", "body", "signature"),
    [  # AWS's published Signature Version 4 test suite: get-vanilla, post-vanilla, post-x-www-form-urlencoded
        ("GET", {}, b"", "5fa00fa31553b73ebf1942676e86291e8372ff2a2260956d9b8aae1d763fbf31"),
        ("POST", {}, b"", "5da7c1a2acd57cee7505fc6676e4e544621c30862966e37dddb68e92efbe5d6b"),
        ("POST", FORM, b"Param1=value1", "ff11897932ad3f4e8b18135d722051e5ac45fc38421b1da7b9d196a0fe09473a"),
    ],
)
def test_a_signature_is_the_vendor_s_known_answer(
    method: str, headers: dict[str, str], body: bytes, signature: str
) -> None:
    signer = Signer("AKIDEXAMPLE", "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY", "us-east-1", "service")

    signed = signer.signed(headers, method=method, url=EXAMPLE, body=body, now_ms=1_440_938_160_000)

    names = ";".join([*map(str.lower, headers), "host", "x-amz-date"])
    assert signed["X-Amz-Date"] == "20150830T123600Z"
    assert signed["Authorization"] == (
        "AWS4-HMAC-SHA256 Credential=AKIDEXAMPLE/20150830/us-east-1/service/aws4_request, "
        f"SignedHeaders={names}, Signature={signature}"
    )


@pytest.mark.parametrize(  # as the vendor's own signer (botocore 1.44.8) answers
    ("token", "signature"),
    [
        (None, "bd2309ef69f55eb6436500bdcf128bf1ee8e94cfadceced8f55b05185b992042"),
        ("tok+en/=", "86d8bb80bb18f983f0d57ea18b8a03c8ce8048ffc924e0614943269d740ee579"),
    ],
)
def test_path_query_spaces_and_session_token_are_signed_as_the_vendor_s_signer_does(
    token: str | None, signature: str
) -> None:
    signer = Signer("AKIDEXAMPLE", "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY", "us-east-1", "service", token)
    headers = {"Content-Type": "application/json", "X-Y": " a   b "}
    url = f"{EXAMPLE}v2/email/a%20b?b=2&a=1%2F&c="

    signed = signer.signed(headers, method="POST", url=url, body=b'{"x":1}', now_ms=1_440_938_160_000)

    assert signed["Authorization"].endswith(signature)
    assert "wJalr" not in repr(signer)
    assert token is None or token not in repr(signer)


def test_a_signature_needs_region_and_service() -> None:
    with pytest.raises(ValueError, match=r"^settings"):
        open_adapter("http", http_config(URL, auth="aws4", username="x", password="y"))


# Answers.


def outcome_of(status: int, headers: dict[str, str], body: Any, **settings: Any) -> Outcome:
    answer = Answer(status, {name.lower(): value for name, value in headers.items()}, json.dumps(body).encode())
    (outcome,) = parse(answer, [mail(cc=("bob@example.org",))], Mapped.of(http_config(URL, **settings)), now_ms=NOW_MS)
    return outcome


def test_where_a_code_says_accepted_a_status_alone_does_not() -> None:
    table = {"0": "accepted", "1": "throttled"}

    assert outcome_of(200, {}, {"c": 0}, code="c", codes=table) == Accepted(code="0")
    assert outcome_of(200, {}, {"c": 9}, code="c", codes=table) == Unknown(Reason.ANSWER_UNLISTED, "9")
    assert outcome_of(200, {}, {}, code="c", codes=table) == Unknown(Reason.ANSWER_UNLISTED, "200")
    assert outcome_of(400, {}, {"c": 9}, code="c", codes=table) == Rejected(Reason.PROVIDER_REJECTED, "9")
    assert outcome_of(200, {}, {"c": 9}, code="c", codes={"1": "throttled"}) == Accepted(code="9")


def test_a_vendor_s_header_tells_the_wait_where_it_asks_to_slow_down_and_retry_after_wins() -> None:
    settings: dict[str, Any] = {"retry_after_headers": {"X-Reset": "unix_s", "X-Wait": "seconds"}}
    reset = {"X-Reset": str(NOW_MS // 1000 + 9)}

    assert outcome_of(429, reset, {}, **settings) == Throttled(code="429", retry_after_ms=9_000)
    assert outcome_of(429, {"x-wait": "3"}, {}, **settings) == Throttled(code="429", retry_after_ms=3_000)
    assert outcome_of(429, reset | {"Retry-After": "2"}, {}, **settings) == Throttled(code="429", retry_after_ms=2_000)
    assert outcome_of(503, reset, {}, **settings) == Deferred(Reason.PROVIDER_UNAVAILABLE, "503")
    for odd in ("soon", "-1", "9" * 13, "٣", ""):
        assert outcome_of(429, {"X-Wait": odd}, {}, **settings) == Throttled(code="429")
    with pytest.raises(ValueError, match=r"^retry_after_headers"):
        open_adapter("http", http_config(URL, retry_after_headers={"X": "weeks"}))


@pytest.mark.parametrize("value", ["ann@example.org", "xANN@EXAMPLE.ORGx", "<bob@example.org>"])
def test_an_id_or_code_that_holds_a_recipient_reaches_no_event(value: str) -> None:
    paths: dict[str, Any] = {"provider_message_id": "id", "provider_message_id_header": "X-Id", "code": "c"}

    assert outcome_of(202, {}, {"id": value}, **paths) == Accepted(None, "202")
    assert outcome_of(202, {"X-Id": value}, {}, **paths) == Accepted(None, "202")
    assert outcome_of(202, {"X-Code": value}, {}, code_header="X-Code") == Accepted(None, "202")


def test_a_code_that_is_the_number_sent_to_reaches_no_event() -> None:
    asked = Submission(Message(Head("m", "SMS"), to="+40722000111", text="x"), 1)
    answer = Answer(400, {}, b'{"c": 40722000111}')

    assert parse(answer, [asked], Mapped.of(http_config(URL, code="c")), now_ms=NOW_MS) == [
        Rejected(Reason.PROVIDER_REJECTED, "400")
    ]


@pytest.mark.parametrize(
    ("value", "part_ids"),
    [
        (["a", 7], ("a", "7")),
        (["a"], ()),  # one part is the whole
        (["a", None], ()),
        (["a", "a"], ()),
        (["a", "to 0722000111"], ()),
        ("ab", ()),
        (None, ()),
        ([str(n) for n in range(256)], ()),
    ],
)
def test_ids_of_parts_are_those_of_all_parts_or_none(value: Any, part_ids: tuple[str, ...]) -> None:
    assert outcome_of(200, {}, {"n": value}, part_ids="n") == Accepted(None, "200", part_ids=part_ids)


@pytest.mark.parametrize(("value", "segments"), [(2, 2), ("3", 3), (0, None), ("x", None), (True, None), (10**9, None)])
def test_segments_are_a_small_number_or_nothing(value: Any, segments: int | None) -> None:
    assert outcome_of(200, {}, {"n": value}, segments="n") == Accepted(None, "200", segments)


# The wire.


async def test_a_certificate_that_is_not_trusted_is_certainly_not_sent(tmp_path: Path) -> None:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(local_certificate(tmp_path))
    heard = bytearray()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        heard.extend(await reader.read())

    server = await asyncio.start_server(serve, "127.0.0.1", 0, ssl=context)
    async with server:
        port = server.sockets[0].getsockname()[1]
        async with opened(http_config(f"https://127.0.0.1:{port}/")) as adapter:
            (outcome,) = await adapter.send([submission("ann@example.org")])

    assert outcome == Deferred(Reason.PROVIDER_UNAVAILABLE, stage=Stage.CONNECT)
    assert not heard
