"""Every answer but the redirects, made once."""

from base64 import b64decode, b64encode
from collections.abc import Mapping
from hashlib import sha256
from http import HTTPStatus
from typing import Final, NamedTuple

Headers = list[tuple[str, str]]


class Response(NamedTuple):
    """What a client gets; of a HEAD it gets no body."""

    status: int
    headers: Headers
    body: bytes = b""


_FOUND: Final = int(HTTPStatus.FOUND)
_PRIVATE: Final[Headers] = [
    ("cache-control", "no-store, max-age=0"),
    ("referrer-policy", "no-referrer"),
    ("x-content-type-options", "nosniff"),
    ("x-robots-tag", "noindex, nofollow"),
]
_STYLE: Final = (
    "body{font:1.1rem/1.5 system-ui,sans-serif;max-width:32rem;margin:4rem auto;padding:0 1rem;"
    "color:#1a1a1a;background:#fff}"
    "button{font:inherit;padding:.6rem 1.2rem;border:0;border-radius:.3rem;"
    "color:#fff;background:#0b5394;cursor:pointer}"
    "button:focus-visible{outline:3px solid #f1a208;outline-offset:2px}"
)
_POLICY: Final = "; ".join(
    (
        "default-src 'none'",
        f"style-src 'sha256-{b64encode(sha256(_STYLE.encode()).digest()).decode()}'",
        "form-action 'self'",
        "base-uri 'none'",
        "frame-ancestors 'none'",
    )
)
_FORM: Final = (
    '<form method="post"><button name="List-Unsubscribe" value="One-Click" type="submit">Unsubscribe</button></form>'
)
_FROM: Final = {
    "campaign": "further messages of this campaign",
    "marketing": "our marketing messages",
    "all_but_transactional": "all messages that are not about something you ordered or asked for",
}


def _page(status: HTTPStatus, title: str, *paragraphs: str, form: str = "") -> Response:
    text = "".join(f"<p>{each}</p>" for each in paragraphs)
    html = (
        f'<!DOCTYPE html><html lang="en"><head><meta charset="utf-8"><title>{title}</title>'
        f'<meta name="viewport" content="width=device-width, initial-scale=1"><style>{_STYLE}</style></head>'
        f"<body><main><h1>{title}</h1>{text}{form}</main></body></html>"
    )
    headers = [("content-type", "text/html; charset=utf-8"), ("content-security-policy", _POLICY), *_PRIVATE]
    return Response(status, headers, html.encode())


def _text(status: HTTPStatus, text: str, *headers: tuple[str, str]) -> Response:
    return Response(status, [("content-type", "text/plain; charset=utf-8"), *_PRIVATE, *headers], f"{text}\n".encode())


PIXEL: Final = Response(
    HTTPStatus.OK,
    [("content-type", "image/gif"), *_PRIVATE],
    b64decode("R0lGODlhAQABAIAAAAAAAP///yH5BAEAAAAALAAAAAABAAEAAAIBRAA7"),  # 1×1, transparent
)
NOT_FOUND: Final = _page(HTTPStatus.NOT_FOUND, "Not found", "This link is not valid, or no longer.")
UNSUBSCRIBED: Final = _page(HTTPStatus.OK, "Unsubscribed", "You will not get these messages any more.")
NOT_UNSUBSCRIBED: Final = _page(
    HTTPStatus.SERVICE_UNAVAILABLE, "Not yet", "We could not record it just now. Please try again in a minute."
)._replace(headers=[("retry-after", "60"), *NOT_FOUND.headers])
FORMS: Final = {
    scope: _page(HTTPStatus.OK, "Unsubscribe", f"Press the button and you will not get {what}.", form=_FORM)
    for scope, what in _FROM.items()
}
OK: Final = _text(HTTPStatus.OK, "ok")
NO_CONTENT: Final = Response(HTTPStatus.NO_CONTENT, _PRIVATE)
BAD_REQUEST: Final = _text(HTTPStatus.BAD_REQUEST, "bad request")
TOO_LARGE: Final = _text(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, "too large", ("connection", "close"))
TOO_SLOW: Final = _text(HTTPStatus.REQUEST_TIMEOUT, "too slow", ("connection", "close"))
DEFECT: Final = _text(HTTPStatus.INTERNAL_SERVER_ERROR, "internal error")
UNAVAILABLE: Final = _text(HTTPStatus.SERVICE_UNAVAILABLE, "try again later", ("retry-after", "60"))


def not_allowed(methods: str) -> Response:
    """Return the 405 of an address that takes *methods*."""
    return _text(HTTPStatus.METHOD_NOT_ALLOWED, "method not allowed", ("allow", methods))


_HEADERS: Final[Mapping[int, Headers]] = {
    HTTPStatus.SERVICE_UNAVAILABLE: UNAVAILABLE.headers,
    # Some services send their credentials only once they are asked (RFC 9110 §11.6.1).
    HTTPStatus.UNAUTHORIZED: [("www-authenticate", 'Basic realm="webhooks", charset="UTF-8"'), *_PRIVATE],
}


def plain(status: int) -> Response:
    """Return an answer that says no more than its status."""
    return Response(status, _HEADERS.get(status, _PRIVATE))


def redirect(target: str) -> Response:
    """Return the redirect to *target*, which `target_of` has let pass."""
    return Response(_FOUND, [("location", target), *_PRIVATE])
