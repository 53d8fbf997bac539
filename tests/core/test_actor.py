"""Who acted: each rule decides in its place, and no header does harm."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from processor.core.actor import RULES, Act, Actor, Facts, judged
from processor.core.agents import Agent, Family, family_of

CHROME = "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/130.0.0.0 Safari/537.36"
MAC = "Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_7) AppleWebKit/605.1.15 (KHTML, like Gecko)"


def facts(act: Act = Act.CLICKED, agent: Agent | None = None, **more: bool) -> Facts:
    return Facts(act, agent or Agent(Family.CHROME), **more)


@pytest.mark.parametrize(
    ("given_facts", "actor", "rule"),
    [
        (facts(), Actor.HUMAN, "browser"),
        (facts(agent=Agent(Family.OUTLOOK)), Actor.HUMAN, "mail_client"),
        (facts(hidden_link=True), Actor.SCANNER, "hidden_link"),
        (facts(Act.OPENED, Agent(Family.GMAIL_PROXY), hidden_link=True), Actor.SCANNER, "hidden_link"),
        (facts(headed=True), Actor.SCANNER, "head"),
        (facts(agent=Agent(Family.CHROME, crawler=True)), Actor.SCANNER, "known_agent"),
        (facts(too_soon=True), Actor.SCANNER, "too_soon"),
        (facts(Act.OPENED, Agent(Family.APPLE_PROXY), too_soon=True), Actor.PRIVACY_PROXY, "privacy_proxy"),
        (facts(Act.OPENED, Agent(Family.GMAIL_PROXY, crawler=True)), Actor.PRIVACY_PROXY, "privacy_proxy"),
        (facts(Act.CLICKED, Agent(Family.APPLE_PROXY)), Actor.UNKNOWN, None),
        (facts(Act.UNSUBSCRIBED, Agent(Family.OTHER)), Actor.HUMAN, "one_click"),
        (facts(Act.UNSUBSCRIBED, Agent(Family.OTHER, crawler=True)), Actor.HUMAN, "one_click"),
        (facts(Act.UNSUBSCRIBED, Agent(None), too_soon=True), Actor.SCANNER, "too_soon"),
        (facts(agent=Agent(Family.OTHER)), Actor.UNKNOWN, None),
        (facts(agent=Agent(None)), Actor.UNKNOWN, None),
    ],
)
def test_the_first_rule_that_applies_decides(given_facts: Facts, actor: Actor, rule: str | None) -> None:
    assert judged(given_facts) == (actor, rule)


def test_rules_have_names_of_their_own() -> None:
    assert len({rule.name for rule in RULES}) == len(RULES)


@pytest.mark.parametrize(
    ("header", "family"),
    [
        ("", None),
        ("Mozilla/5.0", Family.APPLE_PROXY),
        (
            "Mozilla/5.0 (Windows NT 5.1; rv:11.0) Gecko Firefox/11.0 (via ggpht.com GoogleImageProxy)",
            Family.GMAIL_PROXY,
        ),
        ("YahooMailProxy; https://help.yahoo.com/kb/yahoo-mail-proxy-SLN28749.html", Family.YAHOO_PROXY),
        (CHROME, Family.CHROME),
        (f"{CHROME} Edg/130.0.0.0", Family.EDGE),
        (f"{CHROME} OPR/115.0.0.0", Family.OPERA),
        ("Mozilla/5.0 (X11; Linux x86_64; rv:128.0) Gecko/20100101 Firefox/128.0", Family.FIREFOX),
        ("Mozilla/5.0 (X11; Linux x86_64; rv:128.0) Gecko/20100101 Thunderbird/128.4.0", Family.THUNDERBIRD),
        (
            f"{MAC} Version/17.6 Safari/605.1.15",
            Family.SAFARI,
        ),
        (MAC, Family.APPLE_MAIL),
        (
            "Mozilla/5.0 (iPhone; CPU iPhone OS 17_6) AppleWebKit/605.1.15 (KHTML, like Gecko) Mobile/15E148",
            Family.APPLE_MAIL,
        ),
        ("Mozilla/4.0 (compatible; MSIE 7.0; Windows NT 10.0; Trident/7.0; ms-office; MSOffice 16)", Family.OUTLOOK),
        ("something of its own/1.0", Family.OTHER),
    ],
)
def test_families_are_told_from_what_programs_send(header: str, family: Family | None) -> None:
    assert family_of(header) == family


@given(st.text(max_size=2_000))
def test_any_header_has_a_family(header: str) -> None:
    assert (family_of(header) is None) == (not header)
