"""Who acted: a person, a proxy that fetches images for one, a machine that looks at links before a person does."""

from collections.abc import Callable
from enum import StrEnum
from typing import Final, NamedTuple

from processor.core.agents import MAIL_CLIENTS, PROXIES, Agent, Family


class Act(StrEnum):
    """What can be done with a message that arrived."""

    OPENED = "opened"
    CLICKED = "clicked"
    UNSUBSCRIBED = "unsubscribed"


class Actor(StrEnum):
    """Who did it."""

    HUMAN = "human"
    PRIVACY_PROXY = "privacy_proxy"
    SCANNER = "scanner"
    UNKNOWN = "unknown"


class Facts(NamedTuple):
    """What is known of one act."""

    act: Act
    agent: Agent
    too_soon: bool = False  # after the submission, for a person
    hidden_link: bool = False  # it was followed in this message, now or moments ago
    headed: bool = False  # somebody asked with HEAD for the same link moments ago


class Rule(NamedTuple):
    """Says that *actor* acted where *applies*."""

    name: str
    actor: Actor
    applies: Callable[[Facts], bool]


RULES: Final[tuple[Rule, ...]] = (
    # A link that no person can see; whoever followed it also fetched the rest of the message.
    Rule("hidden_link", Actor.SCANNER, lambda facts: facts.hidden_link),
    # Before the rules of machines: proxies fetch early, and lists of crawlers name them.
    Rule("privacy_proxy", Actor.PRIVACY_PROXY, lambda facts: facts.act is Act.OPENED and facts.agent.family in PROXIES),
    # Browsers and mail programs follow a link with GET only; link checkers ask with HEAD first.
    Rule("head", Actor.SCANNER, lambda facts: facts.headed),
    # The list of crawler-user-agents (github.com/monperrus/crawler-user-agents). It names the libraries that mail
    # providers' servers use as well, and those send the POST that a recipient asked for (RFC 8058 §3.2).
    Rule("known_agent", Actor.SCANNER, lambda facts: facts.agent.crawler and facts.act is not Act.UNSUBSCRIBED),
    # Mail gateways follow links while they still hold the message back.
    Rule("too_soon", Actor.SCANNER, lambda facts: facts.too_soon),
    # RFC 8058 §3.2: mail programs send this POST only when the recipient asks for it.
    Rule("one_click", Actor.HUMAN, lambda facts: facts.act is Act.UNSUBSCRIBED),
    Rule("mail_client", Actor.HUMAN, lambda facts: facts.agent.family in MAIL_CLIENTS),
    Rule(
        "browser",
        Actor.HUMAN,
        lambda facts: facts.agent.family is not None and facts.agent.family not in PROXIES | {Family.OTHER},
    ),
)
"""The first that applies decides."""


def judged(facts: Facts) -> tuple[Actor, str | None]:
    """Return who acted, and the name of the rule that says so."""
    for rule in RULES:
        if rule.applies(facts):
            return rule.actor, rule.name
    return Actor.UNKNOWN, None
