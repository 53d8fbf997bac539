"""The mails that the sandbox accepted, to be opened as their recipients would: in a browser."""

from __future__ import annotations

import email
from email.policy import default as modern
from typing import TYPE_CHECKING, Any, Final

import orjson
from aiohttp import web

if TYPE_CHECKING:
    from collections.abc import Iterator
    from email.message import EmailMessage
    from pathlib import Path

MAIL: Final = ".eml"
CALL: Final = ".json"
HTML: Final = "text/html"


class Mailbox:
    """A folder with a file for each mail, named by its number in the ledger; a test tool's, for it holds contents."""

    def __init__(self, folder: Path) -> None:
        """Keep mails in *folder*, which is made if need be."""
        self._folder = folder
        folder.mkdir(parents=True, exist_ok=True)

    def keep_mail(self, number: int, content: bytes) -> None:
        """Keep a mail as it was on the wire, without the dots that SMTP adds (RFC 5321 §4.5.2)."""
        (self._folder / f"{number}{MAIL}").write_bytes(content.replace(b"\r\n..", b"\r\n."))

    def keep_call(self, number: int, asked: dict[str, Any]) -> None:
        """Keep a mail that came as one message of an HTTP request."""
        (self._folder / f"{number}{CALL}").write_bytes(orjson.dumps(asked))

    def routes(self) -> list[web.RouteDef]:
        """Return where the mailbox is to be looked into."""
        return [
            web.get("/mailbox", self._list),
            web.get(r"/mailbox/{number:\d{1,12}}", self._open),
            web.get(r"/mailbox/{number:\d{1,12}}/source", self._source),
        ]

    async def _list(self, request: web.Request) -> web.Response:
        """Answer a line for each mail that follows number `after`: its number, headers, and whether it has HTML."""
        after = request.query.get("after", "0")
        if not after.isdecimal():
            return web.json_response({"error": "after: write the number of a mail"}, status=400)
        lines = [orjson.dumps(_summary(number, *_read(path))) for number, path in self._found(int(after))]
        return web.Response(body=b"".join(line + b"\n" for line in lines), content_type="application/jsonl")

    async def _open(self, request: web.Request) -> web.Response:
        """Answer what a mail program shows: the HTML of a mail, else its text."""
        path = self._path(request.match_info["number"])
        if path is None:
            return web.json_response({"error": "no such mail"}, status=404)
        _, html, text = _read(path)
        return web.Response(text=html or text or "", content_type=HTML if html else "text/plain", charset="utf-8")

    async def _source(self, request: web.Request) -> web.Response:
        path = self._path(request.match_info["number"])
        if path is None:
            return web.json_response({"error": "no such mail"}, status=404)
        kind = "message/rfc822" if path.suffix == MAIL else "application/json"
        return web.Response(body=path.read_bytes(), content_type=kind)

    def _path(self, number: str) -> Path | None:
        found = (self._folder / f"{int(number)}{suffix}" for suffix in (MAIL, CALL))
        return next((path for path in found if path.is_file()), None)

    def _found(self, after: int) -> Iterator[tuple[int, Path]]:
        numbered = [(int(path.stem), path) for path in self._folder.iterdir() if path.suffix in {MAIL, CALL}]
        return iter(sorted(each for each in numbered if each[0] > after))


def _summary(number: int, headers: dict[str, str], html: str | None, _: str | None) -> dict[str, Any]:
    return {"n": number, "headers": headers, "html": html is not None}


def _read(path: Path) -> tuple[dict[str, str], str | None, str | None]:
    """Return a mail's headers (names in small letters), its HTML and its text."""
    if path.suffix == CALL:
        asked = orjson.loads(path.read_bytes())
        named = {"message-id": str(asked.get("message_id")), "subject": str(asked.get("subject") or "")}
        return named, asked.get("html"), asked.get("text")
    mail = email.message_from_bytes(path.read_bytes(), policy=modern)
    headers = {name.lower(): str(value) for name, value in mail.items()}
    return headers, _body(mail, "html"), _body(mail, "plain")


def _body(mail: EmailMessage, subtype: str) -> str | None:
    part = mail.get_body((subtype,))
    return None if part is None else str(part.get_content())
