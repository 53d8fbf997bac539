"""What a broker tells of a topic at this moment."""

from typing import Final

from confluent_kafka import KafkaException
from confluent_kafka.admin import AdminClient, TopicMetadata

from processor.kafka.connection import Connection

ANSWER_S: Final = 0.5


class Counts:
    """Asks a broker, which takes a millisecond or two; one thread uses it."""

    def __init__(self, connection: Connection, *, answer_s: float = ANSWER_S) -> None:
        """Ask the cluster of *connection*, and wait up to *answer_s*."""
        self._admin = AdminClient(connection.common())
        self._answer_s = answer_s

    def of(self, topic: str) -> int | None:
        """Return the number of partitions; None where no broker tells it in time."""
        found = self._asked(topic)
        return None if found is None else len(found.partitions) or None

    def answered(self, topic: str) -> bool:
        """Tell whether a broker says anything of *topic*, be it that there is none."""
        return self._asked(topic) is not None

    def _asked(self, topic: str) -> TopicMetadata | None:
        try:
            return self._admin.list_topics(topic, self._answer_s).topics.get(topic)
        except KafkaException:
            return None
        finally:
            self._admin.poll(0)  # it keeps each connection that failed, 32 a second while Kafka is away, until then
