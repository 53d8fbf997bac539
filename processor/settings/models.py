"""The sections about the processor itself: Kafka, registry, topics, limits, lanes, metrics, logs."""

from enum import StrEnum
from pathlib import Path
from typing import Annotated, Literal, Self

from pydantic import AfterValidator, BeforeValidator, Field, model_validator

from processor.core.plan import LaneSplit
from processor.kafka.connection import Connection
from processor.kafka.topics import Names, Sizes
from processor.settings.kinds import Bootstrap, Duration, Kind, Name, Secret, Size, Text, Url, none_if_empty, wrong
from processor.settings.section import Section

Optional = BeforeValidator(none_if_empty)


class Environment(StrEnum):
    """What the processor is run for."""

    DEVELOPMENT = "development"
    PRODUCTION = "production"


def _all(value: str) -> str:
    if value != "all":
        what = "would lose records that were acknowledged when a broker fails"
        raise wrong(what, "acks: all, or leave it out")
    return value


def _existing(value: str) -> str:
    if not Path(value).is_file():
        raise wrong("names no file", "the path of a readable PEM file")
    return value


Acks = Annotated[str, AfterValidator(_all), Kind("`all`", "all")]
PemFile = Annotated[Text, AfterValidator(_existing), Kind("path of a PEM file", "/etc/ssl/ca.pem")]


class KafkaSettings(Section):
    """How to reach Kafka."""

    bootstrap: Bootstrap = Field("127.0.0.1:9092", description="Brokers to begin with.")
    security_protocol: Literal["PLAINTEXT", "SSL", "SASL_PLAINTEXT", "SASL_SSL"] = Field(
        "PLAINTEXT", description="Production takes SSL and SASL_SSL only."
    )
    sasl_mechanism: Literal["PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512"] = Field(
        "SCRAM-SHA-512", description="Used with the SASL protocols."
    )
    sasl_username: Annotated[Text | None, Optional] = Field(None, description="Needed by the SASL protocols.")
    sasl_password: Secret = Field(None, description="Needed by the SASL protocols.")
    ssl_ca_file: Annotated[PemFile | None, Optional] = Field(
        None, description="Authorities that sign the brokers' certificates; without it the system's."
    )
    ssl_certificate_file: Annotated[PemFile | None, Optional] = Field(None, description="Our certificate (mutual TLS).")
    ssl_key_file: Annotated[PemFile | None, Optional] = Field(None, description="Its private key.")
    ssl_key_password: Secret = Field(None, description="Password of that key.")
    acks: Acks = Field("all", description="Any other value is refused: it would lose records.")
    replication_factor: int = Field(
        1, ge=1, le=9, description="Of the topics that `topics apply` creates; production: 3."
    )
    slot: Name = Field(
        "0",
        description="Number or name of this instance, another one for each: a restarted slot takes its partitions over "
        "within a second.",
    )
    session_timeout_ms: Duration = Field(
        10_000,
        alias="session_timeout",
        ge=6_000,
        le=300_000,
        description="After it the others take over a dead member.",
    )
    transaction_timeout_ms: Duration = Field(
        10_000,
        alias="transaction_timeout",
        ge=2_000,
        le=300_000,
        description="After it the broker aborts a dead member's transaction.",
    )

    @model_validator(mode="after")
    def _complete(self) -> Self:
        if self.security_protocol.startswith("SASL") and not (self.sasl_username and self.sasl_password):
            raise wrong("has a SASL protocol without credentials", "sasl_username and sasl_password")
        if bool(self.ssl_certificate_file) != bool(self.ssl_key_file):
            raise wrong("has one of ssl_certificate_file and ssl_key_file", "both or neither")
        return self

    def connection(self) -> Connection:
        """Return what the clients are given; the secrets are in it, and not in its repr."""
        return Connection(self.bootstrap, self._security(), self.session_timeout_ms, self.transaction_timeout_ms)

    def _security(self) -> dict[str, str]:
        """Return librdkafka's keys; its default checks the brokers' names."""
        sasl = self.security_protocol.startswith("SASL")
        values = {
            "security.protocol": self.security_protocol,
            "sasl.mechanism": self.sasl_mechanism if sasl else None,
            "sasl.username": self.sasl_username if sasl else None,
            "sasl.password": self.sasl_password.get_secret_value() if sasl and self.sasl_password else None,
            "ssl.ca.location": self.ssl_ca_file,
            "ssl.certificate.location": self.ssl_certificate_file,
            "ssl.key.location": self.ssl_key_file,
            "ssl.key.password": self.ssl_key_password.get_secret_value() if self.ssl_key_password else None,
        }
        return {key: value for key, value in values.items() if value is not None}


class RegistrySettings(Section):
    """The schema registry; without one, only single-object encoding is read and written."""

    url: Annotated[Url | None, Optional] = Field(None, description="Confluent-compatible API of the registry.")
    username: Annotated[Text | None, Optional] = Field(None, description="For basic authentication.")
    password: Secret = Field(None, description="For basic authentication.")
    ca_file: Annotated[PemFile | None, Optional] = Field(None, description="Authorities that sign its certificate.")
    output_framing: Literal["auto", "registry", "single-object"] = Field(
        "auto", description="How events are framed; auto: registry where a url is set, else single-object."
    )

    @model_validator(mode="after")
    def _complete(self) -> Self:
        if bool(self.username) != bool(self.password):
            raise wrong("has one of username and password", "both or neither")
        if self.output_framing == "registry" and not self.url:
            raise wrong("frames for a registry without one", "url, or output_framing: single-object")
        return self

    @property
    def framing(self) -> Literal["registry", "single-object"]:
        """Return the output framing that `auto` comes to."""
        if self.output_framing == "auto":
            return "registry" if self.url else "single-object"
        return self.output_framing


class PartitionSettings(Section):
    """Partitions of the topics; more mean more instances that can share a topic."""

    inbound: int = Field(4, ge=1, le=1000, description="`comm.outbound`.")
    express: int = Field(2, ge=1, le=1000, description="`comm.outbound.express`.")
    send: int = Field(2, ge=1, le=1000, description="Each send topic; 1 for a provider below 10 calls a second.")
    delay: int = Field(2, ge=1, le=1000, description="Each delay tier.")
    events: int = Field(3, ge=1, le=1000, description="Each event topic.")
    dead_letter: int = Field(1, ge=1, le=1000, description="`comm.dead-letter`.")


class TopicsSettings(Section):
    """Names, partitions and retention of the topics."""

    prefix: Name = Field("comm", description="First part of every topic's and group's name.")
    partitions: PartitionSettings = Field(default_factory=PartitionSettings)
    inbound_retention_ms: Duration = Field(
        7 * 86_400_000,
        alias="inbound_retention",
        ge=3_600_000,
        description="How long inbound records are kept, read or not; at least 1h.",
    )
    events_retention_ms: Duration = Field(
        30 * 86_400_000,
        alias="events_retention",
        ge=3_600_000,
        description="Event topics and dead letters; at least 1h.",
    )

    def names(self) -> Names:
        """Return the names of topics and groups."""
        return Names(self.prefix)

    def sizes(self, replication_factor: int, ids_horizon_ms: int) -> Sizes:
        """Return counts, retention and replication."""
        return Sizes(
            **self.partitions.model_dump(),
            replication_factor=replication_factor,
            inbound_retention_ms=self.inbound_retention_ms,
            ids_horizon_ms=ids_horizon_ms,
            events_retention_ms=self.events_retention_ms,
        )


class LimitsSettings(Section):
    """Bounds on what comes in and on how much may go wrong."""

    message_bytes_max: Size = Field(
        1_048_576, ge=1_024, le=10_485_760, description="A larger record is dead-lettered unread; at most 10MiB."
    )
    tick_records_max: int = Field(2_000, ge=1, le=20_000, description="Most records in one Kafka transaction.")
    internal_errors_per_minute: int = Field(
        30, ge=1, description="More defects in a minute stop the process before it dead-letters a backlog."
    )
    drain_timeout_ms: Duration = Field(
        30_000, alias="drain_timeout", ge=1_000, description="How long a clean stop waits for calls that are under way."
    )


class LanesSettings(Section):
    """The lowest priority of each lane; what is below `normal` is bulk."""

    express: int = Field(9, ge=0, le=9, description="Lowest priority of the express lane.")
    high: int = Field(6, ge=0, le=9, description="Lowest priority of the high lane.")
    normal: int = Field(3, ge=0, le=9, description="Lowest priority of the normal lane.")

    @model_validator(mode="after")
    def _descending(self) -> Self:
        if not self.express > self.high > self.normal:
            raise wrong("does not descend", "express above high above normal, such as 9, 6, 3")
        return self

    def split(self) -> LaneSplit:
        """Return the split as the core takes it."""
        return LaneSplit(self.express, self.high, self.normal)


class MetricsSettings(Section):
    """Where /metrics, /healthz and /readyz are served; they tell nothing secret, yet are for operators only."""

    host: Text = Field("127.0.0.1", description="Address to listen on; 0.0.0.0 in a container.")
    port: int = Field(9464, ge=0, le=65_535, description="0 takes a free port.")


class LogsSettings(Section):
    """Log lines on standard output."""

    level: Literal["debug", "info", "warning", "error"] = Field("info", description="Lines below it are left out.")
    format: Literal["json", "console"] = Field("json", description="json: an object a line; console: key=value.")
