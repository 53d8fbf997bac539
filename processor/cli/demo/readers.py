"""The people who get the demo's newsletters: they open them, click, and some have had enough."""

import re
import threading
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from html.parser import HTMLParser
from http.client import HTTPConnection, HTTPException
from typing import Final, Self
from urllib.parse import urlsplit

import orjson

from processor.cli.demo.mix import NEWSLETTERS

OPENED: Final = "opened"
CLICKED: Final = "clicked"
UNSUBSCRIBED: Final = "unsubscribed"
CLICK_EVERY: Final = 2
UNSUBSCRIBE_EVERY: Final = 10

BROWSER: Final = "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0"
OPENERS: Final = (  # who fetches the pixel, in turn
    BROWSER,
    "Mozilla/5.0",  # what Apple's privacy proxy calls itself
    "Mozilla/5.0 (Windows NT 5.1; rv:11.0) Gecko Firefox/11.0 (via ggpht.com GoogleImageProxy)",
)
ONE_CLICK: Final = b"List-Unsubscribe=One-Click"  # RFC 8058 §3.2
FORM: Final = "application/x-www-form-urlencoded"
_LOOK_EVERY_S: Final = 0.2
_WAIT_S: Final = 1.0  # longer than the time in which only a machine would be so quick
_ANSWER_S: Final = 10.0
_DONE: Final = range(200, 400)


@dataclass(frozen=True, slots=True)
class Act:
    """Something that a person did; without *confirmed* the tracking stage did not answer that it knows."""

    type: str
    message_id: str
    confirmed: bool = True


class Seen(HTMLParser):
    """What of a newsletter leads to the tracking stage."""

    def __init__(self, base_url: str) -> None:
        """Begin with an empty page."""
        super().__init__()
        self.base_url = base_url
        self.pixels: list[str] = []
        self.links: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Take note of a link or an image."""
        given = dict(attrs)
        if tag == "img" and (given.get("src") or "").startswith(f"{self.base_url}/o/"):
            self.pixels.append(given["src"] or "")
        if tag == "a" and (given.get("href") or "").startswith(f"{self.base_url}/c/"):
            self.links.append(given["href"] or "")


class Readers:
    """A thread that reads the sandbox's mailbox as its recipients would."""

    def __init__(self, mailbox: tuple[str, int], base_url: str) -> None:
        """Read at *mailbox* (host, port); follow what leads to *base_url*."""
        self.acts: list[Act] = []
        self._mailbox, self._base_url = mailbox, base_url
        self._read_to, self._count = 0, 0
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name="readers")

    def __enter__(self) -> Self:
        """Begin."""
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        """Stop reading."""
        self._stopping.set()
        self._thread.join()

    @property
    def count(self) -> int:
        """Return how many newsletters were read."""
        return self._count

    def _run(self) -> None:
        while not self._stopping.wait(_LOOK_EVERY_S):
            mails = list(self._mails())
            if mails and not self._stopping.wait(_WAIT_S):
                for number, headers in mails:
                    self._read(number, headers)

    def _mails(self) -> Iterator[tuple[int, Mapping[str, str]]]:
        _, body = asked(self._mailbox, "GET", f"/mailbox?after={self._read_to}")
        for line in body.splitlines():
            mail = orjson.loads(line)
            self._read_to = mail["n"]
            if NEWSLETTERS.match(_message_id(mail["headers"])):
                yield mail["n"], mail["headers"]

    def _read(self, number: int, headers: Mapping[str, str]) -> None:
        message_id = _message_id(headers)
        _, html = asked(self._mailbox, "GET", f"/mailbox/{number}")
        seen = Seen(self._base_url)
        seen.feed(html.decode())
        for pixel in seen.pixels:
            self._act(OPENED, message_id, "GET", pixel, agent=OPENERS[self._count % len(OPENERS)])
        if seen.links and self._count % CLICK_EVERY == 0:
            self._act(CLICKED, message_id, "GET", seen.links[0])
        where = re.fullmatch(r"<(https?://[^>]+)>", headers.get("list-unsubscribe", ""))
        if where and self._count % UNSUBSCRIBE_EVERY == 0:
            self._act(UNSUBSCRIBED, message_id, "POST", where[1], body=ONE_CLICK)
        self._count += 1

    def _act(
        self, kind: str, message_id: str, method: str, url: str, *, agent: str = BROWSER, body: bytes | None = None
    ) -> None:
        parts = urlsplit(url)
        place = (parts.hostname or "", parts.port or 80)
        status, _ = asked(place, method, parts.path, agent=agent, body=body)
        self.acts.append(Act(kind, message_id, status in _DONE))


def asked(
    place: tuple[str, int], method: str, path: str, *, agent: str = BROWSER, body: bytes | None = None
) -> tuple[int, bytes]:
    """Return status and body of a request; status 0 where nobody answers."""
    connection = HTTPConnection(*place, timeout=_ANSWER_S)
    headers = {"User-Agent": agent} | ({"Content-Type": FORM} if body is not None else {})
    try:
        connection.request(method, path, body, headers)
        answer = connection.getresponse()
        return answer.status, answer.read()
    except (OSError, HTTPException):
        return 0, b""
    finally:
        connection.close()


def _message_id(headers: Mapping[str, str]) -> str:
    return headers.get("message-id", "").strip("<>").partition("@")[0]
