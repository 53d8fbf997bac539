"""
An HTTP service that takes e-mails and text messages, as hosted gateways do.

`POST /email` and `POST /sms` take one message as a JSON object or a form: `message_id`, `attempt`, `to`,
and what else there is; or several: `{"messages": [...]}`, answered with a result for each. Of several, one whose
recipient asks for a cut line is left out of the results; if all ask, the line is cut. With a webhook, each accepted
message is reported to it as delivered (callbacks.py).
`PUT /behaviour` replaces the script, `GET /ledger?after=N` returns entries as JSON Lines, `GET /healthz` says ok.
"""

from __future__ import annotations

import asyncio
from base64 import b64encode
from dataclasses import replace
from hashlib import sha256
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import parse_qs

import orjson
from aiohttp import web

from processor.sandbox.behaviour import ACCEPTED_BY, Action
from processor.sandbox.ledger import Entry, now_ms
from processor.sandbox.smtp_stream import HungUp

if TYPE_CHECKING:
    from processor.sandbox.behaviour import Behaviour, Rule
    from processor.sandbox.callbacks import Callbacks
    from processor.sandbox.ledger import Ledger
    from processor.sandbox.mailbox import Mailbox

BODY_BYTES_MAX: Final = 33_554_432
PROTOCOLS: Final = {"/email": "http-email", "/sms": "http-sms"}

STATUSES: Final = {  # what a single message is answered
    Action.ACCEPT: 202,
    Action.BOUNCE: 422,
    Action.RCPT: 422,
    Action.DEFER: 503,
    Action.THROTTLE: 429,
}

WORDS: Final = {  # what each message of a bulk call is answered
    Action.BOUNCE: "rejected",
    Action.RCPT: "rejected",
    Action.DEFER: "deferred",
    Action.THROTTLE: "throttled",
    Action.ANSWER: "scripted",
}


class HttpServer:
    """The service and its control endpoints."""

    def __init__(
        self,
        ledger: Ledger,
        behaviour: Behaviour,
        *,
        login: tuple[str, str] | None,
        mailbox: Mailbox | None = None,
        callbacks: Callbacks | None = None,
    ) -> None:
        self._ledger = ledger
        self._callbacks = callbacks
        self._behaviour = behaviour
        self._credentials = _credentials(login)
        self._mailbox = mailbox
        self._runner: web.AppRunner | None = None

    async def start(self, host: str, port: int) -> int:
        """Listen; returns the port, which is a free one where *port* is 0."""
        app = web.Application(client_max_size=BODY_BYTES_MAX)
        app.add_routes(
            [
                web.post("/email", self._take),
                web.post("/sms", self._take),
                web.put("/behaviour", self._script),
                web.get("/ledger", self._entries),
                web.get("/healthz", self._health),
            ]
        )
        app.add_routes([] if self._mailbox is None else self._mailbox.routes())
        self._runner = web.AppRunner(app, access_log=None, handle_signals=False, shutdown_timeout=0.1)
        await self._runner.setup()
        await web.TCPSite(self._runner, host, port, backlog=1_000).start()
        return int(self._runner.addresses[0][1])

    async def close(self) -> None:
        """Stop listening and hang up on everybody."""
        if self._runner is not None:
            await self._runner.cleanup()
        if self._callbacks is not None:
            await self._callbacks.close()

    # Messages.

    async def _take(self, request: web.Request) -> web.Response:
        try:
            return await self._answer(request, now_ms())
        except (HungUp, ConnectionResetError):  # by script, or by a client that hangs up in the middle
            if request.transport is not None:
                request.transport.abort()
            return web.Response()  # goes nowhere

    async def _answer(self, request: web.Request, began_ms: int) -> web.Response:
        if self._credentials and not self._credentials & _given(request):
            return web.json_response({"status": "unauthorized", "code": "auth"}, status=401)
        raw = await request.read()
        asked = _asked(request, raw)
        messages = asked.get("messages") if isinstance(asked, dict) else None
        if isinstance(messages, list):
            return await self._take_all(request, messages, began_ms)
        if not isinstance(asked, dict) or not _recipients(asked):
            return web.json_response({"status": "rejected", "code": "no-recipient"}, status=422)
        rule, number = await self._recorded(request, asked, raw, began_ms)
        if rule.action is Action.ANSWER:
            return web.json_response({"status": "scripted", "code": str(rule.code)}, status=rule.code)
        headers = {"Retry-After": "1"} if rule.action is Action.THROTTLE else {}
        return web.json_response(_result(asked, rule, number), status=STATUSES[rule.action], headers=headers)

    async def _take_all(self, request: web.Request, messages: list[Any], began_ms: int) -> web.Response:
        asked = [message for message in messages if isinstance(message, dict) and _recipients(message)]
        taken = await asyncio.gather(*(self._taken(request, message, began_ms) for message in asked))
        results = [_result(message, *done) for message, done in zip(asked, taken, strict=True) if done is not None]
        if asked and not results:
            raise HungUp
        return web.json_response({"results": results})

    async def _taken(self, request: web.Request, asked: dict[str, Any], began_ms: int) -> tuple[Rule, int] | None:
        """Take one of several messages; None where its recipient asks for a cut line."""
        try:
            return await self._recorded(request, asked, orjson.dumps(asked), began_ms)
        except (HungUp, ConnectionResetError):  # by script, or by a client that hangs up in the middle
            return None

    async def _recorded(
        self, request: web.Request, asked: dict[str, Any], raw: bytes, began_ms: int
    ) -> tuple[Rule, int]:
        """Record one message and do what its rule says, short of the answer."""
        entry = _arrived(request, asked, raw, began_ms)
        rule = self._behaviour.apply(entry.recipients, entry.message_id or entry.sha256)
        if rule.action is Action.DROP_BEFORE_DOT:
            raise HungUp
        accepted = rule.action in ACCEPTED_BY
        code = str(rule.code if rule.action is Action.ANSWER else STATUSES.get(rule.action, ""))
        number = await self._ledger.record(replace(entry, accepted=accepted, code=code))
        if accepted and self._mailbox is not None and entry.protocol == PROTOCOLS["/email"]:
            self._mailbox.keep_call(number, asked)
        if accepted and self._callbacks is not None:
            self._callbacks.delivered(asked, number)
        if rule.delay_ms:
            await asyncio.sleep(rule.delay_ms / 1000)
        if rule.action is Action.DROP_AFTER_DOT:
            raise HungUp
        return rule, number

    # Control.

    async def _script(self, request: web.Request) -> web.Response:
        try:
            script = orjson.loads(await request.read())
            self._behaviour.replace(script if isinstance(script, dict) else {"behaviour": None})
        except ValueError as wrong:
            return web.json_response({"error": str(wrong)}, status=400)
        return web.json_response({"rules": len(script)})

    async def _entries(self, request: web.Request) -> web.Response:
        after = request.query.get("after", "0")
        if not after.isdecimal():
            return web.json_response({"error": "after: write the number of an entry"}, status=400)
        lines = await asyncio.to_thread(self._ledger.page, int(after))
        return web.Response(body=lines, content_type="application/jsonl")

    async def _health(self, request: web.Request) -> web.Response:
        return web.json_response({"status": "ok", "entries": len(self._ledger)})


def _arrived(request: web.Request, asked: dict[str, Any], raw: bytes, began_ms: int) -> Entry:
    """What the ledger says of a message, refused until told otherwise."""
    message_id = asked.get("message_id") or request.headers.get("Idempotency-Key")
    attempt = str(asked.get("attempt") or request.headers.get("X-Comm-Attempt") or "")
    return Entry(
        at_ms=now_ms(),
        first_byte_ms=began_ms,
        protocol=PROTOCOLS[request.path],
        message_id=str(message_id) if message_id else None,
        attempt=int(attempt) if attempt.isdecimal() else None,
        recipients=_recipients(asked),
        accepted=False,
        code="",
        sha256=sha256(raw).hexdigest(),
        size_bytes=len(raw),
    )


def _recipients(asked: dict[str, Any]) -> tuple[str, ...]:
    named = [asked.get(name) or [] for name in ("to", "cc", "bcc")]
    lists = [value if isinstance(value, list) else [value] for value in named]
    return tuple(str(recipient) for recipients in lists for recipient in recipients)


def _result(asked: dict[str, Any], rule: Rule, number: int) -> dict[str, Any]:
    status = WORDS.get(rule.action, "accepted")
    result = {"message_id": asked.get("message_id"), "status": status, "code": str(rule.code)}
    return result | ({"id": f"sandbox-{number}"} if rule.action in ACCEPTED_BY else {})


def _asked(request: web.Request, raw: bytes) -> Any:
    if request.content_type == "application/x-www-form-urlencoded":
        return {name: values[0] for name, values in parse_qs(raw.decode("utf-8", "replace")).items()}
    try:
        return orjson.loads(raw)
    except orjson.JSONDecodeError:
        return None


def _credentials(login: tuple[str, str] | None) -> frozenset[str]:
    """Every form in which the configured login may come."""
    if login is None:
        return frozenset()
    basic = b64encode(":".join(login).encode()).decode("ascii")
    return frozenset({f"Basic {basic}", f"Bearer {login[1]}", login[1]})


def _given(request: web.Request) -> set[str]:
    return {request.headers.get(name, "") for name in ("Authorization", "X-Api-Key", "X-App-Key")}
