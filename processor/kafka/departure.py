"""The departure of a static member: Kafka keeps its partitions for it, unless it says that it leaves."""

from typing import Final

from processor.kafka.connection import Connection

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
