"""What a provider reports by calling us: the section `webhook` of an HTTP provider."""

from collections.abc import Mapping
from typing import Annotated, Any, Final, Literal, Self

from pydantic import AfterValidator, Field, ValidationInfo, model_validator

from processor.core.vocabulary import STATES
from processor.providers.webhooks.config import Reading, Verification, WebhookConfig
from processor.providers.webhooks.signatures import verifier
from processor.settings.kinds import Duration, JmesPath, Kind, Secret, Text, wrong
from processor.settings.models import Optional
from processor.settings.section import Section

NEEDED: Final[Mapping[str, tuple[str, ...]]] = {
    "hmac": ("header",),
    "ecdsa": ("header",),
    "basic": ("username",),
    "header": ("header",),
    "query": ("parameter",),
}
"""What a scheme needs beside its secret."""


def state(value: str) -> str:
    """Refuse what is no word of the vocabulary."""
    if value not in STATES:
        raise wrong("is no state of a receipt", f"one of {', '.join(STATES)}", value)
    return value


State = Annotated[str, AfterValidator(state), Kind("state of a receipt", "delivered")]
Written = Literal["unix_s", "unix_ms", "iso8601", "rfc2822"]
Path = JmesPath | None


class WebhookSettings(Section):
    """Takes calls at /w/NAME of the tracking stage: how one is verified, and how its body is read."""

    scheme: Literal["hmac", "ecdsa", "mailgun", "twilio", "vonage", "basic", "bearer", "header", "query"] = Field(
        description="How a call shows that it comes from the provider; a signature where there is one."
    )
    secret: Secret = Field(None, description="Key of the signature (ecdsa: the public one), password, or token.")
    old_secret: Secret = Field(None, description="The one before, accepted as well while it is being replaced.")
    username: Annotated[Text | None, Optional] = Field(None, description="For basic.")
    header: Annotated[Text | None, Optional] = Field(
        None, description="The header that carries the signature or the token."
    )
    parameter: Annotated[Text | None, Optional] = Field(
        None, description="For query: the parameter that carries the token."
    )
    algorithm: Literal["sha1", "sha256", "sha512"] = Field("sha256", description="For hmac and vonage.")
    encoding: Literal["hex", "base64"] = Field("hex", description="Of the signature, for hmac.")
    prefix: Annotated[Text | None, Optional] = Field(
        None, description="What comes before the signature, such as sha256=."
    )
    signed: Text = Field(
        "{{ body }}", description="What is signed, for hmac and ecdsa: {{ body }}, {{ timestamp }}, {{ headers.NAME }}."
    )
    timestamp_header: Annotated[Text | None, Optional] = Field(
        None, description="The header that carries the signed time."
    )
    timestamp_in: Written = Field("unix_s", description="How the signed time is written.")
    replay_window_ms: Duration | None = Field(
        None, alias="replay_window", ge=1_000, description="How old a signed time may be; without it tracking's."
    )
    only: Mapping[JmesPath, tuple[Text, ...]] = Field(
        default_factory=dict, description="JMESPaths into the body and the values allowed there; others are refused."
    )
    body: Literal["json", "form"] = Field("json", description="How the body is written.")
    reports: JmesPath = Field("@", description="JMESPath to the list of reports, or to the only one.")
    embedded: Path = Field(None, description="JMESPath to a text that holds the body proper, as JSON.")
    type: JmesPath = Field(description="JMESPath, in a report, of what happened.")
    subtype: Path = Field(None, description="JMESPath of what kind of it.")
    states: Mapping[Text, State] = Field(
        description="What a type means, or TYPE/SUBTYPE, the longest that fits; one that is not here is other."
    )
    event_id: Path = Field(None, description="JMESPath of the report's own id; without it the whole report is it.")
    provider_message_id: Path = Field(None, description="JMESPath of the service's id of the message.")
    id_ends_at: tuple[Text, ...] = Field((), description="Texts from which on that id is not what it answered.")
    code: Path = Field(None, description="JMESPath of its code, such as an SMTP status.")
    occurred_at: Path = Field(None, description="JMESPath of when it happened.")
    occurred_in: Written = Field("iso8601", description="How that is written.")
    url: Path = Field(None, description="JMESPath of the clicked link.")
    user_agent: Path = Field(None, description="JMESPath of who opened or clicked; only its family is kept.")
    echo: Path = Field(None, description="JMESPath of a text with what {{ echo }} sent along.")
    echo_in_query: bool = Field(default=False, description="The URL that is called holds what {{ echo }} sent along.")
    message_id: Path = Field(None, description="JMESPath of our message id.")
    channel: Path = Field(None, description="Likewise, of the channel.")
    external_id: Path = Field(None, description="Likewise, of the producer's reference.")
    campaign_id: Path = Field(None, description="Likewise, of the campaign.")
    attempt: Path = Field(None, description="Likewise, of the attempt.")

    @model_validator(mode="after")
    def _verifies(self, info: ValidationInfo) -> Self:
        production = (info.context or {}).get("production", False)
        if not self.secret and (production or "secret" not in self.model_fields_set):
            raise wrong(f"has the scheme {self.scheme} without a secret", "secret: { env: NAME }")
        if absent := [key for key in NEEDED.get(self.scheme, ()) if not getattr(self, key)]:
            raise wrong(f"has the scheme {self.scheme} without {' and '.join(absent)}", "what is absent")
        if self.timestamp_header and "timestamp" not in self.signed:
            raise wrong("has a timestamp_header whose time is not signed", 'signed: "{{ timestamp }}.{{ body }}"')
        try:
            verifier(self.config().verification)
        except ValueError as error:
            raise wrong("could verify no call", str(error)) from None
        return self

    def config(self) -> WebhookConfig:
        """Return what the stage is built with."""
        reading: dict[str, Any] = {key: getattr(self, key) for key in Reading.__dataclass_fields__}
        shown = ("scheme", "username", "parameter", "algorithm", "encoding", "prefix", "signed", "timestamp_in")
        verification = Verification(
            **{key: getattr(self, key) or "" for key in shown},
            secrets=tuple(each.get_secret_value() for each in (self.secret, self.old_secret) if each),
            header=(self.header or "").lower(),
            timestamp_header=(self.timestamp_header or "").lower(),
            window_ms=self.replay_window_ms,
        )
        return WebhookConfig(verification, Reading(**reading), self.only)
