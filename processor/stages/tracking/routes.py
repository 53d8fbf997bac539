"""What is asked for: pure, so that it can be shown that no input makes a redirect but one of our own tokens."""

from typing import Final, NamedTuple

from processor.core.targets import target_of
from processor.core.tokens import HIDDEN_LINK, Purpose, Sealer, Ticket
from processor.core.words import Scope
from processor.stages.tracking.responses import (
    FORMS,
    NO_CONTENT,
    NOT_FOUND,
    PIXEL,
    Response,
    not_allowed,
    redirect,
)

PATH_CHARS_MAX: Final = 2_048
_READ: Final = frozenset({"GET", "HEAD"})
_ONLY_READ: Final = not_allowed("GET, HEAD")
_READ_OR_POST: Final = not_allowed("GET, HEAD, POST")
_ONLY_POST: Final = not_allowed("POST")


class Shown(NamedTuple):
    """An answer that tells of nothing."""

    route: str
    response: Response


class Opened(NamedTuple):
    """The pixel of a message was fetched; *response* once that is safe."""

    ticket: Ticket
    response: Response


class Clicked(NamedTuple):
    """A link was followed; *response* once that is safe."""

    ticket: Ticket
    response: Response


class Headed(NamedTuple):
    """Somebody looked at a pixel or a link without fetching it: answered, counted as nothing."""

    ticket: Ticket
    route: str
    response: Response


class Unsubscribes(NamedTuple):
    """A POST to the address of an unsubscribe, whose body is still to be read."""

    ticket: Ticket


class Reports(NamedTuple):
    """A POST of a provider, whose body is still to be read."""

    provider: str


class Probe(NamedTuple):
    """Somebody asks how we are: `healthz` or `readyz`."""

    name: str


Asked = Shown | Opened | Clicked | Headed | Unsubscribes | Reports | Probe

_UNKNOWN: Final = Shown("none", NOT_FOUND)


def asked(sealer: Sealer, method: str, path: str) -> Asked:
    """Return what *method* and *path* (percent-decoded, without query) ask for."""
    if len(path) > PATH_CHARS_MAX or path[:1] != "/":
        return _UNKNOWN
    route, slash, rest = path[1:].partition("/")
    if not slash:
        return _probe(method, route)
    if route == Purpose.CLICK:
        return _click(sealer, method, rest)
    if route == Purpose.OPEN:
        return _open(sealer, method, rest)
    if route == Purpose.UNSUBSCRIBE:
        return _unsubscribe(sealer, method, rest)
    if route == "w":
        return Reports(rest) if method == "POST" else Shown("webhook", _ONLY_POST)
    return _UNKNOWN


def _probe(method: str, name: str) -> Asked:
    if name not in {"healthz", "readyz"}:
        return _UNKNOWN
    return Probe(name) if method in _READ else Shown("probe", _ONLY_READ)


def _open(sealer: Sealer, method: str, token: str) -> Asked:
    if method not in _READ:
        return Shown("open", _ONLY_READ)
    ticket = sealer.open(Purpose.OPEN, token)
    if ticket is None:
        return Shown("open", NOT_FOUND)
    return Opened(ticket, PIXEL) if method == "GET" else Headed(ticket, "open", PIXEL)


def _click(sealer: Sealer, method: str, token: str) -> Asked:
    if method not in _READ:
        return Shown("click", _ONLY_READ)
    ticket = sealer.open(Purpose.CLICK, token)
    if ticket is None:
        return Shown("click", NOT_FOUND)
    target = target_of(ticket.url)
    if target is not None:
        response = redirect(target)
    elif ticket.position == HIDDEN_LINK:
        response = NO_CONTENT
    else:  # signed by us, and yet nowhere that a browser should be sent
        return Shown("click", NOT_FOUND)
    return Clicked(ticket, response) if method == "GET" else Headed(ticket, "click", response)


def _unsubscribe(sealer: Sealer, method: str, token: str) -> Asked:
    if method not in _READ and method != "POST":
        return Shown("unsubscribe", _READ_OR_POST)
    ticket = sealer.open(Purpose.UNSUBSCRIBE, token)
    if ticket is None or not ticket.address_hash or ticket.scope not in FORMS:
        return Shown("unsubscribe", NOT_FOUND)
    if ticket.scope == Scope.CAMPAIGN and not ticket.campaign_id:
        ticket = ticket._replace(scope=Scope.MARKETING)  # rather too much than nothing
    return Unsubscribes(ticket) if method == "POST" else Shown("unsubscribe", FORMS[str(ticket.scope)])
