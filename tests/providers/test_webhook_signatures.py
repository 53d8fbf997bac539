"""Who calls: what openssl and the vendors' own examples signed is taken, and what anybody changed of it is not."""

from __future__ import annotations

import hmac
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from processor.providers.webhooks.call import Call, Signed, Why
from processor.providers.webhooks.config import Verification
from processor.providers.webhooks.signatures import SCHEMES, verifier
from tests.providers.webhook_calls import FORM, NOW_MS, SECRET, call

if TYPE_CHECKING:
    from collections.abc import Callable

WINDOW_MS = 300_000
EC_KEY = (
    "MFkwEwYHKoZIzj0CAQYIKoZIzj0DAQcDQgAEJzX7ycCKSnMq1nmCVYYOIM1h6TIudRlEMs09x0oYizYW1sPAdH3ecF37IQ571LqhFw/6Xd4ymzms"
    "E/eanAnlkQ=="
)
SENDGRID = Verification(
    "ecdsa",
    (EC_KEY,),
    header="x-twilio-email-event-webhook-signature",
    timestamp_header="x-twilio-email-event-webhook-timestamp",
    signed="{{ timestamp }}{{ body }}",
)
GENERIC = Verification("hmac", (SECRET,), header="x-signature", prefix="sha256=")
TIMED = Verification(
    "hmac",
    (SECRET,),
    header="x-signature",
    algorithm="sha512",
    encoding="base64",
    signed="{{ timestamp }}.{{ body }}",
    timestamp_header="x-time",
)

# What openssl made of the same octets: `openssl dgst -sha256 -hmac KEY`, `openssl dgst -sha256 -sign`.
CALLS: dict[str, tuple[Verification, Call]] = {
    "sendgrid": (
        SENDGRID,
        call(
            b'[{"event":"open","sg_event_id":"e1"}]',
            x_twilio_email_event_webhook_signature=(
                "MEQCIG5Mf9GPhKIKDuXkvhW0rVLJdTlVKE8fLOQyeYQCP1e3AiAJobnRgFYHXhkGsrvYPryrsnxpe29JzUduqsgXl+xadQ=="
            ),
            x_twilio_email_event_webhook_timestamp="1750000000",
        ),
    ),
    "mailgun": (
        Verification("mailgun", ("mg-signing-key",)),
        call(
            b'{"signature":{"timestamp":"1750000000","token":"token50","signature":'
            b'"57b146b6fbebd4cee195000e6ac3b3c5d699af149fb4d9d900230fdfbe2c018d"},"event-data":{}}'
        ),
    ),
    "twilio": (
        Verification("twilio", ("authtoken",)),
        call(
            b"MessageSid=SM1&MessageStatus=delivered&To=%2B40722000111&ErrorCode=",
            "message_id=m%3A1&attempt=1&channel=SMS",
            x_twilio_signature="lRoVgZ4u8UTAUf8j/9A5DJYGfZg=",
            content_type=FORM,
        ),
    ),
    "twilio json": (
        Verification("twilio", ("authtoken",)),
        call(
            b'{"a":1}',
            "bodySHA256=015abd7f5cc57a2dd94b7590f04ad8084273905ee33ec5cebeae62276a97f862",
            x_twilio_signature="D+04lX8YVCU50z36cNOnd1bXM2o=",
            content_type="application/json",
        ),
    ),
    "vonage": (
        Verification("vonage", ("sigsecret",)),
        call(
            b'{"err-code":"0","messageId":"0C0","msisdn":"40722000111","note":"a=b&c","status":"delivered",'
            b'"timestamp":"1750000000","sig":"0C830BEA5BEFFD3F682E7004A0A0618796DB48519B80484888BD0F9795338576"}'
        ),
    ),
    "generic": (
        GENERIC,
        call(b'{"a":1}', x_signature="sha256=6a757ba9795da2eda711782920b7a948d8807ff336f77c1f2c6b2e9026590a21"),
    ),
    "generic with a time": (
        TIMED,
        call(
            b'{"a":1}',
            x_signature="zp5ryXKVxBbYJUaeq5op+jU7xtG+kEgKKPCBV8CakanpRczTxt+EVPX4mpDItRfwyoBz+GHkqiKxMM2rKEo+iw==",
            x_time="1750000000",
        ),
    ),
    "basic": (
        Verification("basic", ("pass:word",), username="hook"),
        call(b"{}", authorization="Basic aG9vazpwYXNzOndvcmQ="),
    ),
    "bearer": (Verification("bearer", (SECRET,)), call(b"{}", authorization=f"bearer {SECRET}")),
    "header": (Verification("header", (SECRET,), header="x-token"), call(b"{}", x_token=SECRET)),
    "query": (Verification("query", (SECRET,), parameter="token"), call(b"{}", f"a=1&token={SECRET}")),
}
SIGN_BODY = ("sendgrid", "twilio json", "generic", "generic with a time")


def verdict(name: str, change: Callable[[Call], Call] = lambda it: it, *, now_ms: int = NOW_MS) -> Signed | Why:
    verification, made = CALLS[name]
    return verifier(verification)(change(made), now_ms, WINDOW_MS)


def test_every_scheme_is_tested_here() -> None:
    assert {verification.scheme for verification, _ in CALLS.values()} == set(SCHEMES)


@pytest.mark.parametrize("name", CALLS)
def test_what_was_signed_elsewhere_is_taken(name: str) -> None:
    assert isinstance(verdict(name), Signed)


def test_the_example_that_sendgrid_publishes_is_taken() -> None:
    key = (
        "MFkwEwYHKoZIzj0CAQYIKoZIzj0DAQcDQgAEEDr2LjtURuePQzplybdC+u4CwrqDqBaWjcMMsTbhdbcwHBcepxo7yAQGhHPTnlvFYPAZFceEu/1F"
        "wCM/QmGUhA=="
    )
    made = call(
        b'{"category":"example_payload","event":"test_event","message_id":"message_id"}',
        x_twilio_email_event_webhook_signature=(
            "MEUCIQCtIHJeH93Y+qpYeWrySphQgpNGNr/U+UyUlBkU6n7RAwIgJTz2C+8a8xonZGi6BpSzoQsbVRamr2nlxFDWYNH2j/0="
        ),
        x_twilio_email_event_webhook_timestamp="1588788367",
    )
    verify = verifier(replace(SENDGRID, secrets=(key,)))

    assert isinstance(verify(made, 1_588_788_367_000, WINDOW_MS), Signed)
    assert verify(made, NOW_MS, WINDOW_MS) is Why.STALE


def test_the_example_that_twilio_publishes_is_taken() -> None:
    url = "https://mycompany.com/myapp.php?foo=1&bar=2"
    body = b"CallSid=CA1234567890ABCDE&Caller=%2B12349013030&Digits=1234&From=%2B12349013030&To=%2B18005551212"
    headers = {"x-twilio-signature": "0/KCTR6DLpKmkAf8muzZqo1nDgQ=", "content-type": FORM}

    verify = verifier(Verification("twilio", ("12345",)))

    for seen in (url, url.replace(".com", ".com:443")):  # Twilio signs with or without the port
        assert isinstance(verify(Call(headers, body, "foo=1&bar=2", seen), NOW_MS, WINDOW_MS), Signed)
    assert verify(Call(headers, body, "foo=1", url.replace("&bar=2", "")), NOW_MS, WINDOW_MS) is Why.WRONG


@pytest.mark.parametrize("name", SIGN_BODY)
def test_no_byte_of_a_body_can_be_changed_left_out_or_added(name: str) -> None:
    body = CALLS[name][1].body
    for at in range(len(body)):
        changed = [body[:at] + bytes([body[at] ^ bit]) + body[at + 1 :] for bit in (1, 32, 128)]
        for other in (*changed, body[:at] + body[at + 1 :], body[:at] + b" " + body[at:]):
            assert verdict(name, lambda it, other=other: replace(it, body=other)) is Why.WRONG  # type: ignore[misc]


@pytest.mark.parametrize("name", ["mailgun", "vonage", "twilio"])
def test_no_byte_of_what_is_signed_within_a_body_can_be_changed(name: str) -> None:
    body = CALLS[name][1].body
    signed = {
        "mailgun": (b"1750000000", b"token50"),
        "vonage": (b"delivered", b"0C0", b"a=b"),
        "twilio": (b"SM1", b"ed"),
    }
    for part in signed[name]:
        start = body.index(part)
        for at in range(start, start + len(part)):
            other = body[:at] + bytes([body[at] ^ 1]) + body[at + 1 :]
            assert isinstance(verdict(name, lambda it, other=other: replace(it, body=other)), Why)  # type: ignore[misc]


@pytest.mark.parametrize("name", [name for name, (_, made) in CALLS.items() if made.headers])
def test_no_character_of_a_header_that_proves_can_be_changed(name: str) -> None:
    made = CALLS[name][1]
    for header, value in made.headers.items():
        if header == "content-type":
            continue
        skip = len("bearer ") if header == "authorization" else 0  # the scheme's own name may be of either case
        for at in range(skip, len(value)):
            other = dict(made.headers) | {header: value[:at] + chr(ord(value[at]) ^ 1) + value[at + 1 :]}
            assert isinstance(verdict(name, lambda it, other=other: replace(it, headers=other)), Why)  # type: ignore[misc]


HEADERS = st.dictionaries(
    st.sampled_from(
        [*{header for _, made in CALLS.values() for header in made.headers}, "x-other"],
    ),
    st.one_of(st.text(max_size=120), st.sampled_from(["", "sha256=", "Basic ", "Bearer", "=", "0", "9" * 400, "é"])),
)


@given(
    name=st.sampled_from(list(CALLS)),
    headers=HEADERS,
    body=st.one_of(
        st.binary(max_size=200),
        st.sampled_from(
            [b"", b"null", b"[]", b'{"signature":null}', b'{"signature":{"token":[],"signature":{},"timestamp":1e300}}']
        ),
        st.sampled_from([b'{"sig":1}', b'{"sig":"a","x":{}}', b"%ff=%ff", b"a=" + b"&" * 2_000, b"[" * 100_000]),
    ),
    query=st.text(max_size=40),
)
def test_whatever_a_stranger_sends_is_refused_and_raises_nothing(
    name: str, headers: dict[str, str], body: bytes, query: str
) -> None:
    assert isinstance(verdict(name, lambda it: Call(headers, body, query, it.url)), Why)


@pytest.mark.parametrize("name", [name for name, (_, made) in CALLS.items() if made.headers])
def test_without_its_header_a_call_is_refused(name: str) -> None:
    assert verdict(name, lambda it: replace(it, headers={})) in {Why.ABSENT, Why.WRONG}


@pytest.mark.parametrize("name", ["sendgrid", "mailgun", "vonage", "generic with a time"])
def test_a_signed_time_counts_as_long_as_the_window_and_not_before_its_minute(name: str) -> None:
    for now_ms, taken in (
        (NOW_MS + WINDOW_MS, True),
        (NOW_MS + WINDOW_MS + 1, False),
        (NOW_MS - 60_000, True),
        (NOW_MS - 60_001, False),
    ):
        found = verdict(name, now_ms=now_ms)
        assert isinstance(found, Signed) if taken else found is Why.STALE


def test_a_time_that_is_not_there_or_none_is_refused_before_anything_is_compared() -> None:
    for time in ("", "soon", "-1", "NaN", "1e9", "1750000000 "):
        headers = dict(CALLS["generic with a time"][1].headers) | {"x-time": time}
        found = verdict("generic with a time", lambda it, headers=headers: replace(it, headers=headers))  # type: ignore[misc]
        assert found is Why.MALFORMED


def test_while_a_secret_is_replaced_both_are_taken_and_afterwards_one() -> None:
    _, made = CALLS["generic"]
    for secrets, taken in ((("new", SECRET), True), ((SECRET, "old"), True), (("new",), False), ((), False)):
        found = verifier(replace(GENERIC, secrets=secrets))(made, NOW_MS, WINDOW_MS)
        assert isinstance(found, Signed) is taken


def test_mailgun_s_token_is_told_so_that_it_counts_once() -> None:
    assert verdict("mailgun") == Signed(once="token50")


def test_a_body_that_twilio_signed_by_its_digest_must_have_that_digest() -> None:
    assert verdict("twilio json", lambda it: replace(it, body=b'{"a":2}')) is Why.WRONG
    assert verdict("twilio json", lambda it: replace(it, query="")) is Why.WRONG


@pytest.mark.parametrize("key", ["", "AAAA", "not base64", EC_KEY[:-8], SECRET])
def test_a_key_that_is_none_is_told_at_the_start_and_not_shown(key: str) -> None:
    with pytest.raises(ValueError, match=r"^secret: is no public key of an elliptic curve") as caught:
        verifier(replace(SENDGRID, secrets=(key,)))
    assert not key or key not in str(caught.value)


def test_signed_bytes_of_an_unknown_name_are_told_at_the_start() -> None:
    with pytest.raises(ValueError, match="token is not known"):
        verifier(replace(GENERIC, signed="{{ token }}"))


def test_other_headers_may_be_signed_as_well() -> None:
    signature = hmac.digest(SECRET.encode(), b"{}.n-1.1750000000", "sha256").hex()
    verification = replace(
        GENERIC, prefix="", signed="{{ body }}.{{ headers.X-Nonce }}.{{ timestamp }}", timestamp_header="x-time"
    )
    headers: dict[str, Any] = {"x_signature": signature, "x_nonce": "n-1", "x_time": "1750000000"}

    assert isinstance(verifier(verification)(call(b"{}", **headers), NOW_MS, WINDOW_MS), Signed)
    assert verifier(verification)(call(b"{}", **headers | {"x_nonce": "n-2"}), NOW_MS, WINDOW_MS) is Why.WRONG
