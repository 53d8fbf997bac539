"""The whole configuration, and what the rest of the processor is given of it."""

from collections.abc import Iterator, Mapping

from pydantic import Field

from processor.core.plan import Channel, Form, Plan, Provider, RetryPolicy
from processor.providers.catalogue import AdapterConfig
from processor.providers.tracking.config import TrackingConfig
from processor.providers.webhooks.config import WebhookConfig
from processor.settings.adapters import AnyProvider
from processor.settings.attachments import AttachmentsSettings
from processor.settings.channels import ChannelSettings
from processor.settings.duplicates import DuplicatesSettings
from processor.settings.kinds import Name
from processor.settings.models import (
    Environment,
    KafkaSettings,
    LanesSettings,
    LimitsSettings,
    LogsSettings,
    MetricsSettings,
    RegistrySettings,
    TopicsSettings,
)
from processor.settings.problems import Path
from processor.settings.receipts import ReceiptsSettings
from processor.settings.section import Section
from processor.settings.tracking import SuppressionSettings, TrackingSettings

Finding = tuple[Path, str, str]
"""Where, what is wrong, what to write instead."""


class Settings(Section):
    """The whole configuration."""

    environment: Environment = Field(
        Environment.DEVELOPMENT, description="production refuses plain text and defaults of secrets."
    )
    kafka: KafkaSettings = Field(default_factory=KafkaSettings)
    registry: RegistrySettings = Field(default_factory=RegistrySettings)
    topics: TopicsSettings = Field(default_factory=TopicsSettings)
    limits: LimitsSettings = Field(default_factory=LimitsSettings)
    lanes: LanesSettings = Field(default_factory=LanesSettings)
    channels: Mapping[Name, ChannelSettings] = Field(default_factory=dict)
    providers: Mapping[Name, AnyProvider] = Field(default_factory=dict)
    attachments: AttachmentsSettings = Field(default_factory=AttachmentsSettings)
    tracking: TrackingSettings = Field(default_factory=TrackingSettings)
    suppression: SuppressionSettings = Field(default_factory=SuppressionSettings)
    receipts: ReceiptsSettings = Field(default_factory=ReceiptsSettings)
    duplicates: DuplicatesSettings = Field(default_factory=DuplicatesSettings)
    metrics: MetricsSettings = Field(default_factory=MetricsSettings)
    logs: LogsSettings = Field(default_factory=LogsSettings)

    def plan(self) -> Plan:
        """Return what decisions need."""
        return Plan(
            channels={code: self._channel(code, channel) for code, channel in self.channels.items()},
            providers={name: self._provider(name, provider) for name, provider in self.providers.items()},
            lanes=self.lanes.split(),
            message_bytes_max=self.limits.message_bytes_max,
        )

    def adapter_configs(self) -> Mapping[str, AdapterConfig]:
        """Return what each provider's adapter is built with, by the provider's name."""
        return {name: provider.config() for name, provider in self.providers.items()}

    def tracking_config(self) -> TrackingConfig | None:
        """Return what mails are tracked with; None if they are not."""
        return self.tracking.config(self.suppression.hash_key())

    def webhook_configs(self) -> Mapping[str, WebhookConfig]:
        """Return how calls of providers are taken, by the provider's name; of those that have a webhook."""
        hooks = {name: getattr(provider, "webhook", None) for name, provider in self.providers.items()}
        return {name: hook.config() for name, hook in hooks.items() if hook is not None}

    def _channel(self, code: str, channel: ChannelSettings) -> Channel:
        retry = channel.retry
        return Channel(
            code=code,
            name=channel.name or code,
            action=channel.action,
            bus_channel=channel.bus_channel,
            bus_provider=channel.bus_provider,
            provider=channel.provider,
            retry=RetryPolicy(retry.max_attempts, retry.interval_ms, retry.kind, retry.cap_ms),
            in_doubt=channel.in_doubt,
            lane=channel.lane,
            validity_ms=channel.validity_ms,
            form=self._form(channel),
            failover=channel.failover,
            properties=channel.extended_properties,
            providers=tuple(name for name, provider in self.providers.items() if _serves(provider, channel)),
        )

    def _form(self, channel: ChannelSettings) -> Form:
        tracked = channel.tracking if self.tracking.base_url else None
        return Form(
            channel.country,
            channel.segments_max,
            channel.list_unsubscribe,
            tracks_opens=bool(tracked and tracked.opens),
            tracks_clicks=bool(tracked and tracked.clicks),
            unsubscribe_scope=channel.tracking.unsubscribe if tracked else None,
            purpose=channel.purpose,
        )

    def _provider(self, name: str, provider: AnyProvider) -> Provider:
        return Provider(
            name=name,
            adapter=provider.adapter,
            bus_provider=provider.bus_provider,
            bus_channel=provider.bus_channel,
            interval=provider.window.interval() if provider.window else None,
            bulk_size=provider.bulk_size,
            concurrency=provider.concurrency,
            rate_per_s=provider.rate_per_s,
            express_share=provider.express_share,
            call_timeout_ms=provider.timeout_ms + (self.attachments.timeout_ms if self.attachments.are_fetched else 0),
            breaker=provider.breaker.policy(),
        )


def _serves(provider: AnyProvider, channel: ChannelSettings) -> bool:
    return (provider.bus_provider, provider.bus_channel) == (channel.bus_provider, channel.bus_channel)


def disagreements(settings: Settings) -> Iterator[Finding]:
    """Yield what is wrong between sections that are right in themselves."""
    for section in ("channels", "providers"):
        if not getattr(settings, section):
            yield (section,), "is missing or empty", "at least one, as in the packaged default.yaml"
    for code, channel in settings.channels.items():
        where = ("channels", code, "provider")
        provider = settings.providers.get(channel.provider)
        fitting = sorted(name for name, one in settings.providers.items() if _serves(one, channel))
        instead = f"one of {', '.join(fitting)}" if fitting else "a provider of its bus provider and bus channel"
        if provider is None:
            yield where, "names no provider", instead
        elif provider.bus_provider != channel.bus_provider:
            yield where, f"names a provider of another bus provider than {channel.bus_provider}", instead
        elif provider.bus_channel != channel.bus_channel:
            yield where, f"names a provider of another bus channel than {channel.bus_channel}", instead
        if strange := [name for name in channel.failover if name not in fitting or name == channel.provider]:
            what = f"names {strange[0]}, to which its messages cannot turn"
            yield (
                ("channels", code, "failover"),
                what,
                f"other providers of its bus provider and bus channel: {instead}",
            )
    if settings.tracking.base_url is None:
        for name in settings.webhook_configs():
            what = "is heard by nobody: tracking has no base_url"
            yield ("providers", name, "webhook"), what, "tracking: { base_url: https://… }, or leave webhook out"
    if settings.environment is Environment.PRODUCTION:
        yield from _plain_text(settings)
        yield from _unkeyed(settings)


def _unkeyed(settings: Settings) -> Iterator[Finding]:
    """Yield the lack of the key of the suppression list: everybody could ask it for an address."""
    if settings.tracking.base_url and settings.suppression.key is None:
        yield ("suppression", "key"), "is missing, which production needs", "key: { env: COMMPROC_SUPPRESSION_KEY }"


def _plain_text(settings: Settings) -> Iterator[Finding]:
    """Yield what production would send to Kafka or the registry unencrypted (FAULTS S20); providers look themselves."""
    if not settings.kafka.security_protocol.endswith("SSL"):
        yield ("kafka", "security_protocol"), "is plain text, which production refuses", "SSL or SASL_SSL"
    if settings.registry.password and (settings.registry.url or "").startswith("http://"):
        yield ("registry", "url"), "would carry the password in plain text, which production refuses", "https://…"
