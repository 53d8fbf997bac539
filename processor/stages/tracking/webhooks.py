"""Takes the calls of providers: verified, read, published, and only then answered."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any, Final

from confluent_kafka import KafkaException

from processor.logs import logger
from processor.metrics import RECEIPTS, WEBHOOK_CALLS
from processor.providers.webhooks.body import NotReadable, object_of, pairs
from processor.providers.webhooks.call import Call, Signed, Why
from processor.providers.webhooks.reading import Malformed, Reader, getter
from processor.providers.webhooks.reports import Reports
from processor.providers.webhooks.signatures import verifier
from processor.stages.tracking.spent import Spent

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping, Sequence

    from processor.core.events import Receipt
    from processor.providers.webhooks.config import WebhookConfig

PREFIX: Final = "/w/"
"""What comes before a provider's name in the path."""

ACCEPTED, MALFORMED, UNVERIFIED, UNKNOWN, NOT_SAFE = 204, 400, 401, 404, 503
OUTCOMES: Final[Mapping[int, str]] = {
    ACCEPTED: "accepted",
    MALFORMED: "malformed",
    413: "malformed",
    UNVERIFIED: "unverified",
    NOT_SAFE: "not_safe",
}
SLICE: Final = 200  # reports that are worked on before other requests have their turn; some 10 ms
QUIET_MS: Final = 60_000  # between two log lines about one provider


class Webhooks:
    """The webhooks of all providers that have one."""

    def __init__(
        self,
        configs: Mapping[str, WebhookConfig],
        publish: Callable[[Sequence[Receipt]], Awaitable[None]],
        now_ms: Callable[[], int],
        replay_window_ms: int,
        base_url: str,
    ) -> None:
        """
        Take calls below *base_url*, the public address, for the providers in *configs*.

        *publish* returns once every receipt is safe, and raises KafkaException or TimeoutError where one is not.
        Raises ValueError for a configuration that could verify nothing.
        """
        self._publish = publish
        self._now_ms = now_ms
        self._base_url = base_url.rstrip("/")
        spent = Spent()
        self._hooks = {name: _Webhook(name, config, replay_window_ms, spent) for name, config in configs.items()}
        self._refusals = {name: _Refusals(name) for name in configs}

    def has(self, provider: str) -> bool:
        """Tell whether there is a webhook of *provider*."""
        return provider in self._hooks

    async def take(self, provider: str, headers: Mapping[str, str], body: bytes, query: str) -> int:
        """
        Return the HTTP status of a call to /w/*provider*; *query* is as in the URL, without its question mark.

        204: all that it reports is published. 400: no reports can be read; 413: too many. 401: it is not shown to
        come from the provider. 404: no such provider, or one without a webhook. 503: not published; to be sent again.
        """
        hook = self._hooks.get(provider)
        if hook is None:
            return UNKNOWN
        url = f"{self._base_url}{PREFIX}{provider}{'?' if query else ''}{query}"
        call = Call({name.lower(): value for name, value in headers.items()}, body, query, url)
        status = await self._status(hook, call)
        WEBHOOK_CALLS.labels(provider, OUTCOMES[status]).inc()
        return status

    async def _status(self, hook: _Webhook, call: Call) -> int:
        now_ms = self._now_ms()
        found = hook.verified(call, now_ms)
        if isinstance(found, Why):
            self._refusals[hook.name].note(found, now_ms)
            return UNVERIFIED
        receipts = await hook.receipts(found, call, now_ms)
        if isinstance(receipts, Malformed):
            return receipts.status
        try:
            if receipts:
                await self._publish(receipts)
        except (KafkaException, TimeoutError):
            return NOT_SAFE
        for receipt in receipts:
            RECEIPTS.labels(hook.name, receipt.state).inc()
        return ACCEPTED


class _Webhook:
    """One provider's."""

    def __init__(self, name: str, config: WebhookConfig, window_ms: int, spent: Spent) -> None:
        self.name = name
        self._verify = verifier(config.verification)
        self._window_ms = window_ms if config.verification.window_ms is None else config.verification.window_ms
        self._spent = spent
        self._only = [(getter(path), values) for path, values in config.only.items()]
        self._reader = Reader(config.reading)
        self._reports = Reports(name, config.reading)
        self._asks_query = config.reading.echo_in_query

    def verified(self, call: Call, now_ms: int) -> Any | Malformed | Why:
        """Return the body of *call* as a value, or why it is refused."""
        signed = self._verify(call, now_ms, self._window_ms)
        if isinstance(signed, Why):
            return signed
        if not self._is_fresh(signed, call, now_ms):
            return Why.STALE
        whole = self._reader.whole(call.body)
        if not isinstance(whole, Malformed) and any(get(whole) not in values for get, values in self._only):
            return Why.ELSEWHERE
        return whole

    async def receipts(self, whole: Any | Malformed, call: Call, now_ms: int) -> list[Receipt] | Malformed:
        """Return a receipt for each report in *whole*; none at all where one cannot be read."""
        reports = whole if isinstance(whole, Malformed) else self._reader.reports(whole)
        if isinstance(reports, Malformed):
            return reports
        query = self._query(call) if self._asks_query and len(reports) == 1 else {}
        made: list[Receipt] = []
        for at, report in enumerate(reports, 1):
            receipt = self._reports.receipt(report, query, now_ms=now_ms)
            if isinstance(receipt, Malformed):
                return receipt
            made.append(receipt)
            if at % SLICE == 0:
                await asyncio.sleep(0)
        return made

    def _is_fresh(self, signed: Signed, call: Call, now_ms: int) -> bool:
        token, window_ms = signed.once, self._window_ms
        return token is None or self._spent.fits(self.name, token, call.body, now_ms=now_ms, window_ms=window_ms)

    def _query(self, call: Call) -> Mapping[str, str]:
        found = pairs(call.query.encode("utf-8", "surrogatepass"))
        return {} if isinstance(found, NotReadable) else object_of(found)


class _Refusals:
    """Tells of refused calls, once a minute at most: whoever finds the address can make as many as he likes."""

    def __init__(self, provider: str) -> None:
        self._provider = provider
        self._count = 0
        self._quiet_until_ms = 0

    def note(self, why: Why, now_ms: int) -> None:
        self._count += 1
        if now_ms >= self._quiet_until_ms:
            logger().warning("webhook.refused", provider=self._provider, why=why, count=self._count)
            self._count, self._quiet_until_ms = 0, now_ms + QUIET_MS
