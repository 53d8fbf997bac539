"""A client of the public side: plain sockets, so that it can be as rude as the public is."""

from __future__ import annotations

import socket
from contextlib import closing, suppress
from http.client import HTTPConnection
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Mapping

CHROME = (
    "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/130.0.0.0 Safari/537.36"
)


class Answer(NamedTuple):
    status: int
    headers: Mapping[str, str]  # names in lower case
    body: bytes


def ask(port: int, method: str, path: str, body: bytes | None = None, *, agent: str = CHROME, **headers: str) -> Answer:
    """Make one request."""
    with closing(HTTPConnection("127.0.0.1", port, timeout=15)) as line:
        line.request(method, path, body, {"User-Agent": agent, **headers})
        answer = line.getresponse()
        return Answer(answer.status, {name.lower(): value for name, value in answer.getheaders()}, answer.read())


def say(port: int, raw: bytes, *, within_s: float = 20.0) -> bytes:
    """Send bytes, as many as the other side takes, and return all that comes until it closes."""
    with socket.create_connection(("127.0.0.1", port), timeout=within_s) as line:
        with suppress(BrokenPipeError, ConnectionResetError):  # it has answered what it would not read to the end
            line.sendall(raw)
        heard = b""
        while chunk := line.recv(65_536):
            heard += chunk
        return heard
