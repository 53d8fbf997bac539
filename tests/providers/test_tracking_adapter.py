"""Mails leave with what their channels track, and nothing else does: over real servers, under a signature."""

from __future__ import annotations

import base64
import re
from contextlib import asynccontextmanager
from email import message_from_bytes, policy
from typing import TYPE_CHECKING, Any

import dkim
import pytest

from processor.cli.adapters import open_adapters
from processor.core.control import address_hash
from processor.core.message import Attachment, Head
from processor.core.outcome import Accepted
from processor.core.plan import Form
from processor.core.tokens import Keys, Purpose, Sealer, Ticket
from processor.core.words import Purpose as For
from processor.core.words import Scope
from processor.metrics import REGISTRY
from processor.providers.smtp.config import DkimKey
from processor.providers.tracking.adapter import WithTracking
from processor.providers.tracking.config import TrackingConfig
from processor.providers.tracking.tracker import Tracker
from processor.settings.load import load_text
from tests.providers.hosted import Reply, hosted
from tests.providers.rogue import says
from tests.providers.twins import NOW_MS, http_config, listening, opened, smtp_config, submission
from tests.support.certificates import signing_key

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from processor.providers.adapter import Submission

BASE = "https://t.example"
HASH_KEY = b"the key of a list"
KEYS = Keys(1, {1: b"a key of a test, long enough"})
SEALER = Sealer(KEYS)
HTML = '<body><a href="https://a.example/?a=1&amp;b=ü">ü</a><a href="{{ unsubscribe_url }}">no more</a></body>'
TRACKED = Form(tracks_opens=True, tracks_clicks=True, unsubscribe_scope=Scope.MARKETING)
LINK = re.compile(re.escape(BASE) + r"/([cou])/([A-Za-z0-9_-]+)")


def config(**settings: Any) -> TrackingConfig:
    defaults: dict[str, Any] = {"base_url": BASE, "keys": KEYS, "hash_key": HASH_KEY}
    return TrackingConfig(**defaults | settings)


def asked(
    form: Form = TRACKED, *, purpose: For = For.MARKETING, to: str = "ann@example.org", **more: Any
) -> Submission:
    campaign, external = more.pop("campaign_id", "spring"), more.pop("external_id", "ref-1")
    made = submission(to, **{"html": HTML} | more)
    head = Head("m:1", "Email", purpose=purpose, campaign_id=campaign, external_id=external)
    return made._replace(message=made.message._replace(head=head), form=form)


def sent(*batch: Submission, **settings: Any) -> list[Submission]:
    """What the adapter is given."""
    tracker = Tracker(config(**settings))
    return [tracker.tracked(each, now_ms=NOW_MS) for each in batch]


def tickets(text: str) -> dict[str, Ticket | None]:
    return {kind: SEALER.open(Purpose(kind), token) for kind, token in LINK.findall(text)}


def counted(name: str, reason: str) -> float:
    return REGISTRY.get_sample_value(name, {"reason": reason}) or 0


TOLD = Ticket("m:1", "Email", NOW_MS // 1_000, "spring", "ref-1")
UNSUBSCRIBES = TOLD._replace(address_hash=address_hash("ann@example.org", HASH_KEY), scope="marketing")


def test_a_marketing_mail_tells_of_opens_and_clicks_and_lets_people_leave() -> None:
    (out,) = sent(asked())

    assert tickets(out.message.html or "") == {
        "c": TOLD._replace(url="https://a.example/?a=1&b=%C3%BC"),
        "u": UNSUBSCRIBES,
        "o": TOLD,
    }
    assert tickets(out.form.list_unsubscribe or "") == {"u": UNSUBSCRIBES}
    assert out._replace(message=asked().message, form=TRACKED) == asked()


def test_a_one_time_password_leaves_as_it_came() -> None:
    password = asked(purpose=For.OTP)

    assert sent(password, asked(Form(tracks_opens=True, purpose=For.MARKETING), purpose=For.OTP)) == [
        password,
        asked(Form(tracks_opens=True, purpose=For.MARKETING), purpose=For.OTP),
    ]


@pytest.mark.parametrize(
    ("form", "purpose", "kinds", "header"),
    [
        (Form(), For.MARKETING, "", False),
        (Form(unsubscribe_scope=Scope.MARKETING), For.MARKETING, "u", True),
        (Form(unsubscribe_scope=Scope.MARKETING), For.TRANSACTIONAL, "u", False),
        (Form(unsubscribe_scope=Scope.MARKETING, purpose=For.MARKETING), For.TRANSACTIONAL, "u", True),
        (Form(unsubscribe_scope=Scope.MARKETING, purpose=For.TRANSACTIONAL), For.MARKETING, "u", False),
        (Form(tracks_opens=True), For.TRANSACTIONAL, "o", False),
        (Form(tracks_clicks=True), For.TRANSACTIONAL, "c", False),
        (TRACKED, For.TRANSACTIONAL, "cou", False),
    ],
)
def test_each_channel_gets_what_it_asks_for(form: Form, purpose: For, kinds: str, header: bool) -> None:
    (out,) = sent(asked(form, purpose=purpose))

    assert "".join(sorted(tickets(out.message.html or ""))) == kinds
    assert (out.form.list_unsubscribe is not None) is header


def test_a_channel_with_an_address_of_its_own_keeps_it_and_its_links_are_not_led_over_us() -> None:
    own = "https://leave.example/?m={{ message_id }}"
    links = '<a href="https://leave.example/?m=m%3A1">1</a><a href="https://leave.example/?m=m:1">2</a>'
    html = links + '<a href="{{ unsubscribe_url }}">3</a>'
    form = Form(tracks_clicks=True, list_unsubscribe=own, unsubscribe_scope=Scope.MARKETING)

    marketing, transactional = sent(asked(form, html=html), asked(form, purpose=For.TRANSACTIONAL, html=links))

    assert (marketing.form, transactional.form) == (form, form)
    assert marketing.message.html == html.replace("{{ unsubscribe_url }}", "https://leave.example/?m=m%3A1")
    assert transactional.message.html == links


def test_a_message_without_html_or_for_a_phone_is_not_touched_but_for_the_way_to_leave() -> None:
    text, phone = asked(html=None, text="https://a.example {{ unsubscribe_url }}"), asked(to="+40722000111")

    mail, sms = sent(text, phone)

    assert mail.message == text.message
    assert tickets(mail.form.list_unsubscribe or "") == {"u": UNSUBSCRIBES}
    assert sms == phone


def test_attachments_and_the_text_stay_even_if_they_are_html() -> None:
    page = Attachment("page.html", "text/html", b'<body><a href="https://a.example">x</a></body>')
    amp = Attachment("amp.html", "text/x-amp-html", b'<a href="https://a.example">x</a>')
    mail = asked(attachments=(page, amp), text='<a href="https://a.example">x</a>')

    (out,) = sent(mail)

    assert out.message._replace(html=HTML) == mail.message


def test_an_unsubscribe_names_the_mailbox_as_it_goes_on_the_wire() -> None:
    (out,) = sent(asked(to="Jürgen@Bücher.example"))

    ticket = tickets(out.form.list_unsubscribe or "")["u"]
    assert ticket is not None
    assert ticket.address_hash == address_hash("jürgen@xn--bcher-kva.example", HASH_KEY)


@pytest.mark.parametrize(("campaign", "scope"), [("spring", "campaign"), (None, "marketing")])
def test_who_cannot_leave_a_campaign_without_a_name_leaves_all_marketing(campaign: str | None, scope: str) -> None:
    (out,) = sent(asked(Form(unsubscribe_scope=Scope.CAMPAIGN), campaign_id=campaign))

    ticket = tickets(out.form.list_unsubscribe or "")["u"]
    assert ticket is not None
    assert (ticket.campaign_id, ticket.scope) == (campaign, scope)


async def test_a_way_to_leave_never_makes_a_mail_unsendable() -> None:
    long = "".join(map(chr, range(0x4E00, 0x4E00 + 1_000)))
    before = counted("comm_links_untracked_total", "too_long")

    shortened, none = sent(asked(external_id=long), asked(campaign_id=long))

    ticket = tickets(shortened.form.list_unsubscribe or "")["u"]
    assert ticket == UNSUBSCRIBES._replace(external_id=None)
    assert none.form.list_unsubscribe is None
    assert counted("comm_links_untracked_total", "too_long") > before
    async with taken() as (port, seen), opened(smtp_config(port)) as smtp:
        tracking = WithTracking(smtp, config(), now_ms=lambda: NOW_MS)
        assert await tracking.send([asked(external_id=long), asked(campaign_id=long)]) == [Accepted(code="250")] * 2
    assert len(seen) == 2


def test_what_cannot_be_read_goes_out_as_it_came_and_is_counted() -> None:
    names = [("unreadable", "<select><xmp>"), ("unended", "<p><!-- x")]
    before = [counted("comm_bodies_untracked_total", reason) for reason, _ in names]

    out = sent(*(asked(html=html) for _, html in names))

    assert [each.message.html for each in out] == [html for _, html in names]
    assert [counted("comm_bodies_untracked_total", reason) for reason, _ in names] == [each + 1 for each in before]


def test_the_hidden_link_comes_with_tracking_alone() -> None:
    tracked, plain = sent(asked(Form(tracks_opens=True)), asked(Form()), hidden_link=True)

    assert "aria-hidden" in (tracked.message.html or "")
    assert plain.message.html == HTML


@asynccontextmanager
async def taken() -> AsyncIterator[tuple[int, list[bytes]]]:
    """A mail server's port, and the mails it took."""
    lines: list[bytes] = []
    mails: list[bytes] = []
    async with listening(says(lines)) as port:
        yield port, mails
    mails += [line.removesuffix(b".\r\n").replace(b"\r\n..", b"\r\n.") for line in lines if b"\r\nMIME-Version" in line]


async def test_the_signature_is_over_the_rewritten_mail() -> None:
    key = DkimKey("example.com", "s1", signing_key("ed25519")[0])
    public = base64.b64encode(signing_key("ed25519")[1])

    async with taken() as (port, mails), opened(smtp_config(port, dkim=(key,))) as smtp:
        await WithTracking(smtp, config(), now_ms=lambda: NOW_MS).send([asked(text="plain", cc=("c@example.org",))])

    (raw,) = mails
    assert dkim.verify(raw, dnsfunc=lambda *_, **__: b"v=DKIM1; k=ed25519; p=" + public)
    mail = message_from_bytes(raw, policy=policy.default)
    html = mail.get_body(("html",))
    assert html is not None
    assert set(tickets(html.get_content())) == {"c", "o", "u"}
    assert tickets(str(mail["List-Unsubscribe"])) == {"u": UNSUBSCRIBES}
    assert mail["List-Unsubscribe-Post"] == "List-Unsubscribe=One-Click"
    tampered = raw.replace(b"/c/", b"/x/", 1)
    assert tampered != raw
    assert not dkim.verify(tampered, dnsfunc=lambda *_, **__: b"v=DKIM1; k=ed25519; p=" + public)


@pytest.mark.parametrize("base_url", [BASE, "http://127.0.0.1:8081"])
async def test_a_hosted_service_gets_both_each_message_its_own(base_url: str) -> None:
    item = {
        "html": "{{ html }}",
        "leave": {"{{ with list_unsubscribe }}": "<{{ list_unsubscribe }}>"},
        "post": "{{ list_unsubscribe_post }}",
    }
    async with hosted(Reply(200, [{}, {}])) as service:
        settings = http_config(f"{service.url}/", body={"all": "{{ items }}"}, item=item, results="@")
        async with opened(settings) as http:
            tracking = WithTracking(http, config(base_url=base_url), now_ms=lambda: NOW_MS)
            await tracking.send([asked(), asked(purpose=For.TRANSACTIONAL, html="<p>x")])

    first, second = service.asked[0].content["all"]
    assert first["leave"].startswith(f"<{base_url}/u/")
    assert first["post"] == "List-Unsubscribe=One-Click"
    assert f'href="{base_url}/c/' in first["html"]
    assert re.fullmatch(
        rf'<p>x<img src="{base_url}/o/[\w-]+" width="1" height="1" alt="" style="border:0">', second["html"]
    )
    assert "leave" not in second
    assert "post" not in second


CONFIGURED = """
channels:
  Email:
    action: EMAIL
    bus_channel: EMAIL
    bus_provider: Bus
    provider: Gateway
    tracking: {opens: true, clicks: true}
providers:
  Gateway:
    {adapter: smtp, bus_provider: Bus, bus_channel: EMAIL, host: 127.0.0.1, tls: "off", from_address: a@example.com}
"""


@pytest.mark.parametrize(("tracking", "kinds"), [(f"tracking: {{base_url: {BASE}/}}", {"c", "o", "u"}), ("", set())])
async def test_what_is_configured_is_what_a_mail_server_is_given(tracking: str, kinds: set[str]) -> None:
    async with taken() as (port, mails):
        text = CONFIGURED.replace("127.0.0.1,", f"127.0.0.1, port: {port},") + tracking
        settings = load_text(text, name="commproc.yaml", environ={})
        adapter = open_adapters(settings)["Gateway"]

        assert await adapter.send([asked(settings.plan().channels["Email"].form)]) == [Accepted(code="250")]
        await adapter.close()

    mail = message_from_bytes(mails[0], policy=policy.default)
    html = mail.get_body(("html",))
    assert html is not None
    tokens = dict(LINK.findall(html.get_content()))
    assert tokens.keys() == kinds
    assert ("List-Unsubscribe" in mail) is bool(kinds)
    if kinds:
        opened_by = Sealer(settings.tracking.sealing_keys())
        assert opened_by.open(Purpose.OPEN, tokens["o"]) is not None
        leave = opened_by.open(Purpose.UNSUBSCRIBE, tokens["u"])
        assert leave is not None
        assert leave.address_hash == address_hash("ann@example.org", settings.suppression.hash_key())


def test_no_key_is_in_what_is_shown_of_the_configuration() -> None:
    assert repr(config()) == f"TrackingConfig(base_url='{BASE}', keys=Keys(current=1), hidden_link=False)"
