"""
An HTTP/1.1 answer out of bytes as they come (RFC 9112), pure.

Written here because a general client costs four times as much for each call as what it carries does. Nothing but
the answer to one request is read: its status counts once its head is whole, whatever becomes of its body.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from multidict import CIMultiDict

if TYPE_CHECKING:
    from collections.abc import Mapping

HEAD_BYTES_MAX: Final = 65_536
LINE_BYTES_MAX: Final = 4_096  # of a chunk's size or a trailer

HEAD_END: Final = re.compile(rb"\r?\n\r?\n")  # §2.2: a single LF may end a line
STATUS: Final = re.compile(r"HTTP/1\.([01]) ([1-9][0-9]{2})(?: .*)?")  # §4
FOLD: Final = re.compile(r"\r?\n[ \t]+")  # §5.2: an old form of one long line
FIELD: Final = re.compile(r"([!#$%&'*+.^_`|~0-9A-Za-z-]+):[ \t]*([^\x00\r\n]*?)[ \t]*")  # §5
LENGTH: Final = re.compile(r"[0-9]{1,15}")
CHUNK: Final = re.compile(rb"([0-9A-Fa-f]{1,12})[ \t]*(?:;.*)?")  # §7.1

INTERIM: Final = range(100, 200)  # RFC 9110 §15.2: another answer follows
SWITCHING: Final = 101
WITHOUT_BODY: Final = frozenset({101, 204, 304})  # RFC 9112 §6.3


class Malformed(Exception):
    """What came is no answer."""


@dataclass(frozen=True, slots=True)
class Answer:
    """What came back."""

    status: int
    headers: Mapping[str, str] = field(repr=False)  # found whatever the case of their names
    body: bytes | None = field(repr=False)  # None: too long, or cut


class Reading:
    """The answer to one request; fed until it is whole."""

    def __init__(self, bytes_max: int) -> None:
        self.is_last = True  # the connection can carry no other exchange
        self._bytes_max = bytes_max
        self._held = bytearray()
        self._head: tuple[int, CIMultiDict[str]] | None = None
        self._length: int | None = None  # None: chunks, or until the line ends
        self._chunks: bytearray | None = None

    def fed(self, data: bytes) -> Answer | None:
        """Take *data*; return the answer once nothing more of it is to come. Raises `Malformed`."""
        self._held += data
        while self._head is None:
            if not self._read_head():
                return None
        return self._whole()

    def ended(self) -> Answer | None:
        """Return the answer as far as it came when the line ended; None without a whole head."""
        if self._head is None:
            return None
        until_the_end = self._length is None and self._chunks is None
        return self._answer(bytes(self._held) if until_the_end else None)

    def _read_head(self) -> bool:
        """Take one head off what is held, if it is whole; an interim one leaves no trace."""
        end = HEAD_END.search(self._held)
        if (end.start() if end else len(self._held)) > HEAD_BYTES_MAX:
            raise Malformed
        if end is None:
            return False
        text = self._held[: end.start()].decode("latin-1")
        del self._held[: end.end()]
        first, *lines = (FOLD.sub(" ", text) if "\n " in text or "\n\t" in text else text).split("\n")
        status_line = STATUS.fullmatch(first.rstrip("\r"))
        fields = [FIELD.fullmatch(line.rstrip("\r")) for line in lines]
        if status_line is None:
            raise Malformed
        status = int(status_line[2])
        if status in INTERIM and status != SWITCHING:
            return True
        headers = CIMultiDict((found[1], found[2]) for found in fields if found is not None)
        if len(headers) < len(fields):
            raise Malformed
        self._head = status, headers
        self._frame(status, headers, is_1_1=status_line[1] == "1")
        return True

    def _frame(self, status: int, headers: CIMultiDict[str], *, is_1_1: bool) -> None:
        """Note where the body ends (§6.3), and whether the connection goes on after it (§9.3)."""
        said = ",".join(headers.getall("Connection", ())).lower()
        goes_on = "close" not in said if is_1_1 else "keep-alive" in said
        lengths = set(headers.getall("Content-Length", ()))
        if status in WITHOUT_BODY:
            self._length = 0
        elif "Transfer-Encoding" in headers:
            goes_on = goes_on and not lengths  # §6.1: both is an attack, or a mistake
            if headers["Transfer-Encoding"].lower().endswith("chunked"):
                self._chunks = bytearray()
            else:
                goes_on = False
        elif lengths:
            if len(lengths) > 1 or not LENGTH.fullmatch(length := lengths.pop()):
                raise Malformed
            self._length = int(length)
        else:
            goes_on = False
        self.is_last = not goes_on or status == SWITCHING

    def _whole(self) -> Answer | None:
        if self._chunks is not None:
            return self._from_chunks(self._chunks)
        if self._length is None:
            return self._answer(None) if len(self._held) > self._bytes_max else None
        if self._length > self._bytes_max:
            return self._answer(None)
        if len(self._held) < self._length:
            return None
        if len(self._held) > self._length:
            self.is_last = True  # nobody asked for what follows
        return self._answer(bytes(self._held[: self._length]))

    def _from_chunks(self, body: bytearray) -> Answer | None:
        held = self._held
        while (end := held.find(b"\n")) >= 0:
            size_line = CHUNK.fullmatch(held[:end].rstrip(b"\r"))
            if size_line is None:
                return self._answer(None)
            size = int(size_line[1], 16)
            if size == 0:
                return self._after_chunks(end + 1, body)
            if len(body) + size > self._bytes_max:
                return self._answer(None)
            if len(held) < end + 1 + size + 2:
                return None
            body += held[end + 1 : end + 1 + size]
            if held[end + 1 + size : end + 3 + size] != b"\r\n":
                return self._answer(None)
            del held[: end + 3 + size]
        return self._answer(None) if len(held) > LINE_BYTES_MAX else None

    def _after_chunks(self, start: int, body: bytearray) -> Answer | None:
        """Pass over the trailers, up to an empty line."""
        held = self._held
        while (end := held.find(b"\n", start)) >= 0:
            if not held[start:end].rstrip(b"\r"):
                self.is_last = self.is_last or len(held) > end + 1
                return self._answer(bytes(body))
            start = end + 1
        return self._answer(None) if len(held) > HEAD_BYTES_MAX else None

    def _answer(self, body: bytes | None) -> Answer:
        status, headers = self._head or (0, CIMultiDict())
        if body is None:
            self.is_last = True  # what is left unread is no other answer
        return Answer(status, headers, body)
