"""The HTTP adapter: build, exchange, parse."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Final

from processor.core.outcome import Deferred, Outcome, Rejected, Stage, Unknown
from processor.core.words import Reason
from processor.providers.adapter import TOO_LATE, Broken
from processor.providers.content import rejected
from processor.providers.http.answer import Mapped, parse
from processor.providers.http.request import Requests
from processor.providers.http.wire import Request, Wire

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping, Sequence

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
        self._requests = Requests(config)
        self._bulk = config.item is not None
        self._mapped = Mapped.of(config)
        self._now_ms = now_ms
        self._wire = Wire(config, self._requests.url)

    def open(self) -> None:
        """Do nothing: the first call connects."""

    async def send(self, batch: Sequence[Submission]) -> Sequence[Outcome]:
        """Send *batch*; what must be refused is refused alone, the rest goes."""
        if len(batch) == 1:  # most calls: their cost is that of a message
            refused = self._refusal(batch[0])
            return await self._called(batch) if refused is None else [refused]
        return await _completed(batch, [self._refusal(asked) for asked in batch], self._sent)

    async def close(self) -> None:
        """Drop kept connections."""
        await self._wire.close()

    def _refusal(self, asked: Submission) -> Rejected | None:
        """Refuse what some recipients have already: a service is told of all, and would send it to them again."""
        if asked.recipients is not None:
            return rejected(Reason.INVALID_RECIPIENT, "to")
        return self._requests.refusal(asked.message)

    async def _sent(self, batch: Sequence[Submission]) -> Sequence[Outcome]:
        if self._bulk:
            return await self._called(batch)
        return [outcome for asked in batch for outcome in await self._called([asked])]

    async def _called(self, batch: Sequence[Submission]) -> Sequence[Outcome]:
        request = self._requests.build(batch, now_ms=self._now_ms())
        if not isinstance(request, Request):
            return [request] if len(batch) == 1 else await self._alone(batch)
        answer = await self._wire.exchange(request, is_over=lambda: any(asked.is_over() for asked in batch))
        if answer is None:
            return await _completed(batch, [TOO_LATE if asked.is_over() else None for asked in batch], self._called)
        if isinstance(answer, Broken):
            return [BROKEN[answer.stage]] * len(batch)
        outcomes = parse(answer, batch, self._mapped, now_ms=self._now_ms())
        refused_as_a_whole = isinstance(outcomes[0], Rejected) and not self._mapped.has_results(answer)
        return await self._alone(batch) if refused_as_a_whole and len(batch) > 1 else outcomes

    async def _alone(self, batch: Sequence[Submission]) -> Sequence[Outcome]:
        """Send each of *batch* in a call of its own: the fault of one, or the size of all, must not end the others."""
        alone = await asyncio.gather(*(self._called([asked]) for asked in batch))
        return [outcome for outcomes in alone for outcome in outcomes]


async def _completed(
    batch: Sequence[Submission],
    known: Sequence[Outcome | None],
    send: Callable[[Sequence[Submission]], Awaitable[Sequence[Outcome]]],
) -> Sequence[Outcome]:
    """Return the outcomes that are *known*, and in their places those of sending the rest of *batch*."""
    going = [asked for asked, outcome in zip(batch, known, strict=True) if outcome is None]
    answered = iter(await send(going) if going else ())
    return [next(answered) if outcome is None else outcome for outcome in known]
