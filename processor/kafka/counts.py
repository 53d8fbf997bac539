"""How many partitions a topic has at this moment."""

from typing import Final

from confluent_kafka import KafkaException
from confluent_kafka.admin import AdminClient

from processor.kafka.connection import Connection

_ANSWER_S: Final = 0.5


class Counts:
    """Asks a broker, which takes a millisecond or two; one thread uses it."""

    def __init__(self, connection: Connection) -> None:
        """Ask the cluster of *connection*."""
        self._admin = AdminClient(connection.common())

    def of(self, topic: str) -> int | None:
        """Return the number of partitions; None where no broker tells it within half a second."""
        try:
            found = self._admin.list_topics(topic, _ANSWER_S).topics[topic]
        except (KafkaException, KeyError):
            return None
        return len(found.partitions) or None
