"""A record as the stages handle it."""

from typing import NamedTuple

from confluent_kafka import Message

from processor.kafka.committed import Place


class Record(NamedTuple):
    """A record read from Kafka; a named tuple, for one is made for each message."""

    place: Place
    offset: int
    key: bytes | None
    value: bytes | None
    timestamp_ms: int
    header: bytes | None  # our own facts; counts only on our own topics
    message: Message | None = None  # as it came, of a topic that is not our own: for its headers

    @property
    def at(self) -> str:
        """Say where it lies, for a log line."""
        return f"{self.place[0]}/{self.place[1]}@{self.offset}"

    def __repr__(self) -> str:
        """Name the place alone: the value is a message."""
        return f"Record({self.at})"


def record_of(message: Message, header_name: str | None) -> Record:
    """Return *message* with the value of its header *header_name*, if there is exactly one."""
    header: bytes | None = None
    if header_name is not None:
        found = [each[1] for each in message.headers() or () if each[0] == header_name]
        header = found[0] if len(found) == 1 and isinstance(found[0], bytes) else None
    return Record(
        (message.topic() or "", message.partition() or 0),
        message.offset() or 0,
        message.key(),
        message.value(),
        message.timestamp()[1],
        header,
        message if header_name is None else None,
    )
