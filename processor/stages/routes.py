"""Which topic and partition a message goes to next: a send topic, or the delay tier that does not overshoot."""

from collections.abc import Callable, Mapping

from processor.codec.facts import FACTS_HEADER
from processor.core.lanes import delay_class
from processor.core.message import Facts
from processor.core.tiers import tier_for
from processor.core.words import Lane
from processor.kafka.topics import Names
from processor.kafka.transactions import Output

Stop = tuple[str, Lane, int | None]  # a provider, a lane, and the wait of a tier in seconds, if there is one to wait in


class Routes:
    """
    Makes the outputs that move a message on, its value bytes unchanged.

    A tick writes one partition of each send and delay topic, another one each tick: their order means
    nothing, and the partitions written are what a transaction costs.
    """

    def __init__(
        self,
        names: Names,
        partitions: Mapping[str, int],
        encode_facts: Callable[[Facts], bytes],
        now_ms: Callable[[], int],
    ) -> None:
        """Route to topics with the given numbers of partitions."""
        self._names = names
        self._partitions = partitions
        self._encode_facts = encode_facts
        self._now_ms = now_ms
        self._tick = 0
        self._found: dict[Stop, tuple[str, int]] = {}  # in this tick

    def next_tick(self) -> None:
        """Turn to the next partition of each topic."""
        self._tick += 1
        self._found.clear()

    def onward(self, value: bytes | None, key: bytes | None, facts: Facts, provider: str, lane: Lane) -> Output:
        """Return the output that brings a message to its due instant: into a tier, or to its send topic."""
        seconds = tier_for(facts.due_at_ms - self._now_ms())
        return self._to((provider, lane, seconds), value, key, self._encode_facts(facts))

    def at_once(
        self, value: bytes | None, key: bytes | None, header: bytes | None, facts: Facts, provider: str, lane: Lane
    ) -> Output:
        """Return the output that brings a message to its send topic; *header* is that of *facts*, if there is one."""
        return self._to((provider, lane, None), value, key, header or self._encode_facts(facts))

    def _to(self, stop: Stop, value: bytes | None, key: bytes | None, header: bytes) -> Output:
        place = self._found.get(stop)
        if place is None:
            provider, lane, seconds = stop
            names = self._names
            topic = names.send(provider, lane) if seconds is None else names.delay(delay_class(lane), seconds)
            place = self._found[stop] = topic, self._tick % self._partitions[topic]
        return Output(place[0], value, key, [(FACTS_HEADER, header)], place[1])
