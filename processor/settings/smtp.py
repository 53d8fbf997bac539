"""Providers that are mail servers."""

from collections.abc import Mapping
from typing import Annotated, Literal, Self

from pydantic import Field, SecretStr, ValidationInfo, field_validator, model_validator

from processor.providers.smtp.adapter import signer_of
from processor.providers.smtp.config import DkimKey, SmtpConfig
from processor.providers.smtp.reply import tables
from processor.settings.kinds import Address, Domain, Duration, Host, Secret, Text, encrypted, wrong
from processor.settings.models import Optional, PemFile
from processor.settings.providers import ProviderSettings
from processor.settings.section import Section

Meant = Literal["deferred", "throttled", "rejected", "authentication", "unavailable"]


class DkimSettings(Section):
    """The key that signs the mails of a domain, RFC 6376; the domain is the key of the mapping."""

    selector: Domain = Field(description="Receivers find the public key in DNS at SELECTOR._domainkey.DOMAIN.")
    key: Secret = Field(description="Private key as PEM without a password: RSA (2048 bits is usual) or Ed25519.")

    @field_validator("key")
    @classmethod
    def _given(cls, key: SecretStr | None) -> SecretStr:
        if key is None:
            raise wrong("is empty", "{file: /run/secrets/NAME}, or leave dkim out")
        return key


class SmtpSettings(ProviderSettings):
    """A mail server."""

    adapter: Literal["smtp"] = Field(description="The protocol.")
    host: Host = Field(description="Name or address of the mail server.")
    port: int = Field(587, ge=1, le=65_535, description="587 with starttls, 465 with implicit TLS.")
    tls: Literal["off", "opportunistic", "starttls", "implicit"] = Field(
        "starttls",
        description="Certificates are always checked. opportunistic: plain where STARTTLS is not offered; "
        "it and off are refused in production.",
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
    dkim: Mapping[Domain, DkimSettings] = Field(
        default_factory=dict, description="Keys by domain; the one of from_address signs every mail (RFC 6376)."
    )
    codes: Mapping[Text, Meant] = Field(
        default_factory=dict,
        description='What a refusal means, over the usual tables: "450" or "4.7.1"; the enhanced code wins.',
    )
    login_pause_ms: Duration = Field(
        60_000, alias="login_pause", description="No login is tried for this long after one was refused."
    )
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
        return encrypted(tls, info, plain=tls in {"off", "opportunistic"}, write="starttls or implicit")

    @field_validator("codes")
    @classmethod
    def _refusals(cls, codes: Mapping[str, str]) -> Mapping[str, str]:
        try:
            tables(codes)
        except ValueError:
            raise wrong("hold what is no refusal's code", 'codes such as "450" or "4.7.1"') from None
        return codes

    @model_validator(mode="after")
    def _signs(self) -> Self:
        """Load the key now: one that cannot sign, or another domain's, must not be found out by a stuck campaign."""
        try:
            signer_of(self.config())
        except ValueError as error:
            what, _, write = str(error).partition(": write ")
            raise wrong(f"{what} cannot sign the mails of from_address", write) from None
        return self

    @model_validator(mode="after")
    def _complete(self) -> Self:
        if bool(self.username) != bool(self.password):
            raise wrong("has one of username and password", "both or neither")
        if (
            self.password
            and self.tls in {"off", "opportunistic"}
            and self.host not in {"127.0.0.1", "localhost", "::1"}
        ):
            raise wrong("would send its password in plain text", "tls: starttls or implicit")
        return self

    def _phases_ms(self) -> int:
        return self.config().agreed_within_ms + self.data_timeout_ms + self.answer_timeout_ms

    def config(self) -> SmtpConfig:
        """Return what the adapter is built with."""
        same = set(SmtpConfig.__dataclass_fields__) & set(type(self).model_fields)
        return SmtpConfig(
            **{key: getattr(self, key) for key in same - {"password", "message_id_domain", "dkim"}},
            message_id_domain=self.message_id_domain or self.from_address.rpartition("@")[2],
            password=self.password.get_secret_value() if self.password else None,
            connections=self.concurrency,
            dkim=tuple(
                DkimKey(domain, of.selector, of.key.get_secret_value()) for domain, of in self.dkim.items() if of.key
            ),
        )
