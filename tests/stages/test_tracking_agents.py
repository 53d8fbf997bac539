"""User-agent headers are matched once, and remembered within bounds."""

import pytest

from processor.core.agents import Agent, Family
from processor.stages.tracking.agents import REMEMBERED_MAX, Agents

CHROME = "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/130.0.0.0 Safari/537.36"


@pytest.mark.parametrize("header", ["curl/8.5.0", "Slackbot-LinkExpanding 1.0", f"{CHROME} HeadlessChrome/130.0"])
def test_known_crawlers_are_known(header: str) -> None:
    assert Agents().of(header).crawler


def test_a_browser_is_no_crawler() -> None:
    assert Agents().of(CHROME) == Agent(Family.CHROME)


def test_headers_that_strangers_invent_do_not_pile_up() -> None:
    agents = Agents()

    for number in range(REMEMBERED_MAX + 100):
        agents.of(f"Mozilla/5.0 x{number}")

    assert len(agents._known) <= REMEMBERED_MAX
