"""
An HTML body with its links led over us, and a pixel: pure, given what signs.

Nothing but the values of those hrefs changes, and what is added stands in one place; every other byte is the source's.
"""

from __future__ import annotations

import re
from html import escape
from typing import TYPE_CHECKING, Final, NamedTuple

from processor.core.tokens import HIDDEN_LINK, TOKEN_CHARS_MAX, Purpose
from processor.providers.tracking.links import BLANKS, Kept, target, unescaped
from processor.providers.tracking.tags import Unreadable, href_place, markup

if TYPE_CHECKING:
    from collections.abc import Sequence

    from processor.core.tokens import Sealer, Ticket
    from processor.providers.tracking.tags import Link

LINKS_MAX: Final = 1_000
"""Links that are tracked of one message: signing more would hold up the calls of others."""

PLACEHOLDER: Final = re.compile(r"\{\{\s*unsubscribe_url\s*\}\}")
"""An href that is this and nothing else leads to the message's page for unsubscribing."""

CLICK: Final = f"/{Purpose.CLICK}/"
OPEN: Final = f"/{Purpose.OPEN}/"
PIXEL: Final = '<img src="{}" width="1" height="1" alt="" style="border:0">'
HIDDEN: Final = '<a href="{}" style="display:none" tabindex="-1" aria-hidden="true"></a>'


class Order(NamedTuple):
    """What is asked of one message's HTML."""

    ticket: Ticket  # of the message; links add their address and position
    base_url: str  # of the tracking stage, without a slash at the end
    opens: bool = False
    clicks: bool = False
    hidden_link: bool = False
    unsubscribe_url: str | None = None  # where {{ unsubscribe_url }} leads
    unsubscribe_links: frozenset[str] = frozenset()  # hrefs that are never led over us


class Rewritten(NamedTuple):
    """A body as it goes out; links are numbered as they stand in the source, tracked or not, from 0."""

    html: str
    kept: tuple[Kept, ...] = ()  # for each link to the web that is not tracked though it should be
    readable: bool = True  # otherwise it goes out as it came
    ended: bool = True  # otherwise there was no place for the pixel


class Edit(NamedTuple):
    """Bytes that take the place of others; places are offsets in the source."""

    start: int
    end: int
    written: bytes


def rewritten(html: str, order: Order, sealer: Sealer) -> Rewritten:
    """Return *html* as *order* asks for; as it is where its structure cannot be told."""
    try:
        source = html.encode()
        found = markup(source)
    except (Unreadable, UnicodeEncodeError):  # the adapter refuses half a surrogate pair
        return Rewritten(html, readable=False)
    links = [_link(position, link, order, sealer) for position, link in enumerate(found.links)]
    edits = [edit for edit in links if isinstance(edit, Edit)]
    added = _added(order, sealer).encode()
    if added and found.end is not None:
        edits.append(Edit(found.end, found.end, added))
    return Rewritten(
        _edited(source, sorted(edits)).decode(),
        tuple(why for why in links if isinstance(why, Kept)),
        ended=not added or found.end is not None,
    )


def sealed(sealer: Sealer, purpose: Purpose, ticket: Ticket, *, chars_max: int = TOKEN_CHARS_MAX) -> str | None:
    """Return the token of *ticket*, without the producer's reference where that makes it too long; else None."""
    token = sealer.seal(purpose, ticket)
    if token is not None and len(token) <= chars_max:
        return token
    if ticket.external_id is None:
        return None
    return sealed(sealer, purpose, ticket._replace(external_id=None), chars_max=chars_max)


def _link(position: int, link: Link, order: Order, sealer: Sealer) -> Edit | Kept | None:
    """Return what becomes of a link; None if it stays, Kept if it stays though it should not."""
    is_placeholder = "unsubscribe_url" in link.href and PLACEHOLDER.fullmatch(unescaped(link.href).strip(BLANKS))
    if not is_placeholder and (link.is_left_alone or not order.clicks):
        return None
    if position >= LINKS_MAX and not is_placeholder:
        return Kept.TOO_MANY
    to = order.unsubscribe_url if is_placeholder else _tracked(position, unescaped(link.href), order, sealer)
    if to is None or isinstance(to, Kept):
        return to
    place = href_place(link)
    return Kept.STRANGE if place is None else Edit(*place, escape(to).encode())


def _tracked(position: int, href: str, order: Order, sealer: Sealer) -> str | Kept | None:
    """Return our address for *href*; None and Kept as above."""
    if href.strip(BLANKS) in order.unsubscribe_links:
        return None
    to = target(href)
    if to is None or isinstance(to, Kept) or _is_below(to, order.base_url):
        return to if isinstance(to, Kept) else None
    token = sealed(sealer, Purpose.CLICK, order.ticket._replace(url=to, position=position))
    return Kept.TOO_LONG if token is None else f"{order.base_url}{CLICK}{token}"


def _is_below(url: str, base_url: str) -> bool:
    """Tell whether *url* leads to the tracking stage already."""
    size = len(base_url)
    return url[:size].lower() == base_url.lower() and url[size : size + 1] in {"", "/", "?", "#"}


def _added(order: Order, sealer: Sealer) -> str:
    """Return what stands at the end of the body."""
    added = ""
    if order.hidden_link:
        ticket = order.ticket._replace(url=f"{order.base_url}/", position=HIDDEN_LINK)
        if token := sealed(sealer, Purpose.CLICK, ticket):
            added += HIDDEN.format(escape(f"{order.base_url}{CLICK}{token}"))
    if order.opens and (token := sealed(sealer, Purpose.OPEN, order.ticket)):
        added += PIXEL.format(escape(f"{order.base_url}{OPEN}{token}"))
    return added


def _edited(source: bytes, edits: Sequence[Edit]) -> bytes:
    """Return *source* with *edits*, which are in order and do not overlap."""
    pieces: list[bytes] = []
    done = 0
    for edit in edits:
        pieces += (source[done : edit.start], edit.written)
        done = edit.end
    return b"".join((*pieces, source[done:]))
