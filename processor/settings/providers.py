"""The section `providers`."""

from collections.abc import Mapping
from typing import Annotated, Literal, Self

from pydantic import Field, ValidationInfo, field_validator, model_validator

from processor.core.plan import DailyInterval
from processor.providers.http.config import HttpConfig
from processor.providers.http.template import names
from processor.providers.smtp.config import SmtpConfig
from processor.settings.kinds import (
    Address,
    Domain,
    Duration,
    JmesPath,
    Secret,
    Template,
    Text,
    TimeOfDay,
    Url,
    Zone,
    encrypted,
    template,
    wrong,
    zone,
)
from processor.settings.models import Optional, PemFile
from processor.settings.section import Section

Answer = Literal["accepted", "deferred", "throttled", "rejected", "unknown", "authentication"]
SECRET_HEADERS = frozenset({"authorization", "proxy-authorization", "cookie", "x-api-key", "api-key"})


class WindowSettings(Section):
    """The part of each day at which a provider may be called; start after end wraps over midnight."""

    start_ms: TimeOfDay = Field(alias="start", description="From this wall clock time on.")
    end_ms: TimeOfDay = Field(alias="end", description="Until before this one.")
    zone: Zone = Field(default_factory=lambda: zone("UTC"), description="Whose wall clock; UTC where left out.")

    @model_validator(mode="after")
    def _not_empty(self) -> Self:
        if self.start_ms == self.end_ms:
            raise wrong("starts when it ends", "two different times, or leave window out to send at any time")
        return self

    def interval(self) -> DailyInterval:
        """Return the interval as the core takes it."""
        return DailyInterval(self.start_ms, self.end_ms, self.zone)


class ProviderSettings(Section):
    """What every provider has, whatever its adapter; its name is the key."""

    bus_provider: Text = Field(description="The family it belongs to.")
    bus_channel: Text = Field(description="Such as EMAIL or SMS.")
    window: WindowSettings | None = Field(None, description="When it may be called; without it always.")
    concurrency: int = Field(20, ge=1, le=10_000, description="Calls at once, per process.")
    rate_per_s: float | None = Field(None, gt=0, description="Calls a second over all processes; without it no limit.")
    express_share: float = Field(
        0.2, ge=0, le=1, description="Part of concurrency and rate kept for the express lane, 0 to 1."
    )
    call_timeout_ms: Duration | None = Field(
        None, alias="call_timeout", description="A whole call; where left out, all phases together and 5s."
    )

    def _phases_ms(self) -> int:
        """Return how long a call may take by its phases alone."""
        raise NotImplementedError

    @model_validator(mode="after")
    def _phases_fit(self) -> Self:
        """Refuse to cut a call from outside: nobody would know in which phase, so it would count as perhaps sent."""
        if self.call_timeout_ms is not None and self.call_timeout_ms < self._phases_ms():
            what = f"has a call_timeout below its phases together ({self._phases_ms() / 1_000:g} s)"
            raise wrong(what, "a longer call_timeout, shorter phases, or leave call_timeout out")
        return self

    @property
    def timeout_ms(self) -> int:
        """Return how long a whole call may take."""
        return self.call_timeout_ms or self._phases_ms() + 5_000


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


class HttpSettings(ProviderSettings):
    """An HTTP service, and how a message becomes a request to it."""

    adapter: Literal["http"] = Field(description="The protocol.")
    url: Url = Field(description="Where requests go; plain http is refused in production.")
    method: Literal["POST", "PUT", "PATCH"] = Field("POST", description="Of the request.")
    headers: Mapping[Text, Text] = Field(default_factory=dict, description="Further headers; may hold placeholders.")
    body_kind: Literal["json", "form"] = Field("json", description="How the body is written.")
    body: Template = Field(description="The request's body; filled structurally, never by pasting text.")
    item: Template = Field(None, description="Template of each message where several go in one call.")
    bulk_size: int = Field(
        1, ge=1, le=1000, description="Messages in one call; above 1 needs item. Express never batches."
    )
    settings: Mapping[Text, Text] = Field(default_factory=dict, description="Constants for {{ settings.NAME }}.")
    recipient_kind: Literal["any", "email", "phone"] = Field("any", description="The form that a recipient must have.")
    auth: Literal["none", "basic", "bearer", "header"] = Field(
        "none", description="basic: username, password; else token."
    )
    username: Annotated[Text | None, Optional] = Field(None, description="For basic, or as {{ username }} in the body.")
    password: Secret = Field(None, description="For basic, or as {{ password }} in the body.")
    token: Secret = Field(None, description="For bearer and header.")
    auth_header: Text | None = Field(None, description="The header that carries the token, such as X-Api-Key.")
    provider_message_id: JmesPath | None = Field(None, description="JMESPath of the service's id in its answer.")
    code: JmesPath | None = Field(None, description="JMESPath of its result code.")
    results: JmesPath | None = Field(None, description="JMESPath of the list of results of a bulk call.")
    result_reference: JmesPath | None = Field(None, description="JMESPath, in a result, of the message id.")
    statuses: Mapping[int, Answer] = Field(
        default_factory=dict, description="What an HTTP status means, over the usual table."
    )
    codes: Mapping[Text, Answer] = Field(
        default_factory=dict, description="What a result code means; wins over the status."
    )
    idempotency_header: Text | None = Field(
        None, description="A header with the message id, the same for each attempt."
    )
    ca_file: Annotated[PemFile | None, Optional] = Field(None, description="Further authorities that are trusted.")
    keep_alive_ms: Duration = Field(4_000, alias="keep_alive", description="How long an idle connection is kept.")
    connect_timeout_ms: Duration = Field(10_000, alias="connect_timeout", ge=100, description="TCP and TLS.")
    answer_timeout_ms: Duration = Field(
        30_000, alias="answer_timeout", ge=100, description="From the connection to the end of the answer."
    )
    answer_bytes_max: int = Field(65_536, ge=1_024, le=1_048_576, description="A longer answer is not read.")

    @field_validator("url")
    @classmethod
    def _encrypted(cls, url: str, info: ValidationInfo) -> str:
        return encrypted(url, info, plain=url.startswith("http://"), write="https://...")

    @field_validator("headers")
    @classmethod
    def _no_secret_header(cls, headers: Mapping[str, str]) -> Mapping[str, str]:
        if any(name.lower() in SECRET_HEADERS for name in headers):
            raise wrong("hold a credential", "auth with token, or with username and password")
        template(headers)
        return headers

    @model_validator(mode="after")
    def _complete(self, info: ValidationInfo) -> Self:
        needed = {
            "none": (),
            "basic": ("username", "password"),
            "bearer": ("token",),
            "header": ("token", "auth_header"),
        }
        if absent := [key for key in needed[self.auth] if not self._given(key, info)]:
            raise wrong(f"has auth {self.auth} without {' and '.join(absent)}", "what is absent, or auth: none")
        if self.bulk_size > 1 and self.item is None:
            raise wrong("sends several messages in a call without a template for each", "item, or bulk_size: 1")
        if ("items" in names(self.body)) != (self.item is not None):
            raise wrong("has one of item and {{ items }} in body", "both or neither")
        if self.body_kind == "form" and not isinstance(self.body, Mapping):
            raise wrong("has a form that is not a mapping", "names and values below body")
        return self

    def _given(self, key: str, info: ValidationInfo) -> bool:
        """Return whether *key* is set; outside production it may be written and empty: the sandbox asks for none."""
        production = (info.context or {}).get("production", False)
        return bool(getattr(self, key)) or (key in self.model_fields_set and not production)

    def _phases_ms(self) -> int:
        return self.connect_timeout_ms + self.answer_timeout_ms

    def config(self) -> HttpConfig:
        """Return what the adapter is built with."""
        same = set(HttpConfig.__dataclass_fields__) & set(type(self).model_fields)
        return HttpConfig(
            **{key: getattr(self, key) for key in same - {"password", "token", "auth"}},
            auth=self.auth if self.password or self.token else "none",
            password=self.password.get_secret_value() if self.password else None,
            token=self.token.get_secret_value() if self.token else None,
            connections=self.concurrency,
        )


AnyProvider = Annotated[SmtpSettings | HttpSettings, Field(discriminator="adapter")]
