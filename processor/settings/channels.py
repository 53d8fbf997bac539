"""The section `channels`."""

from typing import Self

from pydantic import Field, model_validator

from processor.core.plan import BackoffKind
from processor.core.words import Action, InDoubt, Lane, Purpose, Scope
from processor.settings.kinds import Country, Duration, PropertiesSchema, Text, Unsubscribe, wrong
from processor.settings.section import Section


class RetrySettings(Section):
    """When a failed attempt is tried again; a message may override `max_attempts` and `interval`."""

    max_attempts: int = Field(3, ge=0, le=1000, description="Retry Max Attempt: charged attempts after the first.")
    interval_ms: Duration = Field(
        60_000, alias="interval", ge=100, description="Pool Time Retry: the wait, or its first step if exponential."
    )
    kind: BackoffKind = Field(
        BackoffKind.FIXED, description="exponential doubles the wait and draws from it at random."
    )
    cap_ms: Duration = Field(3_600_000, alias="cap", ge=100, description="The longest exponential wait.")


class TrackSettings(Section):
    """What is tracked of a channel's e-mails; needs `tracking.base_url`."""

    opens: bool = Field(default=False, description="Add a pixel to HTML bodies.")
    clicks: bool = Field(default=False, description="Lead the links of HTML bodies over the tracking stage.")
    unsubscribe: Scope | None = Field(
        Scope.MARKETING,
        description="What one unsubscribe stops. Marketing messages get List-Unsubscribe, unless list_unsubscribe says "
        "where.",
    )


class ChannelSettings(Section):
    """A business channel; its code is the key."""

    name: Text | None = Field(None, description="For people; the code where left out.")
    action: Action = Field(description="Default action type.")
    bus_channel: Text = Field(description="Such as EMAIL or SMS; its providers name the same.")
    bus_provider: Text = Field(description="The family of providers that it points at.")
    provider: Text = Field(description="The provider of a message that names none.")
    lane: Lane | None = Field(None, description="If set, it wins over a message's priority.")
    validity_ms: Duration | None = Field(
        None, alias="validity", ge=1_000, description="A message without an end expires this long after its start."
    )
    in_doubt: InDoubt = Field(
        InDoubt.RESEND,
        description="An attempt that may have been sent: resend, or report it as UNKNOWN and never send twice.",
    )
    country: Country | None = Field(None, description="Of phone numbers written without a country code.")
    segments_max: int = Field(10, ge=1, le=255, description="A text message that needs more is REJECTED.")
    purpose: Purpose | None = Field(
        None, description="What its messages are for, whatever they say; a one-time password stays one."
    )
    tracking: TrackSettings = Field(default_factory=TrackSettings)
    list_unsubscribe: Unsubscribe | None = Field(
        None, description="https: or mailto: address for List-Unsubscribe; may hold {{ message_id }}."
    )
    failover: tuple[Text, ...] = Field(
        (), description="Providers to turn to, in this order, when one fails for certain; each is tried once."
    )
    extended_properties: PropertiesSchema | None = Field(
        None, description="JSON Schema that the properties of a message must fit; their values are texts."
    )
    retry: RetrySettings = Field(default_factory=RetrySettings)

    @model_validator(mode="after")
    def _express_is_safe(self) -> Self:
        if self.lane is Lane.EXPRESS and self.in_doubt is not InDoubt.REPORT:
            raise wrong("is express and may send twice", "in_doubt: report")
        if self.lane is Lane.EXPRESS and self.validity_ms is None:
            raise wrong("is express and never expires", "validity: 5m")
        return self
