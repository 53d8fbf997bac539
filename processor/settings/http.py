"""Providers that are HTTP services."""

import re
from collections.abc import Iterator, Mapping
from typing import Annotated, Any, Final, Literal, Self

from pydantic import AfterValidator, Field, ValidationInfo, field_validator, model_validator

from processor.providers.http.config import HEADER_NAME, WRITTEN, HttpConfig
from processor.providers.http.template import CONSTANTS, PLACEHOLDER, names
from processor.settings.kinds import Duration, JmesPath, Kind, Secret, Template, Text, encrypted, template, wrong
from processor.settings.models import Optional, PemFile
from processor.settings.presets import Preset, UrlTemplate, completed
from processor.settings.providers import Answer, Countries, ProviderSettings
from processor.settings.webhooks import WebhookSettings

SECRET_HEADERS = frozenset({"authorization", "proxy-authorization", "cookie", "x-api-key", "api-key"})
SECRET_NAME: Final = re.compile(
    r"authorization|cookie|token$|secret|password|passwd|(api|app|access|auth|subscription)[-_]?key", re.IGNORECASE
)
"""What a header, a parameter or a member of a body is called that carries a credential."""

NEEDED = {
    "none": (),
    "basic": ("username", "password"),
    "bearer": ("token",),
    "header": ("token", "auth_header"),
    "aws4": ("username", "password"),
}


def header_name(value: str) -> str:
    """Refuse what could not stand before a header's colon, and what says how the body is written."""
    if not HEADER_NAME.fullmatch(value) or value.lower() in WRITTEN:
        raise wrong("is not the name of a header that can be set", "such as X-Api-Key; Content-Type follows body_kind")
    return value


HeaderName = Annotated[Text, AfterValidator(header_name), Kind("header name", "X-Api-Key")]


class HttpSettings(ProviderSettings):
    """An HTTP service, and how a message becomes a request to it."""

    adapter: Literal["http"] = Field(description="The protocol.")
    preset: Preset | None = Field(
        None, description="A service that the package knows: its preset gives every key that is left out here."
    )
    url: UrlTemplate = Field(
        description="Where requests go; may hold {{ settings.NAME }} and {{ username }}. Plain http is refused in "
        "production."
    )
    method: Literal["POST", "PUT", "PATCH"] = Field("POST", description="Of the request.")
    headers: Mapping[HeaderName, Text] = Field(
        default_factory=dict, description="Further headers; may hold placeholders."
    )
    query: Mapping[Text, Text] = Field(
        default_factory=dict, description="Appended to the URL; values may hold placeholders."
    )
    body_kind: Literal["json", "form", "multipart"] = Field("json", description="How the body is written.")
    body: Template = Field(description="The request's body; filled structurally, never by pasting text.")
    item: Template = Field(None, description="Template of each message where several go in one call.")
    settings: Mapping[Text, Text] = Field(default_factory=dict, description="Constants for {{ settings.NAME }}.")
    recipient_kind: Literal["any", "email", "phone"] = Field("any", description="The form that a recipient must have.")
    countries: Countries = Field(
        (), description="For phone: calling codes that may be sent to, such as [40, 44]; without it all."
    )
    auth: Literal["none", "basic", "bearer", "header", "aws4"] = Field(
        "none",
        description="basic: username, password; aws4: these as access key, settings region and service; else token.",
    )
    username: Annotated[Text | None, Optional] = Field(None, description="For basic, or as {{ username }} in the body.")
    password: Secret = Field(None, description="For basic, or as {{ password }} in the body.")
    token: Secret = Field(None, description="For bearer and header, or as {{ token }}; with aws4 a session token.")
    auth_header: HeaderName | None = Field(None, description="The header that carries the token, such as X-Api-Key.")
    auth_scheme: Text | None = Field(None, description="A word before the token in that header, such as App.")
    provider_message_id: JmesPath | None = Field(None, description="JMESPath of the service's id in its answer.")
    provider_message_id_header: Text | None = Field(None, description="The header of its answer that carries the id.")
    code: JmesPath | None = Field(None, description="JMESPath of its result code.")
    code_header: Text | None = Field(None, description="The header of its answer that carries the result code.")
    segments: JmesPath | None = Field(None, description="JMESPath of the number of short messages a text came to.")
    part_ids: JmesPath | None = Field(
        None, description="JMESPath of the list of the ids of a text's parts, where each part has receipts of its own."
    )
    results: JmesPath | None = Field(None, description="JMESPath of the list of results of a bulk call.")
    result_reference: JmesPath | None = Field(None, description="JMESPath, in a result, of the message id.")
    statuses: Mapping[int, Answer] = Field(
        default_factory=dict, description="What an HTTP status means, over the usual table."
    )
    codes: Mapping[Text, Answer] = Field(
        default_factory=dict, description="What a result code means; wins over the status."
    )
    retry_after_headers: Mapping[Text, Literal["seconds", "unix_s"]] = Field(
        default_factory=dict,
        description="Headers that tell how long to wait, beside Retry-After: in seconds or as a Unix instant.",
    )
    idempotency_header: HeaderName | None = Field(
        None, description="A header with the message id, the same for each attempt."
    )
    ca_file: Annotated[PemFile | None, Optional] = Field(None, description="Further authorities that are trusted.")
    keep_alive_ms: Duration = Field(4_000, alias="keep_alive", description="How long an idle connection is kept.")
    connect_timeout_ms: Duration = Field(10_000, alias="connect_timeout", ge=100, description="TCP and TLS.")
    answer_timeout_ms: Duration = Field(
        30_000, alias="answer_timeout", ge=100, description="From the connection to the end of the answer."
    )
    answer_bytes_max: int = Field(65_536, ge=1_024, le=1_048_576, description="A longer answer is not read.")

    webhook: WebhookSettings | None = Field(None, description="What it reports by calling us; without it nothing.")

    @model_validator(mode="before")
    @classmethod
    def _from_preset(cls, written: Any) -> Any:
        return completed(written)

    @field_validator("url")
    @classmethod
    def _encrypted(cls, url: str, info: ValidationInfo) -> str:
        return encrypted(url, info, plain=url.startswith("http://"), write="https://...")

    @field_validator("query")
    @classmethod
    def _known(cls, query: Mapping[str, str]) -> Mapping[str, str]:
        template(query)
        return query

    @field_validator("headers")
    @classmethod
    def _no_secret_header(cls, headers: Mapping[str, str]) -> Mapping[str, str]:
        if any(name.lower() in SECRET_HEADERS for name in headers):
            raise wrong("hold a credential", "auth with token, or with username and password")
        template(headers)
        return headers

    @model_validator(mode="after")
    def _complete(self, info: ValidationInfo) -> Self:
        if absent := [key for key in NEEDED[self.auth] if not self._given(key, info)]:
            raise wrong(f"has auth {self.auth} without {' and '.join(absent)}", "what is absent, or auth: none")
        if self.bulk_size > 1 and self.item is None:
            raise wrong("sends several messages in a call without a template for each", "item, or bulk_size: 1")
        if ("items" in names(self.body)) != (self.item is not None):
            raise wrong("has one of item and {{ items }} in body", "both or neither")
        if self.body_kind != "json" and not isinstance(self.body, Mapping):
            raise wrong("has a form that is not a mapping", "names and values below body")
        if absent := [key for key in CONSTANTS if key in self._names() and not self._given(key, info)]:
            raise wrong(f"names {' and '.join(absent)} in a template, and nobody gives it", "it, beside the template")
        if clear := [*_clear([self.body, self.item, dict(self.headers), dict(self.query)])]:
            raise wrong(
                f"writes {', '.join(clear)} in clear", "{{ token }} or {{ password }} there, and its source beside"
            )
        if absent := self._unsettled():
            raise wrong(f"names settings that are not there: {', '.join(absent)}", "them, below settings")
        return self

    def _names(self) -> list[str]:
        return [*names([self.url, self.body, self.item, dict(self.headers), dict(self.query)])]

    def _unsettled(self) -> list[str]:
        """Return the settings that templates name and nobody gives; a preset gives its optional ones, empty."""
        wanted = dict.fromkeys(name.partition(".")[2] for name in self._names() if name.startswith("settings."))
        in_url = {name.partition(".")[2] for name in names(self.url) if name.startswith("settings.")}
        signed = ("region", "service") if self.auth == "aws4" else ()
        filled = {*in_url, *signed}
        return [
            key
            for key in dict.fromkeys((*wanted, *signed))
            if key not in self.settings or (key in filled and not self.settings[key])
        ]

    def _given(self, key: str, info: ValidationInfo) -> bool:
        """Return whether *key* is set; outside production it may be written and empty: the sandbox asks for none."""
        production = (info.context or {}).get("production", False)
        return bool(getattr(self, key)) or (key in self.model_fields_set and not production)

    def _phases_ms(self) -> int:
        once = self.connect_timeout_ms + self.answer_timeout_ms
        return 2 * once if self.bulk_size > 1 else once  # a batch that is refused as a whole is sent again, one by one

    def config(self) -> HttpConfig:
        """Return what the adapter is built with."""
        same = set(HttpConfig.__dataclass_fields__) & set(type(self).model_fields)
        return HttpConfig(
            **{key: getattr(self, key) for key in same - {"password", "token", "auth"}},
            auth=self.auth if self.password or self.token else "none",  # the sandbox asks for none
            password=self.password.get_secret_value() if self.password else None,
            token=self.token.get_secret_value() if self.token else None,
            connections=self.concurrency,
        )


def _clear(part: Any) -> Iterator[str]:
    """Every name in *part* that is a credential's, and whose value is written out."""
    if isinstance(part, Mapping):
        for name, value in part.items():
            if isinstance(value, str) and value and SECRET_NAME.search(name) and not PLACEHOLDER.search(value):
                yield name
            yield from _clear(value)
    elif isinstance(part, list | tuple):
        for value in part:
            yield from _clear(value)
