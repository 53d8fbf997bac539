"""What HTTP status codes mean for a message; RFC 9110 unless a row says otherwise."""

from __future__ import annotations

from email.utils import parsedate_to_datetime
from typing import Final

from processor.providers.meaning import Meaning

RETRY_AFTER_MS_MAX: Final = 86_400_000
WAIT_KINDS: Final = ("seconds", "unix_s")
WAIT_DIGITS_MAX: Final = 12


STATUSES: Final = {
    200: Meaning.ACCEPTED,  # §15.3.1
    201: Meaning.ACCEPTED,  # §15.3.2
    202: Meaning.ACCEPTED,  # §15.3.3: accepted for processing: what gateways do
    203: Meaning.ACCEPTED,  # §15.3.4: 200, seen through a proxy
    204: Meaning.ACCEPTED,  # §15.3.5
    307: Meaning.UNAVAILABLE,  # §15.4.8: to be repeated elsewhere: not done here, and redirects are not followed
    308: Meaning.UNAVAILABLE,  # §15.4.9
    401: Meaning.AUTHENTICATION,  # §15.5.2
    402: Meaning.UNAVAILABLE,  # §15.5.3: gateways: the account, not the message
    403: Meaning.AUTHENTICATION,  # §15.5.4
    404: Meaning.UNAVAILABLE,  # §15.5.5: no such resource: the URL, not the message
    405: Meaning.UNAVAILABLE,  # §15.5.6: likewise
    407: Meaning.UNAVAILABLE,  # §15.5.8: a proxy in between
    408: Meaning.DEFERRED,  # §15.5.9: the request did not arrive whole
    409: Meaning.DEFERRED,  # §15.5.10: in conflict with the present state; with idempotency keys: one is under way
    421: Meaning.UNAVAILABLE,  # §15.5.20: misdirected
    425: Meaning.DEFERRED,  # RFC 8470 §5.2: too early
    429: Meaning.THROTTLED,  # RFC 6585 §4
    501: Meaning.UNAVAILABLE,  # §15.6.2: no such function
    503: Meaning.UNAVAILABLE,  # §15.6.4: not handled, overload or maintenance; with Retry-After: throttled
    505: Meaning.UNAVAILABLE,  # §15.6.6
}

CLASSES: Final = {  # §15: an unlisted code is treated as the x00 of its class
    4: Meaning.REJECTED,  # §15.5: the request is at fault
    5: Meaning.UNKNOWN,  # §15.6: the server failed, perhaps after it had passed the message on (500, 502, 504)
}


def meaning(status: int) -> Meaning:
    """Return what *status* means; 1xx, other 2xx and redirects that may follow a success are UNLISTED."""
    return STATUSES.get(status, CLASSES.get(status // 100, Meaning.UNLISTED))


def retry_after_ms(value: str | None, *, now_ms: int) -> int | None:
    """Return the wait that a Retry-After field asks for (§10.2.3: seconds, or a date); None if it says neither."""
    if value is None:
        return None
    if value.isascii() and value.isdecimal():
        wait_ms = int(value[:9]) * 1000
    else:
        try:
            wait_ms = int(parsedate_to_datetime(value).timestamp() * 1000) - now_ms
        except (ValueError, OverflowError, OSError):
            return None
    return min(max(wait_ms, 0), RETRY_AFTER_MS_MAX)


def vendor_wait_ms(value: str | None, kind: str, *, now_ms: int) -> int | None:
    """Return the wait that a vendor's own header asks for, in one of `WAIT_KINDS`; None if it is no number."""
    if value is None or not (value.isascii() and value.isdecimal() and len(value) <= WAIT_DIGITS_MAX):
        return None
    wait_ms = int(value) * 1000 - (now_ms if kind == "unix_s" else 0)
    return min(max(wait_ms, 0), RETRY_AFTER_MS_MAX)
