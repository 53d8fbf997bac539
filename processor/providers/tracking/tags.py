"""
Where in an HTML text its links stand, and where its body ends.

lol_html only looks (HTML standard §13.2.5, as browsers tokenise): it hands over the source in pieces, and calls us
between them, so that the length of the pieces tells where we are. Nothing is written by it.
"""

from __future__ import annotations

import re
from itertools import accumulate
from typing import Final, NamedTuple

import lolhtml

LINKS: Final = "a[href], area[href]"
LINKS_READ_MAX: Final = 10_000
"""More are no mail that somebody reads; a megabyte of them would hold up the calls of others for half a second."""

MARK: Final = b"\x00"
"""Put before the end of a body, to be found among the pieces; no body that is sent holds a NUL."""

END: Final = "commproc-end"
"""An element behind the source: where it is not read as one, the source ends within a comment, a tag or a text area."""

HREF: Final = re.compile(
    rb"""
    <[a-z][^\t\n\f\r />]*+
    (?:                                         # other attributes
      [\t\n\f\r /]*+ (?!href[\t\n\f\r />=])
      [^\t\n\f\r />][^\t\n\f\r />=]*+
      (?:[\t\n\f\r ]*+ = [\t\n\f\r ]*+ (?:"[^"]*+" | '[^']*+' | (?:[^\t\n\f\r >"'][^\t\n\f\r >]*+)?+))?+
    )*+
    [\t\n\f\r /]*+ href [\t\n\f\r ]*+ = [\t\n\f\r ]*+
    (?:"([^"]*+)" | '([^']*+)' | ([^\t\n\f\r >"'][^\t\n\f\r >]*+))
    """,
    re.IGNORECASE | re.VERBOSE,
)
"""A start tag as far as its first href (HTML standard §13.2.5.32-39), which counts; one with a value."""


class Unreadable(ValueError):
    """HTML whose structure cannot be told."""


class Link(NamedTuple):
    """A start tag with an href; all as the source writes it."""

    tag: bytes
    start: int  # of the tag, in the source
    href: str
    is_left_alone: bool  # it says so itself


class Markup(NamedTuple):
    """What of a source matters here; places are offsets in bytes."""

    links: list[Link]
    end: int | None  # where something can be added that is seen last; None: there is no such place


class _Links:
    def __init__(self, pieces: list[bytes]) -> None:
        self._pieces = pieces
        self.found: list[tuple[int, str, bool]] = []  # index of the piece that holds the tag, its href, left alone

    def element(self, element: lolhtml.Element) -> None:
        if len(self.found) >= LINKS_READ_MAX:
            raise Unreadable  # comes out of the rewriter as a RuntimeError
        found = element.get_attribute
        track, rel = found("data-track"), found("rel")
        is_left_alone = track is not None and track.strip().lower() == "off"
        is_left_alone = is_left_alone or (rel is not None and "unsubscribe" in rel.lower().split())
        self.found.append((len(self._pieces), found("href") or "", is_left_alone))


class _Ends:
    def __init__(self, pieces: list[bytes]) -> None:
        self._pieces = pieces
        self.last: int | None = None

    def element(self, element: lolhtml.Element) -> None:
        self.last = len(self._pieces)


class _Body:
    def __init__(self) -> None:
        self._seen = False

    def element(self, element: lolhtml.Element) -> None:
        if not self._seen:  # the outermost
            element.append(MARK.decode(), lolhtml.ContentType.HTML)
        self._seen = True


def markup(source: bytes) -> Markup:
    """Return where links and the end of *source*, UTF-8, are. Raises `Unreadable`."""
    if MARK in source:
        raise Unreadable
    pieces: list[bytes] = []
    links, ends = _Links(pieces), _Ends(pieces)
    rewriter = lolhtml.HTMLRewriter(pieces.append)  # type: ignore[arg-type] # it is always bytes
    try:
        rewriter.on(LINKS, links)
        rewriter.on("body", _Body())
        rewriter.on(END, ends)
        rewriter.write(source)
        rewriter.write(b"<%b>" % END.encode())
        rewriter.end()
    except RuntimeError as error:  # markup that is ambiguous until the whole of it is known; or too many links
        raise Unreadable from error
    mark = pieces.index(MARK) if MARK in pieces else None
    if mark is not None:
        pieces[mark] = b""
    starts = list(accumulate(map(len, pieces), initial=0))
    if starts[-1] != len(source) + len(END) + 2:
        raise Unreadable
    is_open = ends.last is None or starts[ends.last] != len(source)
    end = starts[mark] if mark is not None else None if is_open else len(source)
    return Markup(
        [
            Link(pieces[at], starts[at], href, is_left_alone)
            for at, href, is_left_alone in links.found
            if starts[at + 1] <= len(source)
        ],
        end,
    )


def href_place(link: Link) -> tuple[int, int] | None:
    """Return where in the source the value of the link's href stands; None if we read another one than lol_html."""
    found = HREF.match(link.tag)
    if found is None or found.lastindex is None:
        return None
    start, end = found.span(found.lastindex)
    return (link.start + start, link.start + end) if link.tag[start:end].decode() == link.href else None
