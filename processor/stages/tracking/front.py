"""Answers requests: what was asked for becomes an event, the event becomes safe, and then the answer goes out."""

import time
from collections import Counter
from collections.abc import Callable, Coroutine, Mapping
from functools import partial
from http import HTTPStatus
from typing import Any, Final, Protocol, assert_never

from processor.core.actor import Act
from processor.core.control import SUPPRESSION, control_key
from processor.core.events import Control, EngagementEvent
from processor.core.tokens import Sealer, Ticket
from processor.core.words import Scope
from processor.logs import logger
from processor.metrics import ENGAGEMENT, TRACKING_LOST, TRACKING_REQUESTS
from processor.stages.tracking.acts import Acts
from processor.stages.tracking.agents import Agents
from processor.stages.tracking.buffer import Record
from processor.stages.tracking.outlet import Outlet
from processor.stages.tracking.responses import (
    BAD_REQUEST,
    NOT_FOUND,
    NOT_UNSUBSCRIBED,
    OK,
    UNAVAILABLE,
    UNSUBSCRIBED,
    Response,
    plain,
)
from processor.stages.tracking.routes import (
    Clicked,
    Headed,
    Opened,
    Probe,
    Reports,
    Shown,
    Unsubscribes,
    asked,
)

log = logger()

FORM_BYTES_MAX: Final = 8_192
UNSUBSCRIBED_CAUSE: Final = "unsubscribed"
_TELL_EVERY: Final = 1_000
_ROUTE: Final = {Act.OPENED: "open", Act.CLICKED: "click"}

Rest = Coroutine[Any, Any, None]
"""What remains to be done for an answer."""


class Webhooks(Protocol):
    """What takes the reports of providers."""

    def has(self, provider: str) -> bool:
        """Tell whether there is a webhook of *provider*."""
        ...

    async def take(self, provider: str, headers: Mapping[str, str], body: bytes, query: str) -> int:
        """Return the status to answer with, once what was reported is safe."""
        ...


class Request(Protocol):
    """One request; its body is read when it is asked for."""

    @property
    def method(self) -> str:
        """As the client wrote it."""
        ...

    @property
    def path(self) -> str:
        """Percent-decoded, without query."""
        ...

    @property
    def query(self) -> str:
        """What stands behind the question mark."""
        ...

    def header(self, name: str) -> str:
        """Return a header, "" without one."""
        ...

    def headers(self) -> Mapping[str, str]:
        """Return all headers, names in lower case."""
        ...

    async def body(self, bytes_max: int) -> bytes | Response:
        """Return the whole body, or the answer to one that is too large, too slow or cut."""
        ...

    def reply(self, response: Response) -> None:
        """Answer; once."""
        ...


class Codec(Protocol):
    """Writes what is published."""

    def encode_engagement(self, event: EngagementEvent) -> bytes:
        """Return the framed record."""
        ...

    def encode_control(self, control: Control) -> bytes:
        """Return the framed record."""
        ...


class Topics(Protocol):
    """Names of the two topics that are written to."""

    @property
    def engagement(self) -> str:
        """Opens, clicks and unsubscribes."""
        ...

    @property
    def control(self) -> str:
        """Suppressions and recalls."""
        ...


class Front:
    """The public side of the processor; used in one event loop."""

    def __init__(
        self,
        sealer: Sealer,
        acts: Acts,
        outlet: Outlet,
        codec: Codec,
        names: Topics,
        *,
        body_bytes_max: int,
        ready: Callable[[], bool],
        healthy: Callable[[], bool],
        webhooks: Webhooks | None = None,
        now_ns: Callable[[], int] = time.time_ns,
    ) -> None:
        """Without *webhooks* no provider is known."""
        self._sealer = sealer
        self._acts = acts
        self._outlet = outlet
        self._codec = codec
        self._engagement = names.engagement
        self._control = names.control
        self._body_bytes_max = body_bytes_max
        self._probes = {"readyz": ready, "healthz": healthy}
        self._webhooks = webhooks
        self._now_ns = now_ns
        self._agents = Agents()
        self._lost = 0
        self._requests = Counter[tuple[str, int]]()
        self._events = Counter[tuple[str, str]]()

    def answer(self, request: Request) -> Rest | None:
        """
        Answer *request* once the answer is true; run what is returned, if anything is.

        Opens and clicks, which are nearly all that comes, need no task: Kafka's acknowledgement answers them.
        """
        what = asked(self._sealer, request.method, request.path)
        if isinstance(what, Clicked):
            self._keep(Act.CLICKED, what, request)
        elif isinstance(what, Opened):
            self._keep(Act.OPENED, what, request)
        elif isinstance(what, Unsubscribes | Reports):
            return self._read(what, request)
        else:
            self._reply(request, *self._shown(what))
        return None

    def tell(self) -> None:
        """Add what was counted to the metrics: now and then, for to count there takes as long as to make an event."""
        for (route, status), number in self._requests.items():
            TRACKING_REQUESTS.labels(route, f"{status // 100}xx").inc(number)
        for (act, actor), number in self._events.items():
            ENGAGEMENT.labels(act, actor).inc(number)
        self._requests.clear()
        self._events.clear()

    def _shown(self, what: Headed | Shown | Probe) -> tuple[str, Response]:
        match what:
            case Headed(ticket, route, response):
                self._acts.headed(ticket, now_ms=self._now_ns() // 1_000_000)
                return route, response
            case Shown(route, response):
                return route, response
            case Probe(name):
                return "probe", OK if self._probes[name]() else UNAVAILABLE
        assert_never(what)

    async def _read(self, what: Unsubscribes | Reports, request: Request) -> None:
        match what:
            case Unsubscribes(ticket):
                self._reply(request, "unsubscribe", await self._unsubscribed(ticket, request))
            case Reports(provider):
                self._reply(request, "webhook", await self._reported(provider, request))

    def _reply(self, request: Request, route: str, response: Response) -> None:
        self._requests[route, response.status] += 1
        request.reply(response)

    def _keep(self, act: Act, what: Opened | Clicked, request: Request) -> None:
        event = self._event(act, what.ticket, request)
        self._outlet.keep(self._record(event), partial(self._kept, act, event, what.response, request))

    def _kept(self, act: Act, event: EngagementEvent, response: Response, request: Request, kept: bool) -> None:  # noqa: FBT001
        self._ended(event, safe=kept)
        if not kept:
            self._tell_lost(act)
            response = UNAVAILABLE if act is Act.OPENED else response  # a lost click must not stop who clicked
        self._reply(request, _ROUTE[act], response)

    def _tell_lost(self, act: Act) -> None:
        TRACKING_LOST.labels(act).inc()
        if self._lost % _TELL_EVERY == 0:
            log.error("engagement.lost", stage="tracking", count=self._lost + 1)
        self._lost += 1

    async def _unsubscribed(self, ticket: Ticket, request: Request) -> Response:
        body = await request.body(min(FORM_BYTES_MAX, self._body_bytes_max))
        if isinstance(body, Response):
            return body
        if b"List-Unsubscribe" not in body or b"One-Click" not in body:  # RFC 8058 §3.1, in either form encoding
            return BAD_REQUEST
        event = self._event(Act.UNSUBSCRIBED, ticket, request)
        control = _suppression(ticket, event.occurred_at_ms)
        suppressed = Record(self._control, control_key(control), self._codec.encode_control(control))
        safe = await self._outlet.publish([suppressed, self._record(event)])
        self._ended(event, safe=safe)
        return UNSUBSCRIBED if safe else NOT_UNSUBSCRIBED

    async def _reported(self, provider: str, request: Request) -> Response:
        if self._webhooks is None or not self._webhooks.has(provider):
            return NOT_FOUND  # before its body is read: whoever finds the address can make as many calls as he likes
        body = await request.body(self._body_bytes_max)
        if isinstance(body, Response):
            return body
        status = await self._webhooks.take(provider, request.headers(), body, request.query)
        return NOT_FOUND if status == HTTPStatus.NOT_FOUND else plain(status)

    def _event(self, act: Act, ticket: Ticket, request: Request) -> EngagementEvent:
        agent = self._agents.of(request.header("user-agent"))
        return self._acts.event(act, ticket, agent, now_ns=self._now_ns())

    def _record(self, event: EngagementEvent) -> Record:
        return Record(self._engagement, event.message_id.encode(), self._codec.encode_engagement(event))

    def _ended(self, event: EngagementEvent, *, safe: bool) -> None:
        self._acts.ended(event, safe=safe)
        if safe:
            self._events[event.type, event.actor] += 1


def _suppression(ticket: Ticket, now_ms: int) -> Control:
    return Control(
        kind=SUPPRESSION,
        scope=ticket.scope or Scope.MARKETING,
        address_hash=ticket.address_hash,
        message_id=ticket.message_id,
        campaign_id=ticket.campaign_id if ticket.scope == Scope.CAMPAIGN else None,
        channel=None,
        until_ms=None,
        set_at_ms=now_ms,
        cause=UNSUBSCRIBED_CAUSE,
    )
