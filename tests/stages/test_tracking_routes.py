"""What is asked for: nothing but a token of ours redirects, and nothing but a POST unsubscribes."""

from __future__ import annotations

from typing import Any
from urllib.parse import unquote

from hypothesis import example, given
from hypothesis import strategies as st

from processor.core.targets import target_of
from processor.core.tokens import HIDDEN_LINK, Keys, Purpose, Sealer, Ticket
from processor.stages.tracking.responses import NO_CONTENT, NOT_FOUND, PIXEL, Response
from processor.stages.tracking.routes import (
    PATH_CHARS_MAX,
    Asked,
    Clicked,
    Headed,
    Opened,
    Probe,
    Reports,
    Shown,
    Unsubscribes,
    asked,
)

SEALER = Sealer(Keys(1, {1: b"a secret of some length for the tests"}))
OTHERS = Sealer(Keys(1, {1: b"the secret of somebody else entirely"}))
URL = "https://shop.example/spring"
METHODS = ["GET", "HEAD", "POST", "PUT", "DELETE", "OPTIONS", "PATCH", "TRACE", "CONNECT", "get", ""]

urls = (
    st.sampled_from([URL, "//evil.example", "javascript:alert(1)", "https:\\evil.example", "http://", "/x", "", None])
    | st.text(max_size=30)
    | st.text(max_size=30).map("https://".__add__)
)


def link(purpose: Purpose, sealer: Sealer = SEALER, **more: Any) -> str:
    token = sealer.seal(purpose, Ticket("m-1", "Email", 1_800_000_000, **more))
    return f"/{purpose}/{token}"


def location(what: Asked) -> str | None:
    response = getattr(what, "response", None)
    return dict(response.headers).get("location") if isinstance(response, Response) else None


paths = st.one_of(
    st.text(max_size=60).map("/".__add__),
    st.text(max_size=60),
    st.builds(
        lambda prefix, url: prefix + (url or ""),
        st.sampled_from(["/c/", "//", "/c//", "/o/", "/u/", "/c?u=", "/c/x?u=", "/\\", "/c/%2f%2f", "/../c/"]),
        urls,
    ),
    st.builds(lambda p, s, u: link(p, s, url=u), st.sampled_from(Purpose), st.sampled_from([SEALER, OTHERS]), urls),
    st.builds(
        lambda u, cut, more: link(Purpose.CLICK, url=u)[: -cut or None] + more,
        urls,
        st.integers(0, 5),
        st.text(max_size=4),
    ),
)


@given(st.sampled_from(METHODS), paths)
@example("GET", "//evil.example")
@example("GET", "/c/https://evil.example")
@example("GET", "/c//evil.example")
def test_no_input_redirects_but_where_a_click_token_of_ours_says(method: str, path: str) -> None:
    for each in (path, unquote(path)):
        goal = location(asked(SEALER, method, each))
        if goal is not None:
            ticket = SEALER.open(Purpose.CLICK, each.removeprefix("/c/"))
            assert ticket is not None
            assert goal == target_of(ticket.url)
            assert goal.lower().startswith(("http://", "https://"))


@given(st.sampled_from([each for each in METHODS if each != "POST"]), paths)
def test_nothing_but_a_post_unsubscribes_or_reports(method: str, path: str) -> None:
    assert not isinstance(asked(SEALER, method, path), Unsubscribes | Reports)


@given(st.sampled_from([each for each in METHODS if each != "GET"]), paths)
def test_nothing_but_a_get_opens_or_clicks(method: str, path: str) -> None:
    assert not isinstance(asked(SEALER, method, path), Opened | Clicked)


def test_a_click_goes_to_its_target_and_an_open_gets_the_pixel() -> None:
    click = asked(SEALER, "GET", link(Purpose.CLICK, url=URL))
    opened = asked(SEALER, "GET", link(Purpose.OPEN))

    assert isinstance(click, Clicked)
    assert location(click) == URL
    assert isinstance(opened, Opened)
    assert opened.response is PIXEL


def test_head_is_answered_as_get_is() -> None:
    click = asked(SEALER, "HEAD", link(Purpose.CLICK, url=URL))

    assert isinstance(click, Headed)
    assert location(click) == URL


def test_a_hidden_link_leads_nowhere_where_it_has_no_target() -> None:
    what = asked(SEALER, "GET", link(Purpose.CLICK, position=HIDDEN_LINK))

    assert isinstance(what, Clicked)
    assert what.response is NO_CONTENT


def test_every_bad_token_gets_the_same_page() -> None:
    click, opened = link(Purpose.CLICK, url=URL), link(Purpose.OPEN)
    bad = [
        click[:-1],
        click + "A",
        click.replace("/c/", "/o/"),
        opened.replace("/o/", "/c/"),
        opened.replace("/o/", "/u/"),
        link(Purpose.CLICK, OTHERS, url=URL),
        link(Purpose.CLICK, url="javascript:alert(1)"),
        link(Purpose.CLICK),
        link(Purpose.UNSUBSCRIBE),
        link(Purpose.UNSUBSCRIBE, address_hash="00", scope="everything"),
        "/c/",
        "/c/" + "A" * PATH_CHARS_MAX,
        "/nothing",
        "/nothing/x",
    ]

    for path in bad:
        what = asked(SEALER, "GET", path)
        assert isinstance(what, Shown)
        assert what.response is NOT_FOUND


def test_other_methods_are_told_which_ones_there_are() -> None:
    for path, allowed in [
        (link(Purpose.CLICK, url=URL), "GET, HEAD"),
        (link(Purpose.OPEN), "GET, HEAD"),
        (link(Purpose.UNSUBSCRIBE), "GET, HEAD, POST"),
        ("/readyz", "GET, HEAD"),
    ]:
        what = asked(SEALER, "DELETE", path)
        assert isinstance(what, Shown)
        assert (what.response.status, dict(what.response.headers)["allow"]) == (405, allowed)


def test_an_unsubscribe_from_a_campaign_that_is_none_widens_to_marketing() -> None:
    what = asked(SEALER, "POST", link(Purpose.UNSUBSCRIBE, address_hash="00", scope="campaign"))

    assert isinstance(what, Unsubscribes)
    assert what.ticket.scope == "marketing"


def test_providers_and_probes_have_their_addresses() -> None:
    assert asked(SEALER, "POST", "/w/Mailgun") == Reports("Mailgun")
    assert asked(SEALER, "GET", "/readyz") == Probe("readyz")
    assert asked(SEALER, "HEAD", "/healthz") == Probe("healthz")
