"""Makes the event of each open, click and unsubscribe: who acted, and whether it was seen before."""

from collections import OrderedDict
from collections.abc import Hashable
from dataclasses import dataclass, field
from functools import cache
from itertools import count
from typing import Any, Final

from processor.core.actor import Act, Actor, Facts, judged
from processor.core.agents import Agent
from processor.core.events import EngagementEvent, event_id
from processor.core.recent import Recent
from processor.core.status import RANKS
from processor.core.tokens import HIDDEN_LINK, Ticket
from processor.core.words import Status

HEADED_MS: Final = 10_000
HIDDEN_MS: Final = 10_000
MOMENTS_MAX: Final = 20_000
_KIND: Final = "engagement"
_EIGHT_DIGITS: Final = 0xFFFF_FFFF
_STATUSES: Final = tuple(Status)

# Members of an enumeration are looked up by its class, which takes as long as to build a tuple.
_CLICKED: Final = Act.CLICKED
_UNSUBSCRIBED: Final = Act.UNSUBSCRIBED


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

    def __bool__(self) -> bool:
        """Tell whether anything did."""
        return bool(self._until_ms)

    def has(self, key: Hashable, *, now_ms: int) -> bool:
        """Tell whether *key* happened moments ago."""
        return self._until_ms.get(key, 0) > now_ms


@dataclass(slots=True)
class Memory:
    """What was seen, by this instance and by others; see `follower`."""

    acts: Recent = field(default_factory=Recent)
    statuses: Recent = field(default_factory=Recent)

    def saw(self, event: EngagementEvent) -> None:
        """Remember an act that is safe."""
        self.acts.put(place_of(event))

    def reached(self, message_id: str, status: Status) -> None:
        """Remember the status of a message, unless one that outranks it is known; of the same rank the last counts."""
        known = self.status(message_id)
        if known is None or RANKS[known] >= RANKS[status]:
            self.statuses.put(message_id, _STATUSES.index(status) + 1)

    def status(self, message_id: str) -> Status | None:
        """Return the status of a message; None where it is not known here."""
        number = self.statuses.get(message_id)
        return _STATUSES[number - 1] if number else None


def place_of(event: EngagementEvent) -> int:
    """Return what makes an act the same, hashed: its type, the message, and for clicks the link."""
    return hash((event.type, event.message_id, event.position))


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
        self._under_way: set[int] = set()

    def headed(self, ticket: Ticket, *, now_ms: int) -> None:
        """Remember that somebody looked at a link without following it."""
        self._headed.add((ticket.message_id, ticket.position, ticket.url), now_ms=now_ms)

    def event(self, act: Act, ticket: Ticket, agent: Agent, *, now_ns: int) -> EngagementEvent:
        """Return the event of an act that arrives now; its id stays what it is however often it is published."""
        now_ms = now_ns // 1_000_000
        if ticket.position == HIDDEN_LINK:
            self._hidden.add(ticket.message_id, now_ms=now_ms)
        actor, rule = _judged(
            act,
            agent,
            # The second of the submission was cut off: to a person it only seems longer ago.
            now_ms - ticket.sent_at_s * 1_000 < self._human_after_ms,
            bool(self._hidden) and self._hidden.has(ticket.message_id, now_ms=now_ms),
            bool(self._headed) and self._headed.has((ticket.message_id, ticket.position, ticket.url), now_ms=now_ms),
        )
        position = ticket.position if act is _CLICKED else None
        place = hash((act, ticket.message_id, position))  # as `place_of` has it
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
            ticket.url if act is _CLICKED else None,
            position,
            self._memory.status(ticket.message_id),
            agent.family,
            actor,
            rule,
            repeated,
            None,
            ticket.scope if act is _UNSUBSCRIBED else None,
        )

    def ended(self, event: EngagementEvent, *, safe: bool) -> None:
        """Say what became of *event*: only an act that is safe can be repeated."""
        place = place_of(event)
        self._under_way.discard(place)
        if safe:
            self._memory.acts.put(place)


@cache  # a few hundred facts are all that there can be
def _judged(*facts: Any) -> tuple[Actor, str | None]:
    return judged(Facts(*facts))
