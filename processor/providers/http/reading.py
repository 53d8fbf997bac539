"""
An HTTP/1.1 answer out of bytes as they come, pure: llhttp reads them, by httptools; here is what bounds them.

Nothing but the answer to one request is read: its status counts once its head is whole, whatever becomes of its body.
None of llhttp's leniencies is on: what two readers could take for different answers is none (RFC 9112 §11.1).
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from httptools import HttpParserError, HttpParserUpgrade, HttpResponseParser

if TYPE_CHECKING:
    from collections.abc import Mapping

HEAD_BYTES_MAX: Final = 65_536  # with the interim ones before it; also what may come after it without adding to a body

INTERIM: Final = range(100, 200)  # RFC 9110 §15.2: another answer follows
SWITCHING: Final = 101


class Malformed(Exception):
    """What came is no answer."""


@dataclass(frozen=True, slots=True)
class Answer:
    """What came back."""

    status: int
    headers: Mapping[str, str] = field(repr=False)  # by names in lower case; the first where several have one name
    body: bytes | None = field(repr=False)  # None: too long, or cut

    def header(self, name: str) -> str | None:
        """Return the value of the header field *name*, whatever its case."""
        return self.headers.get(name.lower())


class Reading:
    """The answer to one request; fed until it is whole. The methods `on_…` are for httptools."""

    def __init__(self, bytes_max: int) -> None:
        self.is_last = True  # the connection can carry no other exchange
        self._bytes_max = bytes_max
        self._room = HEAD_BYTES_MAX
        self._status: int | None = None  # None: its head is not whole
        self._headers: dict[str, str] = {}
        self._body = bytearray()
        self._answer: Answer | None = None
        self._parser = HttpResponseParser(self)

    def fed(self, data: bytes) -> Answer | None:
        """Take *data*; return the answer once nothing more of it is to come. Raises `Malformed`."""
        try:
            while data and self._answer is None:
                part, data = data[: self._room], data[self._room :]
                self._take(part)
        except (Malformed, HttpParserError, HttpParserUpgrade) as refused:
            return self._as_far_as_it_came(refused)
        if self._answer is not None:
            self.is_last = self.is_last or bool(data)  # nobody asked for what follows
            del self._parser  # they hold each other: the collector would have to come for every call
        return self._answer

    def ended(self) -> Answer | None:
        """Return the answer as far as it came when the line ended; None without a whole head."""
        if self._status is None:
            return None
        is_chunked = self._headers.get("transfer-encoding", "").lower().endswith("chunked")
        until_the_end = not is_chunked and "content-length" not in self._headers  # RFC 9112 §6.3
        return Answer(self._status, self._headers, bytes(self._body) if until_the_end else None)

    def _take(self, part: bytes) -> None:
        self._room -= len(part)
        self._parser.feed_data(part)
        if self._room == 0 and self._answer is None:
            raise Malformed

    def _as_far_as_it_came(self, refused: Exception) -> Answer:
        self.is_last = True  # what is left unread is no other answer
        if self._answer is not None:
            return self._answer
        if self._status is None:
            raise Malformed from refused
        return Answer(self._status, self._headers, None)

    def on_message_begin(self) -> None:
        """Refuse what follows the answer; an empty line is nothing (RFC 9112 §2.2), so that llhttp passes over it."""
        if self._answer is not None:
            raise Malformed

    def on_header(self, name: bytes, value: bytes) -> None:
        """Keep a header field; trailers are passed over."""
        if self._status is None:
            self._headers.setdefault(name.decode("latin-1").lower(), value.decode("latin-1").rstrip(" \t"))

    def on_headers_complete(self) -> None:
        """Keep the status; an interim head leaves no trace."""
        status = self._parser.get_status_code()
        if status in INTERIM and status != SWITCHING:
            self._headers.clear()
        else:
            self._status, self._room = status, HEAD_BYTES_MAX

    def on_body(self, part: bytes) -> None:
        """Keep a part of the body, within the bound."""
        self._body += part
        self._room = HEAD_BYTES_MAX
        if self._status is None or len(self._body) > self._bytes_max:
            raise Malformed

    def on_message_complete(self) -> None:
        """Note that the answer is whole, and whether the connection goes on (RFC 9112 §9.3)."""
        if self._status is not None:
            self.is_last = not self._parser.should_keep_alive()
            self._answer = Answer(self._status, self._headers, bytes(self._body))
