"""What user-agent headers say, remembered: matching one against a thousand patterns takes a third of a millisecond."""

from typing import Final

from crawleruseragents import is_crawler

from processor.core.agents import Agent, family_of

CHARS_MAX: Final = 512
REMEMBERED_MAX: Final = 10_000


class Agents:
    """Bounded: where strangers invent headers it forgets all of them and begins anew."""

    def __init__(self) -> None:
        """Have the patterns compiled before the first request."""
        self._known: dict[str, Agent] = {}
        is_crawler("")

    def of(self, user_agent: str) -> Agent:
        """Return what *user_agent* says; of a very long one its beginning counts."""
        known = self._known.get(user_agent)
        return self._matched(user_agent[:CHARS_MAX]) if known is None else known

    def _matched(self, user_agent: str) -> Agent:
        if len(self._known) >= REMEMBERED_MAX:
            self._known.clear()
        agent = Agent(family_of(user_agent), is_crawler(user_agent))
        self._known[user_agent] = agent
        return agent
