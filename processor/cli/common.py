"""What every command needs: the configuration, errors as sentences, clients that are ready."""

import os
import ssl
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Final, NoReturn

import typer
from confluent_kafka import KafkaError, KafkaException
from confluent_kafka.admin import AdminClient

from processor.codec.assembly import Codecs, open_codecs
from processor.codec.errors import RefusedSchema, RegistryUnavailable
from processor.codec.framing import Framing
from processor.codec.registry import Registry
from processor.kafka.connection import Connection
from processor.kafka.topics import Names, TopicSpec, topic_specs
from processor.settings import ConfigurationError, Settings, load

FAILED: Final = 1
WRONG_INPUT: Final = 2
"""The configuration, the arguments or the topics are not as they have to be: nothing was done."""

ANSWER_S: Final = 10.0
_REFUSED: Final = {
    KafkaError._AUTHENTICATION: "refuses our credentials",  # noqa: SLF001 - librdkafka's own names
    KafkaError._SSL: "and we have no TLS that both trust",  # noqa: SLF001
}
REGISTRY_AWAY: Final = "The schema registry does not answer; look at registry.url in the configuration."

ConfigFile = Annotated[
    Path | None,
    typer.Option(
        "--config",
        "-c",
        metavar="FILE",
        envvar="COMMPROC_CONFIG",
        show_default="the packaged one",
        help="Configuration in YAML; `commproc config show-default` prints one to begin with.",
    ),
]


def fail(text: str, code: int = FAILED) -> NoReturn:
    """Say on standard error what is wrong and what to do, and leave with *code*."""
    typer.echo(text, err=True)
    raise typer.Exit(code)


def settings_of(config: Path | None) -> Settings:
    """Return the configuration; one that is wrong ends the command with all its errors."""
    try:
        return load(config, os.environ)
    except ConfigurationError as error:
        typer.echo(str(error), err=True)
        count = len(error.problems)
        fail(f"The configuration has {count} {'error' if count == 1 else 'errors'}; nothing was done.", WRONG_INPUT)


def specs_of(settings: Settings) -> tuple[TopicSpec, ...]:
    """Return every topic that the configuration needs."""
    sizes = settings.topics.sizes(settings.kafka.replication_factor, settings.duplicates.horizon_ms)
    return topic_specs(settings.plan(), settings.topics.names(), sizes)


def codecs_of(settings: Settings, prefixes: Mapping[str, bytes] | None = None) -> Codecs:
    """
    Return codecs with the configured framing; each loop opens its own, and a child process too, so this pickles.

    Raises as `open_codecs` does: nothing with the *prefixes* of codecs that were opened before.
    """
    given, names = settings.registry, settings.topics.names()
    registry = None
    if given.url:
        tls = ssl.create_default_context(cafile=given.ca_file) if given.url.startswith("https") else None
        password = given.password.get_secret_value() if given.password else ""
        registry = Registry(given.url, user=given.username, password=password, tls=tls)
    return open_codecs(
        registry=registry,
        framing=Framing(given.framing),
        message_bytes_max=settings.limits.message_bytes_max,
        topics=_subjects(names),
        prefixes=prefixes,
    )


def codecs_or_fail(settings: Settings, code: int = FAILED) -> Codecs:
    """Return codecs for a command that a person waits for."""
    try:
        return codecs_of(settings)
    except RegistryUnavailable:
        fail(REGISTRY_AWAY, code)
    except RefusedSchema as refused:
        fail(f"{refused}; publish only compatible schemas under our subjects.", code)


def connection_or_fail(settings: Settings, code: int = FAILED) -> Connection:
    """Return the connection to a Kafka that answers."""
    connection = settings.kafka.connection()
    error = unreachable(connection, ANSWER_S)
    if error is not None:
        where = f"Kafka at {connection.bootstrap} {_REFUSED.get(error.code(), 'does not answer')} ({error.name()})"
        fail(f"{where}; look at kafka.bootstrap and its security.", code)
    return connection


def unreachable(connection: Connection, timeout_s: float) -> KafkaError | None:
    """Return the error with which Kafka's metadata does not come, if it is known why: it refuses us, say."""
    told: list[KafkaError] = []
    client = AdminClient(connection.common() | {"error_cb": told.append})
    try:
        client.list_topics(timeout=timeout_s)
    except KafkaException as error:
        client.poll(0)  # it tells there why connections end; the call itself just says that there is none
        return next((each for each in told if each.code() in _REFUSED), error.args[0])
    return None


def _subjects(names: Names) -> dict[str, str]:
    return {
        "OutboundMessage": names.outbound,
        "DeliveryEvent": names.delivery,
        "RetryEvent": names.retry,
        "EngagementEvent": names.engagement,
        "Receipt": names.receipts,
        "Control": names.control,
        "DeadLetter": names.dead_letter,
    }
