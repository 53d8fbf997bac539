"""Providers that are mail servers."""

from typing import Annotated, Literal, Self

from pydantic import Field, ValidationInfo, field_validator, model_validator

from processor.providers.smtp.config import SmtpConfig
from processor.settings.kinds import Address, Domain, Duration, Secret, Text, encrypted, wrong
from processor.settings.models import Optional, PemFile
from processor.settings.providers import ProviderSettings


class SmtpSettings(ProviderSettings):
    """A mail server."""

    adapter: Literal["smtp"] = Field(description="The protocol.")
    host: Text = Field(description="Name or address of the mail server.")
    port: int = Field(587, ge=1, le=65_535, description="587 with starttls, 465 with implicit TLS.")
    tls: Literal["off", "starttls", "implicit"] = Field(
        "starttls", description="Certificates are always checked; off is refused in production."
    )
    ca_file: Annotated[PemFile | None, Optional] = Field(None, description="Further authorities that are trusted.")
    username: Annotated[Text | None, Optional] = Field(None, description="For AUTH.")
    password: Secret = Field(None, description="For AUTH.")
    from_address: Address = Field(description="Envelope sender and From.")
    from_name: Text | None = Field(None, description="Display name beside it.")
    reply_to: Address | None = Field(None, description="Reply-To address.")
    message_id_domain: Domain | None = Field(
        None, description="Right side of Message-ID; where left out, the domain of from_address."
    )
    helo_name: Domain = Field("localhost", description="The name we greet with.")
    uses_per_connection: int = Field(100, ge=1, description="Messages before a connection is replaced.")
    idle_ms: Duration = Field(30_000, alias="idle", description="A connection that rested longer is replaced.")
    connect_timeout_ms: Duration = Field(10_000, alias="connect_timeout", ge=100, description="TCP connection.")
    greeting_timeout_ms: Duration = Field(
        30_000, alias="greeting_timeout", ge=100, description="Greeting, EHLO, STARTTLS and AUTH, each."
    )
    command_timeout_ms: Duration = Field(
        30_000, alias="command_timeout", ge=100, description="MAIL, RCPT and the answer to DATA, each."
    )
    data_timeout_ms: Duration = Field(60_000, alias="data_timeout", ge=100, description="Writing the message.")
    answer_timeout_ms: Duration = Field(
        120_000, alias="answer_timeout", ge=100, description="The answer to the final dot (RFC 5321 suggests 10m)."
    )

    @field_validator("tls")
    @classmethod
    def _encrypted(cls, tls: str, info: ValidationInfo) -> str:
        return encrypted(tls, info, plain=tls == "off", write="starttls or implicit")

    @model_validator(mode="after")
    def _complete(self) -> Self:
        if bool(self.username) != bool(self.password):
            raise wrong("has one of username and password", "both or neither")
        if self.password and self.tls == "off" and self.host not in {"127.0.0.1", "localhost", "::1"}:
            raise wrong("would send its password in plain text", "tls: starttls or implicit")
        return self

    def _phases_ms(self) -> int:
        before = self.connect_timeout_ms + 4 * self.greeting_timeout_ms + 3 * self.command_timeout_ms
        return before + self.data_timeout_ms + self.answer_timeout_ms

    def config(self) -> SmtpConfig:
        """Return what the adapter is built with."""
        same = set(SmtpConfig.__dataclass_fields__) & set(type(self).model_fields)
        return SmtpConfig(
            **{key: getattr(self, key) for key in same - {"password", "message_id_domain"}},
            message_id_domain=self.message_id_domain or self.from_address.rpartition("@")[2],
            password=self.password.get_secret_value() if self.password else None,
            connections=self.concurrency,
        )
