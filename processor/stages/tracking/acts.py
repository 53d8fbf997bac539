"""Makes the event of each open, click and unsubscribe: who acted, and whether it was seen before."""

from collections import OrderedDict
from collections.abc import Hashable
from dataclasses import dataclass, field
from itertools import count
from typing import Final

from processor.core.actor import Act, Facts, judged
from processor.core.agents import Agent
from processor.core.events import EngagementEvent, event_id
from processor.core.recent import Recent
from processor.core.tokens import HIDDEN_LINK, Ticket
from processor.core.words import Status

HEADED_MS: Final = 10_000
HIDDEN_MS: Final = 10_000
MOMENTS_MAX: Final = 20_000
_KIND: Final = "engagement"
_EIGHT_DIGITS: Final = 0xFFFF_FFFF
_STATUSES: Final = tuple(Status)

Place = tuple[str, str, int | None]
"""What makes an act the same: its type, the message, and for clicks the link."""


class Moments:
    """What happened in the last *within_ms*; the oldest of more than MOMENTS_MAX is forgotten."""

    def __init__(self, within_ms: int) -> None:
        """Begin empty."""
        self._within_ms = within_ms
        self._until_ms: OrderedDict[Hashable, int] = OrderedDict()

    def add(self, key: Hashable, *, now_ms: int) -> None:
        """Say that *key* happens now."""
        self._until_ms[key] = now_ms + self._within_ms
        self._until_ms.move_to_end(key)
        if len(self._until_ms) > MOMENTS_MAX:
            self._until_ms.popitem(last=False)

    def has(self, key: Hashable, *, now_ms: int) -> bool:
        """Tell whether *key* happened moments ago."""
        return bool(self._until_ms) and self._until_ms.get(key, 0) > now_ms


@dataclass(slots=True)
class Memory:
    """What was seen, by this instance and by others; see `follower`."""

    acts: Recent = field(default_factory=Recent)
    statuses: Recent = field(default_factory=Recent)

    def saw(self, event: EngagementEvent) -> None:
        """Remember an act that is safe."""
        self.acts.put((event.type, event.message_id, event.position))

    def reached(self, message_id: str, status: Status) -> None:
        """Remember the status of a message."""
        self.statuses.put(message_id, _STATUSES.index(status) + 1)

    def status(self, message_id: str) -> str | None:
        """Return the last status of a message; None where it is not known here."""
        number = self.statuses.get(message_id)
        return _STATUSES[number - 1] if number else None


class Acts:
    """Makes events; used in one thread."""

    def __init__(self, instance: str, memory: Memory, *, human_after_ms: int, started_ns: int = 0) -> None:
        """Count as *instance*, of which there is one at a time, since *started_ns*."""
        self.mark = event_id(_KIND, instance, started_ns)[:8]  # begins the ids of all its events
        self._memory = memory
        self._human_after_ms = human_after_ms
        self._numbers = count(1)
        self._headed = Moments(HEADED_MS)
        self._hidden = Moments(HIDDEN_MS)
        self._under_way: set[Place] = set()

    def headed(self, ticket: Ticket, *, now_ms: int) -> None:
        """Remember that somebody looked at a link without following it."""
        self._headed.add((ticket.message_id, ticket.position, ticket.url), now_ms=now_ms)

    def event(self, act: Act, ticket: Ticket, agent: Agent, *, now_ns: int) -> EngagementEvent:
        """Return the event of an act that arrives now; its id stays what it is however often it is published."""
        now_ms = now_ns // 1_000_000
        if ticket.position == HIDDEN_LINK:
            self._hidden.add(ticket.message_id, now_ms=now_ms)
        actor, rule = judged(self._facts(act, ticket, agent, now_ms))
        position = ticket.position if act is Act.CLICKED else None
        place = (act, ticket.message_id, position)
        repeated = place in self._under_way or self._memory.acts.get(place) > 0
        self._under_way.add(place)
        return EngagementEvent(
            f"{self.mark}{now_ns:016x}{next(self._numbers) & _EIGHT_DIGITS:08x}",
            act,
            ticket.message_id,
            ticket.external_id,
            now_ms,
            ticket.channel,
            ticket.campaign_id,
            ticket.url if act is Act.CLICKED else None,
            position,
            self._memory.status(ticket.message_id),
            agent.family,
            actor,
            rule,
            repeated,
            None,
            ticket.scope if act is Act.UNSUBSCRIBED else None,
        )

    def ended(self, event: EngagementEvent, *, safe: bool) -> None:
        """Say what became of *event*: only an act that is safe can be repeated."""
        self._under_way.discard((event.type, event.message_id, event.position))
        if safe:
            self._memory.saw(event)

    def _facts(self, act: Act, ticket: Ticket, agent: Agent, now_ms: int) -> Facts:
        return Facts(
            act,
            agent,
            # The second of the submission was cut off: to a person it only seems longer ago.
            now_ms - ticket.sent_at_s * 1_000 < self._human_after_ms,
            self._hidden.has(ticket.message_id, now_ms=now_ms),
            self._headed.has((ticket.message_id, ticket.position, ticket.url), now_ms=now_ms),
        )
