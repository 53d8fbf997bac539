"""The HTTP adapter: build, exchange, parse."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from processor.core.outcome import Deferred, Outcome, Stage, Unknown
from processor.core.words import Reason
from processor.providers.adapter import Broken
from processor.providers.http.answer import Mapped, parse
from processor.providers.http.request import build, check, refusal
from processor.providers.http.wire import Request, Wire

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from processor.providers.adapter import Submission
    from processor.providers.http.config import HttpConfig

BROKEN: Final[Mapping[Stage, Outcome]] = {
    Stage.CONNECT: Deferred(Reason.PROVIDER_UNAVAILABLE, stage=Stage.CONNECT),
    Stage.PREPARE: Deferred(Reason.CONNECTION_BROKEN, stage=Stage.PREPARE),
    Stage.HAND_OVER: Unknown(Reason.ANSWER_MISSING, stage=Stage.HAND_OVER),
}


class HttpAdapter:
    """Calls one service; a batch is one call where the service has a bulk form, else one call each."""

    def __init__(self, config: HttpConfig, *, now_ms: Callable[[], int]) -> None:
        check(config)
        self._config = config
        self._mapped = Mapped.of(config)
        self._now_ms = now_ms
        self._wire = Wire(config)

    def open(self) -> None:
        """Do nothing: the first call connects."""

    async def send(self, batch: Sequence[Submission]) -> Sequence[Outcome]:
        """Send *batch*; what must be refused is refused alone, the rest goes."""
        refusals = {index: refusal(asked.message, self._config) for index, asked in enumerate(batch)}
        going = [asked for index, asked in enumerate(batch) if refusals[index] is None]
        answered = iter(await self._called(going))
        return [refusal or next(answered) for refusal in refusals.values()]

    async def close(self) -> None:
        """Drop kept connections."""
        await self._wire.close()

    async def _called(self, batch: Sequence[Submission]) -> Sequence[Outcome]:
        if not batch:
            return []
        if self._config.item is None and len(batch) > 1:
            return [outcome for asked in batch for outcome in await self._called([asked])]
        request = build(batch, self._config)
        if not isinstance(request, Request):
            return [request] * len(batch)
        answer = await self._wire.exchange(request)
        if isinstance(answer, Broken):
            return [BROKEN[answer.stage]] * len(batch)
        return parse(answer, batch, self._mapped, now_ms=self._now_ms())
