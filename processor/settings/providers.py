"""What the section `providers` asks of every provider, whatever its adapter."""

from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from processor.core.plan import BreakerPolicy, DailyInterval
from processor.providers.catalogue import AdapterConfig
from processor.settings.kinds import Duration, Text, TimeOfDay, Zone, wrong, zone
from processor.settings.section import Section

Answer = Literal["accepted", "deferred", "throttled", "rejected", "unknown", "authentication", "unavailable"]
"""What a code of a provider may be said to mean: `Meaning`, less what no table lists."""


Countries = tuple[Annotated[int, Field(ge=1, le=999)], ...]
"""Calling codes (ITU-T E.164, annex A)."""


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


class BreakerSettings(Section):
    """When a failing provider is left alone; nothing is lost meanwhile, and one message at a time tries it."""

    share: float = Field(0.5, gt=0, le=1, description="Part of the calls in the window that failed.")
    calls_min: int = Field(10, ge=1, description="Calls in the window below which nothing is concluded.")
    window_ms: Duration = Field(10_000, alias="window", ge=1_000, description="How far back calls count.")
    pause_ms: Duration = Field(
        5_000, alias="pause", ge=100, description="Until the first probe; doubled by each that fails."
    )
    pause_max_ms: Duration = Field(60_000, alias="pause_max", ge=100, description="The longest pause.")

    def policy(self) -> BreakerPolicy:
        """Return the policy as the core takes it."""
        return BreakerPolicy(
            self.share, self.calls_min, self.window_ms / 1_000, self.pause_ms / 1_000, self.pause_max_ms / 1_000
        )


class ProviderSettings(Section):
    """What every provider has, whatever its adapter; its name is the key."""

    bus_provider: Text = Field(description="The family it belongs to.")
    bus_channel: Text = Field(description="Such as EMAIL or SMS.")
    window: WindowSettings | None = Field(None, description="When it may be called; without it always.")
    bulk_size: int = Field(
        1, ge=1, le=1000, description="Messages in one call; over http above 1 needs item. Express never batches."
    )
    concurrency: int = Field(20, ge=1, le=10_000, description="Calls at once, per process.")
    rate_per_s: float | None = Field(None, gt=0, description="Calls a second over all processes; without it no limit.")
    express_share: float = Field(
        0.2, gt=0, le=1, description="Part of concurrency and rate kept for the express lane, above 0 to 1."
    )
    breaker: BreakerSettings = Field(default_factory=BreakerSettings)
    call_timeout_ms: Duration | None = Field(
        None, alias="call_timeout", description="A whole call; where left out, all phases together and 5s."
    )

    def config(self) -> AdapterConfig:
        """Return what the adapter is built with."""
        raise NotImplementedError

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
