"""Presets against the shapes that their vendors document: what is asked, and what each answer means."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import pytest

from processor.core.message import Attachment, Head, Message
from processor.core.outcome import Accepted, Deferred, Outcome, Rejected, Throttled, Unknown
from processor.core.plan import Form
from processor.core.words import Reason
from processor.providers import presets
from processor.providers.adapter import Submission
from processor.providers.http.answer import CODE
from processor.providers.http.request import address
from processor.settings.document import read
from tests.providers.hosted import Asked, Reply, hosted, provider_config
from tests.providers.twins import NOW_MS, PASSWORD, opened

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from processor.providers.http.config import HttpConfig

PDF = Attachment('../re"port.pdf', "application/pdf", b"%PDF")
MAIL = Message(
    Head("m:1", "Email", campaign_id="spring", external_id="ref 1"),
    to="ann@example.org",
    cc=("bob@example.org", "eve@example.org"),
    bcc=("max@example.org",),
    subject="Hello",
    text="Hi",
    html="<p>Hi</p>",
    attachments=(PDF,),
)
PLAIN = Message(Head("m:2", "Email"), to="bob@example.org", subject="Hello", text="Hi")
SMS = Message(Head("m:1", "SMS", campaign_id="spring", external_id="ref 1"), to="40722000111", text="Bună")
SECRET = {"env": "SECRET"}
BAD_KEY = Deferred(Reason.AUTHENTICATION_FAILED, "401")


@dataclass(frozen=True)
class Preset:
    """A provider as an operator writes it, and what its vendor documents."""

    written: Mapping[str, Any]
    url: str  # where requests go
    path: str
    message: Message
    header: tuple[str, str]  # how it authenticates
    content: Any  # of a request
    answers: Sequence[tuple[Reply, Outcome]]
    kind: str = "application/json"
    plain: Any = field(default=None)  # of a request with PLAIN


FROM = "Bank <bank@example.com>"
OURS = {"message_id": "m:1", "channel": "Email", "campaign_id": "spring", "external_id": "ref 1", "attempt": "1"}
PLAIN_OURS = {"message_id": "m:2", "channel": "Email", "attempt": "1"}
ECHO = "message_id=m%3A1&attempt=1&channel={channel}&campaign_id=spring&external_id=ref+1"
STATUS_URL = "https://bank.example/receipts?key=7"


def sendgrid_names(ours: Mapping[str, str]) -> dict[str, str]:
    """Its events have an attempt of their own, beside ours."""
    return {"comm_attempt" if name == "attempt" else name: value for name, value in ours.items()}


PRESETS: dict[str, Preset] = {
    "sendgrid": Preset(
        {"token": SECRET, "settings": {"from_address": "bank@example.com", "from_name": "Bank"}},
        "https://api.sendgrid.com/v3/mail/send",
        "/v3/mail/send",
        MAIL,
        ("Authorization", f"Bearer {PASSWORD}"),
        {
            "personalizations": [
                {
                    "to": [{"email": "ann@example.org"}],
                    "cc": [{"email": "bob@example.org"}, {"email": "eve@example.org"}],
                    "bcc": [{"email": "max@example.org"}],
                    "custom_args": sendgrid_names(OURS),
                }
            ],
            "from": {"email": "bank@example.com", "name": "Bank"},
            "subject": "Hello",
            "content": [{"type": "text/plain", "value": "Hi"}, {"type": "text/html", "value": "<p>Hi</p>"}],
            "attachments": [
                {
                    "content": "JVBERg==",
                    "filename": 're"port.pdf',
                    "type": "application/pdf",
                    "disposition": "attachment",
                }
            ],
        },
        [
            (Reply(202, None, {"X-Message-Id": "14c5d75ce93.dfd.64b469"}), Accepted("14c5d75ce93.dfd.64b469", "202")),
            (
                Reply(429, {"errors": []}, {"X-RateLimit-Reset": str(NOW_MS // 1000 + 7)}),
                Throttled(code="429", retry_after_ms=7_000),
            ),
            (
                Reply(400, {"errors": [{"message": "ann@example.org", "field": "to", "help": None}]}),
                Rejected(Reason.PROVIDER_REJECTED, "400"),
            ),
            (Reply(401, {"errors": [{"message": "no", "field": None}]}), BAD_KEY),
            (Reply(413, {"errors": []}), Rejected(Reason.PROVIDER_REJECTED, "413")),
            (Reply(500, {"errors": []}), Unknown(Reason.ANSWER_MISSING, "500")),
            (
                Reply(503, {"errors": []}, {"X-RateLimit-Reset": str(NOW_MS // 1000 + 7)}),
                Deferred(Reason.PROVIDER_UNAVAILABLE, "503"),
            ),
        ],
        plain={
            "personalizations": [{"to": [{"email": "bob@example.org"}], "custom_args": sendgrid_names(PLAIN_OURS)}],
            "from": {"email": "bank@example.com", "name": "Bank"},
            "subject": "Hello",
            "content": [{"type": "text/plain", "value": "Hi"}],
        },
    ),
    "mailgun": Preset(
        {"password": SECRET, "settings": {"domain": "mg.example.com", "from": FROM}},
        "https://api.mailgun.net/v3/mg.example.com/messages",
        "/v3/mg.example.com/messages",
        MAIL,
        ("Authorization", "Basic YXBpOmNhbmFyeS1wYXNzd29yZC00NzEx"),
        [
            ("from", FROM),
            ("to", "ann@example.org"),
            ("cc", "bob@example.org"),
            ("cc", "eve@example.org"),
            ("bcc", "max@example.org"),
            ("subject", "Hello"),
            ("text", "Hi"),
            ("html", "<p>Hi</p>"),
            *((f"v:{name}", value) for name, value in OURS.items()),
            ("attachment", "re%22port.pdf", "application/pdf", b"%PDF"),
        ],
        [
            (
                Reply(200, {"id": "<2024.1.ABC@mg.example.com>", "message": "Queued. Thank you."}),
                Accepted("<2024.1.ABC@mg.example.com>", "200"),
            ),
            (Reply(429, {"message": "slow"}, {"Retry-After": "3"}), Throttled(code="429", retry_after_ms=3_000)),
            (Reply(400, {"message": "to parameter is not valid"}), Rejected(Reason.PROVIDER_REJECTED, "400")),
            (Reply(401, "Forbidden"), BAD_KEY),
            (Reply(404, {"message": "no domain"}), Deferred(Reason.PROVIDER_UNAVAILABLE, "404")),
        ],
        kind="multipart/form-data",
        plain=[
            ("from", FROM),
            ("to", "bob@example.org"),
            ("subject", "Hello"),
            ("text", "Hi"),
            *((f"v:{name}", value) for name, value in PLAIN_OURS.items()),
        ],
    ),
    "postmark": Preset(
        {"token": SECRET, "settings": {"from": FROM}},
        "https://api.postmarkapp.com/email/batch",
        "/email/batch",
        MAIL,
        ("X-Postmark-Server-Token", PASSWORD),
        [
            {
                "From": FROM,
                "To": "ann@example.org",
                "Cc": "bob@example.org,eve@example.org",
                "Bcc": "max@example.org",
                "Subject": "Hello",
                "TextBody": "Hi",
                "HtmlBody": "<p>Hi</p>",
                "MessageStream": "outbound",
                "Metadata": OURS,
                "Attachments": [{"Name": 're"port.pdf', "Content": "JVBERg==", "ContentType": "application/pdf"}],
            }
        ],
        [
            (
                Reply(200, [{"ErrorCode": 0, "Message": "OK", "MessageID": "b7bc2f4a", "To": "ann@example.org"}]),
                Accepted("b7bc2f4a", "0"),
            ),
            (
                Reply(200, [{"ErrorCode": 406, "Message": "ann@example.org is inactive"}]),
                Rejected(Reason.PROVIDER_REJECTED, "406"),
            ),
            (Reply(200, [{"ErrorCode": 7777, "Message": "new"}]), Unknown(Reason.ANSWER_UNLISTED, "7777")),
            (Reply(200, [{"ErrorCode": 405, "Message": "credits"}]), Deferred(Reason.PROVIDER_UNAVAILABLE, "405")),
            (Reply(429, {"ErrorCode": 429, "Message": "slow"}), Throttled(code="429")),
            (Reply(401, {"ErrorCode": 10, "Message": "token"}), Deferred(Reason.AUTHENTICATION_FAILED, "10")),
            (Reply(422, {"ErrorCode": 402, "Message": "JSON"}), Rejected(Reason.PROVIDER_REJECTED, "402")),
        ],
        plain=[
            {
                "From": FROM,
                "To": "bob@example.org",
                "Subject": "Hello",
                "TextBody": "Hi",
                "MessageStream": "outbound",
                "Metadata": PLAIN_OURS,
            }
        ],
    ),
    "ses": Preset(
        {"username": "AKID", "password": SECRET, "settings": {"region": "eu-west-1", "from": FROM}},
        "https://email.eu-west-1.amazonaws.com/v2/email/outbound-emails",
        "/v2/email/outbound-emails",
        MAIL,
        ("Authorization", "AWS4-HMAC-SHA256 Credential=AKID/20250615/eu-west-1/ses/aws4_request, "),
        {
            "FromEmailAddress": FROM,
            "Destination": {
                "ToAddresses": ["ann@example.org"],
                "CcAddresses": ["bob@example.org", "eve@example.org"],
                "BccAddresses": ["max@example.org"],
            },
            "Content": {
                "Simple": {
                    "Subject": {"Data": "Hello", "Charset": "UTF-8"},
                    "Body": {
                        "Text": {"Data": "Hi", "Charset": "UTF-8"},
                        "Html": {"Data": "<p>Hi</p>", "Charset": "UTF-8"},
                    },
                    "Headers": [
                        {"Name": "X-Comm-Message-Id", "Value": "m:1"},
                        {"Name": "X-Comm-Echo", "Value": ECHO.format(channel="Email")},
                    ],
                    "Attachments": [
                        {"FileName": 're"port.pdf', "RawContent": "JVBERg==", "ContentType": "application/pdf"}
                    ],
                }
            },
        },
        [
            (Reply(200, {"MessageId": "0100017a-1"}), Accepted("0100017a-1", "200")),
            (
                Reply(429, {"message": "rate"}, {"x-amzn-ErrorType": "TooManyRequestsException:http://x/"}),
                Throttled(code="TooManyRequestsException"),
            ),
            (
                Reply(400, {"message": "ann@example.org"}, {"x-amzn-ErrorType": "MessageRejected"}),
                Rejected(Reason.PROVIDER_REJECTED, "MessageRejected"),
            ),
            (
                Reply(400, {"message": "paused"}, {"x-amzn-ErrorType": "SendingPausedException"}),
                Deferred(Reason.PROVIDER_UNAVAILABLE, "SendingPausedException"),
            ),
            (
                Reply(400, {"message": "domain"}, {"x-amzn-ErrorType": "MailFromDomainNotVerifiedException"}),
                Deferred(Reason.PROVIDER_UNAVAILABLE, "MailFromDomainNotVerifiedException"),
            ),
            (
                Reply(400, {"message": "date"}, {"x-amzn-ErrorType": "RequestExpired"}),
                Deferred(Reason.PROVIDER_UNAVAILABLE, "RequestExpired"),
            ),
            (
                Reply(403, {"message": "key"}, {"x-amzn-ErrorType": "SignatureDoesNotMatch"}),
                Deferred(Reason.AUTHENTICATION_FAILED, "SignatureDoesNotMatch"),
            ),
        ],
        plain={
            "FromEmailAddress": FROM,
            "Destination": {"ToAddresses": ["bob@example.org"]},
            "Content": {
                "Simple": {
                    "Subject": {"Data": "Hello", "Charset": "UTF-8"},
                    "Body": {"Text": {"Data": "Hi", "Charset": "UTF-8"}},
                    "Headers": [
                        {"Name": "X-Comm-Message-Id", "Value": "m:2"},
                        {"Name": "X-Comm-Echo", "Value": "message_id=m%3A2&attempt=1&channel=Email"},
                    ],
                }
            },
        },
    ),
    "twilio": Preset(
        {
            "username": "AC1",
            "password": SECRET,
            "settings": {"account_sid": "AC1", "from": "+15005550006", "status_url": STATUS_URL},
        },
        "https://api.twilio.com/2010-04-01/Accounts/AC1/Messages.json",
        "/2010-04-01/Accounts/AC1/Messages.json",
        SMS,
        ("Authorization", "Basic QUMxOmNhbmFyeS1wYXNzd29yZC00NzEx"),
        [
            ("To", "+40722000111"),
            ("From", "+15005550006"),
            ("Body", "Bună"),
            ("StatusCallback", f"{STATUS_URL}&{ECHO.format(channel='SMS')}"),
        ],
        [
            (
                Reply(201, {"sid": "SM87105da9", "status": "queued", "num_segments": "1", "error_code": None}),
                Accepted("SM87105da9", "201", 1, "ucs2"),
            ),
            (Reply(201, {"sid": "SM8", "status": "accepted", "num_segments": "0"}), Accepted("SM8", "201", 1, "ucs2")),
            (
                Reply(400, {"code": 21610, "message": "40722000111 is unsubscribed", "status": 400}),
                Rejected(Reason.PROVIDER_REJECTED, "21610"),
            ),
            (
                Reply(400, {"code": 21660, "message": "Mismatch", "status": 400}),
                Deferred(Reason.PROVIDER_UNAVAILABLE, "21660"),
            ),
            (
                Reply(429, {"code": 20429, "message": "slow", "status": 429}, {"Retry-After": "2"}),
                Throttled(code="20429", retry_after_ms=2_000),
            ),
            (
                Reply(401, {"code": 20003, "message": "Authenticate", "status": 401}),
                Deferred(Reason.AUTHENTICATION_FAILED, "20003"),
            ),
        ],
        kind="application/x-www-form-urlencoded",
    ),
    "vonage": Preset(
        {"username": "key1", "password": SECRET, "settings": {"from": "Bank", "status_url": STATUS_URL}},
        "https://rest.nexmo.com/sms/json",
        "/sms/json",
        SMS,
        ("Content-Type", "application/x-www-form-urlencoded"),
        [
            ("api_key", "key1"),
            ("api_secret", PASSWORD),
            ("from", "Bank"),
            ("to", "40722000111"),
            ("text", "Bună"),
            ("type", "unicode"),
            ("client-ref", "m:1"),
            ("callback", STATUS_URL),
        ],
        [
            (
                Reply(200, {"message-count": "1", "messages": [{"to": "4", "message-id": "0C0", "status": "0"}]}),
                Accepted("0C0", "0", 1, "ucs2"),
            ),
            (
                Reply(
                    200, {"message-count": "2", "messages": [{"message-id": f"0C{n}", "status": "0"} for n in (0, 1)]}
                ),
                Accepted("0C0", "0", 2, "ucs2", ("0C0", "0C1")),
            ),
            (
                Reply(200, {"message-count": "1", "messages": [{"status": "1", "error-text": "Throttled"}]}),
                Throttled(code="1"),
            ),
            (
                Reply(200, {"message-count": "1", "messages": [{"status": "4", "error-text": "Bad Credentials"}]}),
                Deferred(Reason.AUTHENTICATION_FAILED, "4"),
            ),
            (
                Reply(200, {"message-count": "1", "messages": [{"status": "7", "error-text": "barred"}]}),
                Rejected(Reason.PROVIDER_REJECTED, "7"),
            ),
            (
                Reply(200, {"message-count": "1", "messages": [{"status": "33", "error-text": "De-activated"}]}),
                Rejected(Reason.PROVIDER_REJECTED, "33"),
            ),
            (
                Reply(200, {"message-count": "2", "messages": [{"status": "0", "message-id": "1"}, {"status": "1"}]}),
                Unknown(Reason.ANSWER_MISSING, "mixed"),
            ),
            (Reply(200, {"messages": [{"status": "99"}]}), Unknown(Reason.ANSWER_UNLISTED, "99")),
        ],
        kind="application/x-www-form-urlencoded",
    ),
    "infobip": Preset(
        {"token": SECRET, "settings": {"host": "xyz.api.infobip.com", "from": "Bank", "status_url": STATUS_URL}},
        "https://xyz.api.infobip.com/sms/3/messages",
        "/sms/3/messages",
        SMS,
        ("Authorization", f"App {PASSWORD}"),
        {
            "messages": [
                {
                    "sender": "Bank",
                    "destinations": [{"to": "40722000111", "messageId": "m:1"}],
                    "content": {"text": "Bună"},
                    "webhooks": {
                        "delivery": {"url": STATUS_URL},
                        "contentType": "application/json",
                        "callbackData": ECHO.format(channel="SMS"),
                    },
                }
            ]
        },
        [
            (
                Reply(
                    200,
                    {
                        "bulkId": "b",
                        "messages": [
                            {
                                "messageId": "m:1",
                                "status": {"groupId": 1, "groupName": "PENDING", "name": "PENDING_ACCEPTED"},
                                "destination": "40722000111",
                                "details": {"messageCount": 1},
                            }
                        ],
                    },
                ),
                Accepted("m:1", "PENDING", 1, "ucs2"),
            ),
            (
                Reply(
                    200,
                    {
                        "messages": [
                            {"messageId": "m:1", "status": {"groupName": "REJECTED", "name": "REJECTED_DESTINATION"}}
                        ]
                    },
                ),
                Rejected(Reason.PROVIDER_REJECTED, "REJECTED"),
            ),
            (
                Reply(
                    200,
                    {
                        "messages": [
                            {
                                "messageId": "m:1",
                                "status": {"groupName": "REJECTED", "name": "REJECTED_NOT_ENOUGH_CREDITS"},
                            }
                        ]
                    },
                ),
                Deferred(Reason.PROVIDER_UNAVAILABLE, "REJECTED_NOT_ENOUGH_CREDITS"),
            ),
            (
                Reply(429, {"requestError": {"serviceException": {"messageId": "TOO_MANY_REQUESTS"}}}),
                Throttled(code="429"),
            ),
            (Reply(401, {"requestError": {"serviceException": {"messageId": "UNAUTHORIZED"}}}), BAD_KEY),
        ],
    ),
    "sinch": Preset(
        {"token": SECRET, "settings": {"region": "eu", "service_plan_id": "plan1", "from": "Bank"}},
        "https://eu.sms.api.sinch.com/xms/v1/plan1/batches",
        "/xms/v1/plan1/batches",
        SMS,
        ("Authorization", f"Bearer {PASSWORD}"),
        {
            "type": "mt_text",
            "from": "Bank",
            "to": ["40722000111"],
            "body": "Bună",
            "client_reference": "m:1",
            "delivery_report": "none",
        },
        [
            (
                Reply(201, {"id": "01FC66621X", "to": ["40722000111"], "canceled": False}),
                Accepted("01FC66621X", "201", 1, "ucs2"),
            ),
            (
                Reply(400, {"code": "syntax_invalid_parameter_format", "text": "40722000111"}),
                Rejected(Reason.PROVIDER_REJECTED, "syntax_invalid_parameter_format"),
            ),
            (
                Reply(403, {"code": "blocked_account", "text": "blocked"}),
                Deferred(Reason.PROVIDER_UNAVAILABLE, "blocked_account"),
            ),
            (Reply(401, None), BAD_KEY),
            (Reply(429, None), Throttled(code="429")),
        ],
    ),
}


def config_of(name: str, **more: Any) -> HttpConfig:
    return provider_config({"preset": name, **PRESETS[name].written, **more}, {"SECRET": PASSWORD})


async def asked_of(name: str, message: Message, *, path: str = "") -> Asked:
    async with hosted(Reply(503)) as service, opened(config_of(name, url=service.url + path)) as adapter:
        await adapter.send([Submission(message, 1)])
        (asked,) = service.asked
        return asked


def test_every_preset_is_tested_here() -> None:
    assert set(presets.NAMES) == set(PRESETS)


@pytest.mark.parametrize("name", PRESETS)
def test_a_preset_names_its_vendor_s_pages_and_goes_there(name: str) -> None:
    assert presets.text(name).count("# Request: https://") + presets.text(name).count("# Request and errors: ") == 1
    assert address(config_of(name)) == PRESETS[name].url
    assert not read(presets.text(name), name=name).problems


@pytest.mark.parametrize("name", PRESETS)
async def test_a_request_has_the_documented_shape(name: str) -> None:
    preset = PRESETS[name]

    asked = await asked_of(name, preset.message, path=preset.path)

    assert asked.path == preset.path
    assert asked.headers["Content-Type"].partition(";")[0] == preset.kind
    header, value = preset.header
    assert asked.headers[header].startswith(value)
    assert asked.content == preset.content


@pytest.mark.parametrize("name", [name for name, preset in PRESETS.items() if preset.plain])
async def test_what_a_message_does_not_have_is_not_in_the_request(name: str) -> None:
    asked = await asked_of(name, PLAIN)

    assert asked.content == PRESETS[name].plain


LEAVE = "https://bank.example/leave?m={{ message_id }}"
UNSUBSCRIBE = {
    "List-Unsubscribe": "<https://bank.example/leave?m=m:2>",
    "List-Unsubscribe-Post": "List-Unsubscribe=One-Click",
}
ADDED: dict[str, Any] = {
    "sendgrid": lambda content: content["headers"],
    "mailgun": lambda content: {name[2:]: value for name, value in content if name.startswith("h:")},
    "postmark": lambda content: {each["Name"]: each["Value"] for each in content[0]["Headers"]},
    "ses": lambda content: {each["Name"]: each["Value"] for each in content["Content"]["Simple"]["Headers"][2:]},
}


@pytest.mark.parametrize("name", ADDED)
async def test_a_mail_carries_how_its_channel_lets_people_leave(name: str) -> None:
    for leave, headers in ((LEAVE, UNSUBSCRIBE), ("mailto:leave@bank.example", None)):
        asked = Submission(PLAIN, 1, form=Form(list_unsubscribe=leave))
        async with hosted(Reply(503)) as service, opened(config_of(name, url=service.url)) as adapter:
            await adapter.send([asked])

        found = ADDED[name](service.asked[0].content)
        assert found == (headers or {"List-Unsubscribe": "<mailto:leave@bank.example>"})


@pytest.mark.parametrize(
    ("name", "reply", "outcome"),
    [(name, reply, outcome) for name, preset in PRESETS.items() for reply, outcome in preset.answers],
)
async def test_a_documented_answer_means_what_the_vendor_says(name: str, reply: Reply, outcome: Outcome) -> None:
    async with hosted(reply) as service, opened(config_of(name, url=service.url)) as adapter:
        assert await adapter.send([Submission(PRESETS[name].message, 1)]) == [outcome]


BATCH = [Submission(SMS._replace(head=Head(f"m:{number}", "SMS"), to=f"4072200011{number}"), 1) for number in range(3)]
MAILS = [Submission(PLAIN._replace(head=Head(f"m:{number}", "Email")), 1) for number in range(3)]


async def test_postmark_tells_the_messages_of_a_batch_apart_by_order() -> None:
    results = [{"ErrorCode": 0, "MessageID": "a"}, {"ErrorCode": 300}, {"ErrorCode": 0, "MessageID": "c"}]
    async with hosted(Reply(200, results)) as service, opened(config_of("postmark", url=service.url)) as adapter:
        outcomes = await adapter.send(MAILS)

        assert [item["Metadata"]["message_id"] for item in service.asked[0].content] == ["m:0", "m:1", "m:2"]
    assert outcomes == [Accepted("a", "0"), Rejected(Reason.PROVIDER_REJECTED, "300"), Accepted("c", "0")]


async def test_infobip_tells_the_messages_of_a_batch_apart_by_our_id() -> None:
    results = [
        {"messageId": "m:2", "status": {"groupName": "PENDING", "name": "PENDING_ENROUTE"}},
        {"messageId": "m:0", "status": {"groupName": "REJECTED", "name": "REJECTED_NETWORK"}},
    ]
    reply = Reply(200, {"messages": results})
    async with hosted(reply) as service, opened(config_of("infobip", url=service.url)) as adapter:
        outcomes = await adapter.send(BATCH)

    assert outcomes == [
        Rejected(Reason.PROVIDER_REJECTED, "REJECTED"),
        Unknown(Reason.ANSWER_MISSING),
        Accepted("m:2", "PENDING", 1, "ucs2"),
    ]


@pytest.mark.parametrize(
    ("name", "outcome"),
    [
        ("REJECTED_DESTINATION_NOT_REGISTERED", Deferred),
        ("REJECTED_DUPLICATE_MESSAGE_ID", Unknown),
        ("REJECTED_FLOODING_FILTER", Deferred),
        ("REJECTED_NETWORK", Rejected),
        ("REJECTED_PREPAID_PACKAGE_EXPIRED", Deferred),
        ("REJECTED_SENDER", Deferred),
        ("REJECTED_SOURCE", Deferred),
        ("REJECTED_SYSTEM_ERROR", Deferred),
    ],
)
async def test_infobip_rejects_a_message_for_good_only_where_the_message_is_at_fault(
    name: str, outcome: type[Outcome]
) -> None:
    reply = Reply(200, {"messages": [{"messageId": "m:1", "status": {"groupName": "REJECTED", "name": name}}]})
    async with hosted(reply) as service, opened(config_of("infobip", url=service.url)) as adapter:
        (found,) = await adapter.send([Submission(SMS, 1)])

    assert isinstance(found, outcome)


@pytest.mark.parametrize("name", PRESETS)
def test_every_row_of_a_preset_is_a_code_that_an_answer_can_give(name: str) -> None:
    assert [code for code in config_of(name).codes if not CODE.fullmatch(code)] == []


async def test_a_batch_that_is_refused_as_a_whole_is_sent_one_by_one() -> None:
    whole = Reply(413, "too large")
    one = Reply(200, [{"ErrorCode": 0, "MessageID": "a"}])
    async with hosted(whole, one) as service, opened(config_of("postmark", url=service.url)) as adapter:
        outcomes = await adapter.send(MAILS)

        assert [len(asked.content) for asked in service.asked] == [3, 1, 1, 1]
    assert outcomes == [Accepted("a", "0")] * 3
