"""The public side as people and providers meet it: a real browser opens what we sent, and the events are in Kafka."""

from __future__ import annotations

import json
import urllib.request
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import pytest
from playwright.sync_api import sync_playwright

from processor.core.control import address_hash
from processor.core.events import Control
from processor.core.tokens import Keys, Purpose, Sealer, Ticket
from processor.core.words import Purpose as Serves
from processor.core.words import Reason, Status
from processor.sandbox.callbacks import HEADER, TIMESTAMP_HEADER
from processor.sandbox.ports import free_port
from tests.cli.command import commproc
from tests.providers.test_webhook_sandbox import WEBHOOK
from tests.support.cluster import fresh
from tests.support.controls import heard, now_ms
from tests.support.eventually import eventually
from tests.support.plant import PASSWORD, STAGES, message, plant
from tests.support.web import CHROME, ask

if TYPE_CHECKING:
    from collections.abc import Iterator

    from playwright.sync_api import BrowserContext, Page

    from processor.core.events import EngagementEvent
    from processor.sandbox.broker import Broker
    from tests.support.plant import Plant

WITHIN_S = 30
CAMPAIGN = "spring"
ONE_CLICK = "List-Unsubscribe=One-Click"
FORM = "application/x-www-form-urlencoded"
PARTS = "multipart/form-data; boundary=4711"


def tracked(port: int) -> dict[str, Any]:
    """Return newsletters that are tracked, one-time passwords by mail, and a text service that calls back."""
    mails = {"action": "EMAIL", "bus_channel": "EMAIL", "bus_provider": "Mails", "provider": "Mail"}
    newsletters = {"purpose": "marketing", "tracking": {"opens": True, "clicks": True, "unsubscribe": "marketing"}}
    passwords = {"purpose": "otp", "lane": "express", "validity": "5m", "in_doubt": "report"}
    reported = {
        "body": {"to": "{{ to }}", "text": "{{ text }}", "message_id": "{{ message_id }}", "ref": "{{ echo }}"},
        "provider_message_id": "id",
        "webhook": WEBHOOK | {"secret": {"env": "CANARY_TOKEN"}},
    }
    return {
        "tracking": {"base_url": f"http://127.0.0.1:{port}", "port": port, "human_after": "0s", "hidden_link": True},
        "channels": {"Newsletter": mails | newsletters, "MailOTP": mails | passwords},
        "providers": {"Text": reported},
    }


@pytest.fixture(scope="module")
def works(kafka: Broker, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Plant]:
    folder, port = tmp_path_factory.mktemp("browser"), free_port()
    sandboxed = {
        "mailbox": folder / "mailbox",
        "webhook_url": f"http://127.0.0.1:{port}/w/Text",
        "webhook_key": PASSWORD,
    }
    with plant(
        kafka.bootstrap,
        folder,
        running=(*STAGES, "tracking"),
        changes=tracked(port),
        sandboxed=sandboxed,
    ) as made:
        yield made


@pytest.fixture(scope="module")
def browser(chromium: str) -> Iterator[BrowserContext]:
    """A browser with the name of one that has a window: one that says it has none is a known crawler."""
    with (
        sync_playwright() as playwright,
        playwright.chromium.launch(executable_path=chromium, args=["--no-sandbox"]) as started,
        started.new_context(user_agent=CHROME) as context,
    ):
        context.set_default_timeout(WITHIN_S * 1_000)
        yield context


@pytest.fixture
def page(browser: BrowserContext) -> Iterator[Page]:
    with browser.new_page() as opened:
        yield opened


class Mailed:
    """A newsletter in its recipient's mailbox."""

    def __init__(self, works: Plant, *, to: str | None = None) -> None:
        self.works = works
        self.id = fresh("newsletter")
        self.to = to or f"{self.id}@example.com"
        self.target = f"{works.sandbox.http_url}/healthz?offer=2&of={self.id}#there"
        html = (
            '<html><body><p>News <a href="mailto:us@example.com">us</a> <a href="https://shop.example/">shop</a>'
            f' <a href="{self.target.replace("&", "&amp;")}">Spring offers</a>'
            ' <a href="{{ unsubscribe_url }}">Leave</a></p></body></html>'
        )
        letter = message(self.id, "Newsletter", to=self.to, campaign_id=CAMPAIGN, external_id="order-1")
        works.ask([letter._replace(html=html)])
        works.drained(within_s=WITHIN_S)

    @property
    def status(self) -> Status:
        [end] = [each for each in self.works.check().delivery if each.message_id == self.id]
        return end.status

    @property
    def listed(self) -> dict[str, Any]:
        """The line of the mailbox: its number and headers."""
        with urllib.request.urlopen(f"{self.works.sandbox.http_url}/mailbox?after=0", timeout=5) as answer:
            lines = [json.loads(line) for line in answer.read().splitlines()]
        by_id = {line["headers"]["message-id"].partition("@")[0]: line for line in lines}
        return dict(by_id[f"<{self.id}"])

    @property
    def url(self) -> str:
        """Where the mailbox shows it."""
        return f"{self.works.sandbox.http_url}/mailbox/{self.listed['n']}"

    @property
    def leave(self) -> str:
        """The address of List-Unsubscribe."""
        return str(self.listed["headers"]["list-unsubscribe"]).strip("<>")

    def acts(self, kind: str) -> list[EngagementEvent]:
        return [each for each in self.works.ledgers().engagement if (each.message_id, each.type) == (self.id, kind)]

    def act(self, kind: str) -> EngagementEvent:
        [event] = eventually(lambda: self.acts(kind), within_s=WITHIN_S, what=self.works.output)
        return event


def published(works: Plant) -> dict[tuple[str, int], int]:
    """Return how far the topics reach that the public side writes."""
    names = works.names
    return works.cluster.ends(works.cluster.places([names.engagement, names.control, names.receipts]))


def controls(works: Plant) -> list[Control]:
    found = [works.codecs.events.decode_event(each.value()) for each in works.cluster.read([works.names.control])]
    return [each for each in found if isinstance(each, Control)]


def suppressed(works: Plant, letter: Mailed) -> Control:
    """Return the control that an unsubscribe led to, once the dispatcher knows it."""
    found = controls(works)
    heard(works, "suppression", len(found))
    [control] = [each for each in found if each.message_id == letter.id]
    return control


def test_a_person_opens_a_newsletter_and_follows_a_link(works: Plant, page: Page) -> None:
    letter = Mailed(works)

    page.goto(letter.url)

    assert page.evaluate("[...document.images].map(each => each.naturalWidth)") == [1]
    assert page.get_by_role("link").all_inner_texts() == ["us", "shop", "Spring offers", "Leave"]  # no hidden one
    assert page.get_by_role("link", name="Leave").get_attribute("href") == letter.leave
    opened = letter.act("opened")
    assert (opened.actor, opened.rule, opened.user_agent_family) == ("human", "browser", "chrome")
    assert (opened.channel, opened.campaign_id, opened.external_id) == ("Newsletter", CAMPAIGN, "order-1")
    assert letter.acts("clicked") == []

    page.get_by_role("link", name="Spring offers").click()
    page.wait_for_url(letter.target)

    assert json.loads(page.inner_text("body"))["status"] == "ok"
    clicked = letter.act("clicked")
    assert (clicked.url, clicked.position) == (letter.target, 2)
    assert (clicked.actor, clicked.rule, clicked.repeated) == ("human", "browser", False)

    def opened_again() -> list[EngagementEvent]:
        page.goto(letter.url)  # no browser keeps the pixel
        return [
            each for each in letter.acts("opened") if each.message_status == "SENT" and each.event_id != opened.event_id
        ]

    assert {each.repeated for each in eventually(opened_again, within_s=WITHIN_S, what=works.output)} == {True}


def test_whoever_presses_the_button_gets_no_newsletter_more_and_still_what_he_asked_for(
    works: Plant, page: Page
) -> None:
    letter = Mailed(works)
    before = published(works)

    for _ in range(2):
        page.goto(letter.leave)
    button = page.get_by_role("button", name="Unsubscribe")
    assert button.evaluate("each => getComputedStyle(each).cursor") == "pointer"  # the page's policy allows its style
    assert published(works) == before

    button.click()

    page.get_by_role("heading", name="Unsubscribed").wait_for()
    event = letter.act("unsubscribed")
    assert (event.scope, event.actor, event.campaign_id, event.url) == ("marketing", "human", CAMPAIGN, None)
    control = suppressed(works, letter)
    hashed = address_hash(letter.to, works.settings.suppression.hash_key())
    assert (control.kind, control.scope, control.address_hash) == ("suppression", "marketing", hashed)
    assert (control.cause, control.until_ms) == ("unsubscribed", None)
    assert published(works) != before

    receipt, password = message(fresh("receipt"), to=letter.to), message(fresh("code"), "MailOTP", to=letter.to)
    works.ask([receipt, password._replace(head=password.head._replace(purpose=Serves.OTP))])
    following = Mailed(works, to=letter.to)

    ends = {each.message_id: each for each in works.check().delivery}
    assert ends[following.id].reason is Reason.RECIPIENT_SUPPRESSED
    assert following.status is Status.SUPPRESSED
    assert ends[receipt.head.message_id].status is Status.SENT
    assert ends[password.head.message_id].status is Status.SENT
    assert letter.to not in works.output()


@pytest.mark.parametrize(
    ("kind", "body"),
    [
        (FORM, ONE_CLICK),
        (PARTS, '--4711\r\nContent-Disposition: form-data; name="List-Unsubscribe"\r\n\r\nOne-Click\r\n--4711--\r\n'),
    ],
    ids=["form", "parts"],
)
def test_a_mail_providers_server_unsubscribes_with_one_post(works: Plant, kind: str, body: str) -> None:
    letter = Mailed(works)
    assert letter.listed["headers"]["list-unsubscribe-post"] == ONE_CLICK
    where = urlsplit(letter.leave)
    assert where.port is not None

    # RFC 8058 §3.2: no cookies, no credentials, no redirect followed.
    answer = ask(where.port, "POST", where.path, body.encode(), agent="Go-http-client/2.0", **{"Content-Type": kind})

    assert answer.status == 200
    event = letter.act("unsubscribed")
    assert (event.actor, event.rule) == ("human", "one_click")
    assert suppressed(works, letter).scope == "marketing"
    assert Mailed(works, to=letter.to).status is Status.SUPPRESSED


def test_a_forged_link_shows_the_page_of_a_link_that_never_was(works: Plant, page: Page) -> None:
    letter = Mailed(works)
    base = works.settings.tracking.base_url
    elsewhere = Ticket("m", "Newsletter", now_ms() // 1_000, url="https://evil.example/", address_hash="0" * 32)
    strangers = Sealer(Keys(0, {0: b"a key that somebody else has"}))
    middle = len(letter.leave) - 20
    changed = letter.leave[:middle] + ("A" if letter.leave[middle] != "A" else "B") + letter.leave[middle + 1 :]
    forged = [f"{base}/{purpose}/{strangers.seal(purpose, elsewhere)}" for purpose in Purpose]
    before = published(works)

    shown = set()
    for address in (f"{base}/c/nothing", *forged, changed, letter.leave[:-1], letter.leave.replace("/u/", "/c/")):
        answer = page.goto(address)
        assert answer is not None
        assert page.url == address
        shown.add((answer.status, answer.headers["content-type"], page.content()))

    assert [status for status, _, _ in shown] == [404]
    assert published(works) == before


def test_what_a_provider_reports_by_webhook_is_what_the_message_has_come_to(works: Plant) -> None:
    name = fresh("text")
    works.ask([message(name, "SMS")])

    def delivered() -> list[Any]:
        return [each for each in works.ledgers().delivery if each.message_id == name and not each.terminal]

    [event] = eventually(delivered, within_s=WITHIN_S, what=works.output)
    assert (event.status, event.reason, event.provider) == (Status.DELIVERED, Reason.DELIVERED, "Text")
    assert (event.provider_message_id or "").startswith("sandbox-")
    [end] = [each for each in works.check().delivery if each.message_id == name and each.terminal]
    assert end.status is Status.SENT
    told = commproc("show", name, "--json", config=works.config, environ=works.environ)
    assert (told.code, json.loads(told.out)["status"]) == (0, "DELIVERED")


def test_a_report_with_a_wrong_signature_is_refused_and_published_nowhere(works: Plant) -> None:
    port = works.settings.tracking.port
    body = json.dumps({"reports": [{"id": "r", "type": "delivered", "message": "sandbox-1", "at": 1}]}).encode()
    before = published(works)

    for signature in ("", "sha256=" + "0" * 64, "sha256=%"):
        headers = {HEADER: signature, TIMESTAMP_HEADER: str(now_ms() // 1_000)}
        assert ask(port, "POST", "/w/Text", body, **headers).status == 401

    assert ask(port, "POST", "/w/Mail", body).status == 404
    assert published(works) == before
    assert works.metric("tracking", "comm_webhook_calls_total", provider="Text", outcome="unverified") == 3
