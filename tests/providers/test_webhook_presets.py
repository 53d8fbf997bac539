"""
The webhooks of presets against the shapes that their vendors document: what each report becomes.

The shapes of SendGrid, Postmark, Amazon SES, Infobip, Vonage and Sinch follow the examples on the pages that their
presets name. General knowledge, not a page that was at hand: Mailgun's `reason` of a failure other than `bounce`
and `generic`, Postmark's `SuppressionReason`, and where Infobip's request takes `callbackData`.
"""

from __future__ import annotations

import base64
import hmac
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any
from urllib.parse import urlencode

import orjson
import pytest
from cryptography.hazmat.primitives.asymmetric.ec import ECDSA, SECP256R1, generate_private_key
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from hypothesis import given
from hypothesis import strategies as st

from processor.codec.assembly import open_codecs
from processor.core.events import Receipt
from processor.core.report import About, echoed, part_of
from processor.core.vocabulary import STATES
from processor.providers import presets
from processor.providers.webhooks.reports import Reports
from processor.stages.tracking.webhooks import Webhooks
from tests.providers.test_presets import PRESETS
from tests.providers.webhook_calls import FORM, NOW_MS, SECRET, configured

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence


CODEC = open_codecs().events
KEY = generate_private_key(SECP256R1())
PUBLIC_KEY = base64.b64encode(KEY.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)).decode()
SAFARI = "Mozilla/5.0 (Macintosh) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/17.4 Safari/605.1.15"
ENVIRON = {"HOOK": PUBLIC_KEY, "SECRET": "t"}
OURS = {"message_id": "m:1", "channel": "Email", "campaign_id": "spring", "external_id": "ref 1", "attempt": "2"}
ECHO = urlencode(OURS)
ARN = "arn:aws:sns:eu-west-1:123456789012:ses"

Body = Any
Sent = tuple[bytes, dict[str, str], str]  # body, headers, query


def basic() -> dict[str, str]:
    return {"Authorization": "Basic " + base64.b64encode(f"hook:{SECRET}".encode()).decode()}


def by_sendgrid(body: Body) -> Sent:
    raw, timestamp = orjson.dumps([body]), str(NOW_MS // 1000)
    signature = base64.b64encode(KEY.sign(timestamp.encode() + raw, ECDSA(SHA256()))).decode()
    names = ("Signature", "Timestamp")
    values = (signature, timestamp)
    return raw, {f"X-Twilio-Email-Event-Webhook-{name}": value for name, value in zip(names, values, strict=True)}, ""


def by_mailgun(body: Body) -> Sent:
    timestamp = str(NOW_MS // 1000)
    token = orjson.dumps(body).hex()[:50]
    signature = hmac.digest(SECRET.encode(), (timestamp + token).encode(), "sha256").hex()
    signed = {"timestamp": timestamp, "token": token, "signature": signature}
    return orjson.dumps({"signature": signed, "event-data": body}), {}, ""


def by_postmark(body: Body) -> Sent:
    return orjson.dumps(body), basic(), ""


def by_ses(body: Body) -> Sent:
    envelope = {"Type": "Notification", "MessageId": "n-1", "TopicArn": ARN, "Message": orjson.dumps(body).decode()}
    return orjson.dumps(envelope), basic() | {"Content-Type": "text/plain; charset=UTF-8"}, ""


def by_twilio(body: Body) -> Sent:
    text = f"https://t.example/w/P?{ECHO}" + "".join(name + body[name] for name in sorted(body))
    signature = base64.b64encode(hmac.digest(SECRET.encode(), text.encode(), "sha1")).decode()
    return urlencode(body).encode(), {"X-Twilio-Signature": signature, "Content-Type": FORM}, ECHO


def by_vonage(body: Body) -> Sent:
    whole = {**body, "timestamp": str(NOW_MS // 1000), "nonce": "n"}
    text = "".join(f"&{name}={whole[name]}" for name in sorted(whole))
    whole["sig"] = hmac.digest(SECRET.encode(), text.encode(), "sha256").hex().upper()
    return orjson.dumps(whole), {"Content-Type": "application/json"}, ECHO


def by_infobip(body: Body) -> Sent:
    return orjson.dumps({"results": [body]}), {}, f"token={SECRET}"


def by_sinch(body: Body) -> Sent:
    return orjson.dumps(body), basic(), ECHO


@dataclass(frozen=True)
class Webhook:
    """How a vendor calls, and what its documented reports become."""

    send: Callable[[Body], Sent]
    common: Mapping[str, Any]  # what each report has
    reports: Sequence[tuple[Mapping[str, Any], Mapping[str, Any]]]  # what it has beside, and fields of its receipt
    every: Mapping[str, Any]  # fields of each receipt
    own: Mapping[str, Any] = field(default_factory=dict)  # what an operator writes beside the secret


SENDGRID_ID = "14c5d75ce93.dfd.64b469.filter0001.16648.5515E0B88.0"
AT_S, AT_MS = 1_521_472_262, 1_521_472_262_000
ISO = "2018-03-19T15:11:02.000Z"
MAIL = {
    "timestamp": "2018-03-19T15:00:00.000Z",
    "messageId": "0100017A-1",
    "destination": ["ann@example.org"],
    "headersTruncated": False,
    "headers": [
        {"name": "Subject", "value": "Hello"},
        {"name": "X-Comm-Message-Id", "value": "m:1"},
        {"name": "X-Comm-Echo", "value": ECHO},
    ],
}

WEBHOOKS: dict[str, Webhook] = {
    "sendgrid": Webhook(
        by_sendgrid,
        {
            "email": "ann@example.org",
            "timestamp": AT_S,
            "smtp-id": "<14c5d75ce93.dfd.64b469@ismtpd-555>",
            "sg_event_id": "ZGVsaXZlcmVk",
            "sg_message_id": SENDGRID_ID,
            **{("comm_attempt" if name == "attempt" else name): value for name, value in OURS.items()},
        },
        [
            ({"event": "processed"}, {"state": "accepted"}),
            ({"event": "deferred", "response": "400 try again later", "attempt": "5"}, {"state": "deferred"}),
            ({"event": "delivered", "response": "250 OK"}, {"state": "delivered", "provider_type": "delivered"}),
            (
                {"event": "bounce", "type": "bounce", "reason": "500 unknown recipient", "status": "5.0.0"},
                {"state": "bounced_hard", "provider_code": "5.0.0", "provider_type": "bounce/bounce"},
            ),
            ({"event": "bounce", "type": "blocked", "status": "4.0.0"}, {"state": "bounced_block"}),
            ({"event": "dropped", "reason": "Bounced Address", "status": "5.0.0"}, {"state": "rejected"}),
            (
                {"event": "open", "useragent": SAFARI, "ip": "192.0.2.1", "sg_machine_open": False},
                {"state": "opened", "user_agent_family": "safari"},
            ),
            (
                {"event": "click", "useragent": SAFARI, "url": "https://bank.example/a?b=1"},
                {"state": "clicked", "url": "https://bank.example/a?b=1"},
            ),
            ({"event": "spamreport"}, {"state": "complained"}),
            ({"event": "unsubscribe"}, {"state": "unsubscribed"}),
            ({"event": "group_unsubscribe", "asm_group_id": 10}, {"state": "unsubscribed"}),
            ({"event": "group_resubscribe", "asm_group_id": 10}, {"state": "other"}),
        ],
        {
            "provider_message_id": SENDGRID_ID,
            "id_keys": ("14c5d75ce93.dfd.64b469", SENDGRID_ID.lower()),
            "occurred_at_ms": AT_MS,
        },
    ),
    "mailgun": Webhook(
        by_mailgun,
        {
            "id": "CPgfbmQMTCKtHW6uIWtuVe",
            "timestamp": 1_521_472_262.908181,
            "recipient": "ann@example.org",
            "message": {"headers": {"message-id": "2024.1.ABC@mg.example.com", "to": "ann@example.org"}},
            "user-variables": OURS,
        },
        [
            ({"event": "accepted"}, {"state": "accepted"}),
            (
                {"event": "delivered", "delivery-status": {"code": 250, "message": "OK"}},
                {"state": "delivered", "provider_code": "250"},
            ),
            (
                {"event": "failed", "severity": "permanent", "reason": "bounce", "delivery-status": {"code": 550}},
                {"state": "bounced_hard", "provider_code": "550", "provider_type": "failed/permanent/bounce"},
            ),
            (
                {"event": "failed", "severity": "permanent", "reason": "suppress-bounce"},
                {"state": "bounced_hard", "provider_code": None},
            ),
            ({"event": "failed", "severity": "permanent", "reason": "espblock"}, {"state": "bounced_block"}),
            ({"event": "failed", "severity": "permanent", "reason": "suppress-unsubscribe"}, {"state": "rejected"}),
            ({"event": "failed", "severity": "temporary", "reason": "generic"}, {"state": "deferred"}),
            (
                {"event": "opened", "client-info": {"user-agent": SAFARI, "client-type": "browser"}},
                {"state": "opened", "user_agent_family": "safari"},
            ),
            (
                {"event": "clicked", "url": "https://bank.example/a", "client-info": {"user-agent": SAFARI}},
                {"state": "clicked", "url": "https://bank.example/a"},
            ),
            ({"event": "unsubscribed"}, {"state": "unsubscribed"}),
            ({"event": "complained"}, {"state": "complained"}),
            ({"event": "stored"}, {"state": "other"}),
        ],
        {
            "provider_message_id": "<2024.1.ABC@mg.example.com>",
            "id_keys": ("<2024.1.abc@mg.example.com>",),
            "occurred_at_ms": 1_521_472_262_908,
        },
    ),
    "postmark": Webhook(
        by_postmark,
        {"ServerID": 23, "MessageStream": "outbound", "MessageID": "883953F4-6105", "Metadata": OURS},
        [
            ({"RecordType": "Delivery", "Recipient": "ann@example.org", "DeliveredAt": ISO}, {"state": "delivered"}),
            (
                {"RecordType": "Bounce", "Type": "HardBounce", "TypeCode": 1, "ID": 42, "BouncedAt": ISO},
                {"state": "bounced_hard", "provider_code": "1", "provider_type": "Bounce/HardBounce"},
            ),
            (
                {"RecordType": "Bounce", "Type": "SoftBounce", "TypeCode": 4096, "BouncedAt": ISO},
                {"state": "bounced_soft"},
            ),
            ({"RecordType": "Bounce", "Type": "Transient", "TypeCode": 2, "BouncedAt": ISO}, {"state": "deferred"}),
            ({"RecordType": "Bounce", "Type": "Blocked", "BouncedAt": ISO}, {"state": "bounced_block"}),
            ({"RecordType": "Bounce", "Type": "AutoResponder", "BouncedAt": ISO}, {"state": "other"}),
            ({"RecordType": "SpamComplaint", "Type": "SpamComplaint", "BouncedAt": ISO}, {"state": "complained"}),
            (
                {"RecordType": "Open", "FirstOpen": True, "UserAgent": SAFARI, "ReceivedAt": ISO},
                {"state": "opened", "user_agent_family": "safari"},
            ),
            (
                {"RecordType": "Click", "OriginalLink": "https://bank.example/a", "ReceivedAt": ISO},
                {"state": "clicked", "url": "https://bank.example/a"},
            ),
            (
                {
                    "RecordType": "SubscriptionChange",
                    "SuppressSending": True,
                    "SuppressionReason": "ManualSuppression",
                    "ChangedAt": ISO,
                },
                {"state": "unsubscribed"},
            ),
            (
                {
                    "RecordType": "SubscriptionChange",
                    "SuppressSending": False,
                    "SuppressionReason": None,
                    "ChangedAt": ISO,
                },
                {"state": "other"},
            ),
        ],
        {"provider_message_id": "883953F4-6105", "id_keys": ("883953f4-6105",), "occurred_at_ms": AT_MS},
        {"username": "hook"},
    ),
    "ses": Webhook(
        by_ses,
        {"mail": MAIL},
        [
            ({"eventType": "Delivery", "delivery": {"timestamp": ISO}}, {"state": "delivered"}),
            (
                {
                    "eventType": "Bounce",
                    "bounce": {
                        "bounceType": "Permanent",
                        "bounceSubType": "General",
                        "bouncedRecipients": [{"emailAddress": "ann@example.org", "status": "5.1.1"}],
                        "timestamp": ISO,
                    },
                },
                {"state": "bounced_hard", "provider_code": "5.1.1", "provider_type": "Bounce/Permanent/General"},
            ),
            (
                {
                    "notificationType": "Bounce",  # without event publishing
                    "bounce": {"bounceType": "Transient", "bounceSubType": "MailboxFull", "timestamp": ISO},
                },
                {"state": "bounced_soft", "provider_code": "MailboxFull"},
            ),
            (
                {
                    "eventType": "Bounce",
                    "bounce": {"bounceType": "Transient", "bounceSubType": "ContentRejected", "timestamp": ISO},
                },
                {"state": "bounced_block"},
            ),
            (
                {"eventType": "Complaint", "complaint": {"complaintFeedbackType": "abuse", "timestamp": ISO}},
                {"state": "complained", "provider_code": "abuse"},
            ),
            ({"eventType": "DeliveryDelay", "deliveryDelay": {"timestamp": ISO}}, {"state": "deferred"}),
            (
                {"eventType": "Open", "open": {"timestamp": ISO, "userAgent": SAFARI}},
                {"state": "opened", "user_agent_family": "safari"},
            ),
            (
                {"eventType": "Click", "click": {"timestamp": ISO, "link": "https://bank.example/a"}},
                {"state": "clicked", "url": "https://bank.example/a"},
            ),
            ({"eventType": "Subscription", "open": {"timestamp": ISO}}, {"state": "other"}),
        ],
        {"provider_message_id": "0100017A-1", "id_keys": ("100017a-1",), "occurred_at_ms": AT_MS},
        {"username": "hook", "only": {"TopicArn": [ARN]}},
    ),
    "twilio": Webhook(
        by_twilio,
        {"MessageSid": "SM87105DA9", "SmsSid": "SM87105DA9", "AccountSid": "AC1", "To": "+40722000111"},
        [
            ({"MessageStatus": "queued"}, {"state": "accepted"}),
            ({"MessageStatus": "sent"}, {"state": "enroute"}),
            ({"MessageStatus": "delivered", "RawDlrDoneDate": "2403191511"}, {"state": "delivered"}),
            (
                {"MessageStatus": "undelivered", "ErrorCode": "30003"},
                {"state": "undeliverable", "provider_code": "30003"},
            ),
            ({"MessageStatus": "failed", "ErrorCode": "30007"}, {"state": "rejected"}),
            ({"MessageStatus": "canceled"}, {"state": "deleted"}),
            ({"MessageStatus": "receiving"}, {"state": "other"}),
        ],
        {"provider_message_id": "SM87105DA9", "id_keys": ("sm87105da9",), "occurred_at_ms": None},
    ),
    "vonage": Webhook(
        by_vonage,
        {
            "msisdn": "40722000111",
            "to": "Bank",
            "network-code": "22601",
            "messageId": "0C000000217B7F02",
            "scts": "1803191511",
            "message-timestamp": "2018-03-19 15:11:02",
            "client-ref": "m:1",
        },
        [
            ({"status": "delivered", "err-code": "0"}, {"state": "delivered", "provider_code": "0"}),
            ({"status": "accepted", "err-code": "0"}, {"state": "accepted"}),
            ({"status": "buffered", "err-code": "0"}, {"state": "enroute"}),
            ({"status": "failed", "err-code": "6"}, {"state": "undeliverable", "provider_code": "6"}),
            ({"status": "rejected", "err-code": "5"}, {"state": "rejected"}),
            ({"status": "expired", "err-code": "1"}, {"state": "expired"}),
            ({"status": "unknown", "err-code": "1"}, {"state": "unknown"}),
            ({"status": "teleported", "err-code": "1"}, {"state": "other"}),
        ],
        {"provider_message_id": "0C000000217B7F02", "id_keys": ("c000000217b7f02",), "occurred_at_ms": AT_MS},
    ),
    "infobip": Webhook(
        by_infobip,
        {
            "bulkId": "BULK-1",
            "messageId": "m:1",
            "to": "40722000111",
            "sentAt": "2018-03-19T15:11:00.000+0000",
            "doneAt": "2018-03-19T16:11:02.000+0100",
            "messageCount": 1,
            "callbackData": ECHO,
        },
        [
            (
                {
                    "status": {"groupId": 3, "groupName": "DELIVERED", "name": "DELIVERED_TO_HANDSET"},
                    "error": {"groupId": 0, "name": "NO_ERROR"},
                },
                {"state": "delivered", "provider_code": "NO_ERROR"},
            ),
            ({"status": {"groupName": "PENDING", "name": "PENDING_ENROUTE"}}, {"state": "enroute"}),
            (
                {"status": {"groupName": "UNDELIVERABLE"}, "error": {"name": "EC_ABSENT_SUBSCRIBER"}},
                {"state": "undeliverable"},
            ),
            ({"status": {"groupName": "EXPIRED"}}, {"state": "expired"}),
            ({"status": {"groupName": "REJECTED"}}, {"state": "rejected"}),
            ({"status": {"groupName": "NEW"}}, {"state": "other"}),
        ],
        {"provider_message_id": "m:1", "id_keys": ("m:1",), "occurred_at_ms": AT_MS},
    ),
    "sinch": Webhook(
        by_sinch,
        {
            "type": "recipient_delivery_report_sms",
            "batch_id": "01FC66621XXXXX119Z8PMV1QPQ",
            "recipient": "40722000111",
            "at": ISO,
            "client_reference": "m:1",
        },
        [
            ({"code": 0, "status": "Delivered"}, {"state": "delivered", "provider_code": "0"}),
            ({"code": 401, "status": "Dispatched"}, {"state": "enroute", "provider_code": "401"}),
            ({"code": 406, "status": "Expired", "operator_status_at": ISO}, {"state": "expired"}),
            ({"code": 402, "status": "Aborted"}, {"state": "undeliverable"}),
            ({"code": 403, "status": "Rejected"}, {"state": "rejected"}),
            ({"code": 999, "status": "New"}, {"state": "other"}),
        ],
        {
            "provider_message_id": "01FC66621XXXXX119Z8PMV1QPQ",
            "id_keys": ("1fc66621xxxxx119z8pmv1qpq",),
            "occurred_at_ms": AT_MS,
        },
        {"username": "hook"},
    ),
}
ROWS = [(name, *row) for name, webhook in WEBHOOKS.items() for row in webhook.reports]


async def taken(name: str, body: Body) -> list[Receipt]:
    secret = PUBLIC_KEY if name == "sendgrid" else SECRET
    hook = WEBHOOKS[name]
    written = {"secret": {"env": "HOOK"}, **hook.own}
    config = configured(written, {"HOOK": secret, "SECRET": "t"}, preset=name, **PRESETS[name].written)
    receipts: list[Receipt] = []

    async def publish(more: Sequence[Receipt]) -> None:
        receipts.extend(more)

    stage = Webhooks({"P": config}, publish, lambda: NOW_MS, 300_000, "https://t.example")
    raw, headers, query = hook.send(body)
    assert await stage.take("P", headers, raw, query) == 204
    return receipts


def test_every_preset_has_a_webhook_that_is_tested_here() -> None:
    assert set(WEBHOOKS) == set(presets.NAMES)


@pytest.mark.parametrize(("name", "more", "expected"), ROWS)
async def test_a_documented_report_becomes_a_receipt(
    name: str, more: Mapping[str, Any], expected: Mapping[str, Any]
) -> None:
    hook = WEBHOOKS[name]

    receipt = (await taken(name, {**hook.common, **more}))[0]

    found = receipt._asdict()
    wanted = {**hook.every, **expected}
    assert {key: found[key] for key in wanted} == wanted
    assert receipt.state in STATES
    assert (receipt.raw is None) is (receipt.state != "other")


@pytest.mark.parametrize("name", sorted(WEBHOOKS.keys() - {"vonage"}))
async def test_a_report_tells_all_of_our_ids_so_that_no_join_is_needed(name: str) -> None:
    hook = WEBHOOKS[name]

    receipt = (await taken(name, {**hook.common, **hook.reports[0][0]}))[0]

    assert (receipt.message_id, receipt.channel, receipt.attempt) == ("m:1", "Email", 2)
    assert (receipt.campaign_id, receipt.external_id) == ("spring", "ref 1")


async def test_a_report_of_vonage_is_of_a_part_and_leaves_the_whole_to_the_join() -> None:
    hook = WEBHOOKS["vonage"]
    message = About("m:1", None, 1, "SMS", None, part_ids=("0C000000217B7F01", "0C000000217B7F02"))

    receipt = (await taken("vonage", {**hook.common, **hook.reports[0][0]}))[0]

    assert receipt.message_id == "m:1"
    assert echoed(receipt) is None
    assert part_of(receipt, message) == "0C000000217B7F02"


@pytest.mark.parametrize("name", WEBHOOKS)
async def test_a_report_that_is_sent_again_has_the_same_id_and_each_report_its_own(name: str) -> None:
    hook = WEBHOOKS[name]
    bodies = [{**hook.common, **more} for more, _ in hook.reports]

    first = [(await taken(name, body))[0].event_id for body in bodies]
    again = [(await taken(name, body))[0].event_id for body in bodies]

    assert first == again
    assert len(set(first)) == len(bodies)


async def test_the_greeting_of_a_topic_is_kept_whole_and_its_address_is_not_fetched() -> None:
    hook = WEBHOOKS["ses"]
    config = configured(
        {"secret": {"env": "SECRET"}, **hook.own}, {"SECRET": SECRET}, preset="ses", **PRESETS["ses"].written
    )
    receipts: list[Receipt] = []

    async def publish(more: Sequence[Receipt]) -> None:
        receipts.extend(more)

    stage = Webhooks({"P": config}, publish, lambda: NOW_MS, 300_000, "https://t.example")
    greeting = {
        "Type": "SubscriptionConfirmation",
        "TopicArn": ARN,
        "Token": "2336412f37",
        "Message": "You have chosen to subscribe to the topic.",
        "SubscribeURL": "https://sns.eu-west-1.amazonaws.com/?Action=ConfirmSubscription&Token=2336412f37",
    }
    assert await stage.take("P", basic(), orjson.dumps(greeting), "") == 204
    theirs = {**greeting, "TopicArn": "arn:aws:sns:eu-west-1:999999999999:theirs"}
    assert await stage.take("P", basic(), orjson.dumps(theirs), "") == 401

    (receipt,) = receipts
    assert (receipt.state, receipt.provider_type) == ("other", "SubscriptionConfirmation")
    assert "2336412f37" in (receipt.raw or "")


NAMES = sorted(
    {name for hook in WEBHOOKS.values() for each in (hook.common, *(more for more, _ in hook.reports)) for name in each}
)
SCRAPS = st.recursive(
    st.sampled_from([None, True, 0, -1, 1.5, 2**63, "", "Bounce", "failed", "x" * 300, "\n", "=&%ff"]),
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.sampled_from(NAMES), inner, max_size=4),
    max_leaves=10,
)
READERS = {
    name: Reports("P", configured({"secret": {"env": "HOOK"}, **hook.own}, ENVIRON, preset=name, **written).reading)
    for name, hook in WEBHOOKS.items()
    for written in [PRESETS[name].written]
}


@given(st.sampled_from(list(READERS)), st.dictionaries(st.sampled_from(NAMES), SCRAPS, max_size=8))
def test_whatever_a_vendor_changes_its_report_becomes_a_receipt(name: str, report: dict[str, Any]) -> None:
    receipt = READERS[name].receipt(report, {}, now_ms=NOW_MS)

    assert isinstance(receipt, Receipt)
    assert receipt.state in STATES
    assert CODEC.decode_event(CODEC.encode_receipt(receipt)) == receipt
