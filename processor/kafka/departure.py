"""The departure of a member: its client closes, and Kafka keeps a static one's partitions, unless it is told."""

from typing import Final

from confluent_kafka import Consumer

from processor.kafka.connection import Connection

_DRAINED: Final = 1_000  # records at a time
_ANSWER_MS: Final = 2_000
_KEYS: Final = {
    "security.protocol": "security_protocol",
    "sasl.mechanism": "sasl_mechanism",
    "sasl.username": "sasl_plain_username",
    "sasl.password": "sasl_plain_password",
    "ssl.ca.location": "ssl_cafile",
    "ssl.certificate.location": "ssl_certfile",
    "ssl.key.location": "ssl_keyfile",
    "ssl.key.password": "ssl_password",
}
"""librdkafka's names of what a `Connection` may ask for, and kafka-python's."""


class Stayed(Exception):
    """Kafka was not told, or did not agree: the partitions wait until the session ends."""


def close(consumer: Consumer) -> None:
    """
    Close a subscribed consumer, once it has heard what it was given.

    librdkafka 2.16.0 never returns from `close` where an assignment waits to be polled: it ends its main thread, and
    then tells of the revocation, in which every call waits for that thread (its issue 4884; four consumers that closed
    at the same time, nine times of nine, 2026-11-28). The Python client waits with the interpreter's lock, so the whole
    process stands still. What comes between the last poll and `close` would still do that: to end the subscription
    first would not, but it makes a static member leave its group.
    """
    try:
        consumer.pause(consumer.assignment())  # nothing more is fetched, and of what was, nothing is told
        while consumer.consume(_DRAINED, 0):
            pass
    finally:  # whatever its owner raises who is told of it
        consumer.close()


def leave(connection: Connection, group: str, instance: str, member_id: str) -> None:
    """
    Leave *group* in the name of a static member that has closed, if another member is there. Raises `Stayed`.

    A static member that closes says nothing (KIP-345), and its partitions wait for it, or for the end of its session.
    Alone in its group it had better not: its slot has them back at once when it starts again, where a group that was
    empty waits for more members first (`group.initial.rebalance.delay.ms`, 3 s). Among others it had better: they
    have its partitions within a heartbeat.

    librdkafka 2.16.0 sends LeaveGroup for no static member, and has no `removeMembersFromConsumerGroup`; kafka-python
    has that one. Its import takes as long as the rest, and only who leaves pays for it. Kafka refuses where another
    process has the slot by now, for *member_id* is not its own then.
    """
    from kafka.admin import KafkaAdminClient, MemberToRemove  # noqa: PLC0415
    from kafka.errors import KafkaError, NoError  # noqa: PLC0415

    security = {_KEYS[key]: value for key, value in connection.security.items()}
    try:
        with KafkaAdminClient(
            bootstrap_servers=connection.bootstrap.split(","),
            bootstrap_timeout_ms=_ANSWER_MS,
            request_timeout_ms=_ANSWER_MS,
            **security,
        ) as admin:
            if len(admin.describe_groups([group])[group]["members"]) < 2:  # noqa: PLR2004
                return
            removed = admin.remove_group_members(group, [MemberToRemove(member_id, instance)])
    except (KafkaError, OSError) as error:
        raise Stayed(type(error).__name__) from error
    refused = [error.__name__ for error in removed.values() if error is not NoError]
    if refused:
        raise Stayed(refused[0])
