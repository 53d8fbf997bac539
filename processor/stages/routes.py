"""Which topic and partition a message goes to next: a send topic, or the delay tier that does not overshoot."""

from collections.abc import Callable, Mapping

from processor.core.lanes import delay_class
from processor.core.message import Facts
from processor.core.tiers import tier_for
from processor.core.words import Lane
from processor.kafka.topics import Names
from processor.kafka.transactions import Output

FACTS_HEADER = "commproc"


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

    def next_tick(self) -> None:
        """Turn to the next partition of each topic."""
        self._tick += 1

    def onward(self, value: bytes | None, key: bytes | None, facts: Facts, provider: str, lane: Lane) -> Output:
        """Return the output that brings a message to its due instant: into a tier, or to its send topic."""
        seconds = tier_for(facts.due_at_ms - self._now_ms())
        topic = self._names.send(provider, lane) if seconds is None else self._names.delay(delay_class(lane), seconds)
        headers: list[tuple[str, str | bytes | None]] = [(FACTS_HEADER, self._encode_facts(facts))]
        return Output(topic, value, key, headers, self._tick % self._partitions[topic])
