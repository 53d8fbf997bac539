"""Bodies of webhooks as values, within bounds; nothing here raises for what a client wrote."""

from typing import Any, Final
from urllib.parse import parse_qsl

import orjson

PAIRS_MAX: Final = 1_000


class NotReadable:
    """A body that is no JSON, or no form of at most `PAIRS_MAX` pairs."""


NOT_READABLE: Final = NotReadable()


def json(body: bytes | str) -> Any | NotReadable:
    """
    Return the value of a JSON text.

    Strict (RFC 8259): no NaN, no number beyond a double, no half surrogate pair, at most 1,024 levels. Of a name that
    occurs twice the last value counts.
    """
    try:
        return orjson.loads(body)
    except orjson.JSONDecodeError:
        return NOT_READABLE


def pairs(body: bytes) -> list[tuple[str, str]] | NotReadable:
    """Return the names and values of a form or a query, in their order; percent-encoded UTF-8."""
    try:
        return parse_qsl(body.decode("ascii"), keep_blank_values=True, errors="strict", max_num_fields=PAIRS_MAX)
    except ValueError:  # not ASCII, not UTF-8 below its percent signs, too many
        return NOT_READABLE


def object_of(found: list[tuple[str, str]]) -> dict[str, str]:
    """Return pairs as an object; of a name that occurs twice the first value counts."""
    return dict(reversed(found))


def form(body: bytes) -> dict[str, str] | NotReadable:
    """Return a form as an object."""
    found = pairs(body)
    return found if isinstance(found, NotReadable) else object_of(found)


FORMS: Final = {"json": json, "form": form}
"""How a body may be written."""
