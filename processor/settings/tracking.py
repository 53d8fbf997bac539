"""The sections `tracking` and `suppression`."""

from typing import Annotated, Final, Self

from pydantic import Field, ValidationInfo, model_validator

from processor.core.tokens import Keys
from processor.providers.tracking.config import TrackingConfig
from processor.settings.kinds import Duration, Secret, Size, Text, Url, wrong
from processor.settings.models import Optional
from processor.settings.section import Section

DEVELOPMENT_KEY: Final = b"for development only: production refuses to run without a key"


class TrackingSettings(Section):
    """The stage that takes opens, clicks, unsubscribes and webhooks; the keys of the links that lead to it."""

    base_url: Annotated[Url | None, Optional] = Field(
        None, description="Public address of this stage, without a path of its own; without it nothing is tracked."
    )
    host: Text = Field("127.0.0.1", description="Address to listen on; 0.0.0.0 in a container.")
    port: int = Field(8081, ge=0, le=65_535, description="0 takes a free port.")
    keys: dict[int, Secret] = Field(
        default_factory=dict,
        description="What signs links, by id (0 to 255). All are accepted: add one, make it `key`, and take the old "
        "one away when its messages are forgotten. Needed in production.",
    )
    key: int | None = Field(None, ge=0, le=255, description="Id of the key that signs; needed where there are several.")
    hidden_link: bool = Field(
        default=False, description="Add a link that no person sees to tracked messages: who follows it is a scanner."
    )
    human_after_ms: Duration = Field(
        2_000, alias="human_after", description="Who acts sooner than this after the submission is a scanner."
    )
    buffer_folder: Annotated[Text | None, Optional] = Field(
        None, description="Where events wait while Kafka is away; without it the system's folder for temporary files."
    )
    buffer_bytes_max: Size = Field(
        256 << 20, ge=1 << 20, description="Most that waits there; then opens get a 503, clicks go on."
    )
    body_bytes_max: Size = Field(1 << 20, ge=1_024, le=16 << 20, description="Of a webhook; then it is a 413.")
    header_timeout_ms: Duration = Field(
        5_000, alias="header_timeout", ge=1_000, le=60_000, description="For the head of a request; then it is cut off."
    )
    body_timeout_ms: Duration = Field(
        10_000, alias="body_timeout", ge=1_000, le=60_000, description="For the body of a request, likewise."
    )
    replay_window_ms: Duration = Field(
        300_000,
        alias="replay_window",
        ge=1_000,
        description="How old a webhook may be whose time is signed.",
    )

    @model_validator(mode="after")
    def _signs(self, info: ValidationInfo) -> Self:
        if strange := [each for each in self.keys if not 0 <= each <= 255]:  # noqa: PLR2004 - one byte
            raise wrong(f"holds the key {strange[0]}", "ids from 0 to 255")
        if any(not secret or len(secret.get_secret_value()) < 16 for secret in self.keys.values()):  # noqa: PLR2004
            raise wrong("holds a key of fewer than 16 characters", "random keys, such as of `openssl rand -hex 32`")
        if self.key is not None and self.key not in self.keys:
            raise wrong(
                "signs with a key that is none of keys", f"one of {', '.join(map(str, self.keys)) or 'its keys'}"
            )
        if self.key is None and len(self.keys) > 1:
            raise wrong("has several keys and does not say which one signs", f"key: {max(self.keys)}")
        if self.base_url and not self.keys and (info.context or {}).get("production"):
            raise wrong("has no keys, which production needs", "keys: { 1: { env: COMMPROC_TRACKING_KEY } }")
        if self.base_url and self.base_url.startswith("http://") and (info.context or {}).get("production"):
            raise wrong("has links in plain text, which production refuses", "base_url: https://…")
        return self

    def sealing_keys(self) -> Keys:
        """Return the keys as tokens take them; outside production one of our own where there is none."""
        if not self.keys:
            return Keys(0, {0: DEVELOPMENT_KEY})
        current = next(iter(self.keys)) if self.key is None else self.key
        return Keys(current, {each: key.get_secret_value().encode() for each, key in self.keys.items() if key})

    def config(self, hash_key: bytes) -> TrackingConfig | None:
        """Return what mails are tracked with, *hash_key* being the suppression list's; None without an address."""
        if self.base_url is None:
            return None
        return TrackingConfig(self.base_url, self.sealing_keys(), hash_key, self.hidden_link)


class SuppressionSettings(Section):
    """The list of addresses that get no mail; it holds keyed hashes, never addresses."""

    key: Secret = Field(
        None, description="Of the hashes; another key is another, empty list. Needed in production with tracking."
    )

    def hash_key(self) -> bytes:
        """Return the key of the hashes; outside production one of our own where there is none."""
        return self.key.get_secret_value().encode() if self.key else DEVELOPMENT_KEY
