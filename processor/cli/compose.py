"""From what a person or a file says to a message; each error names the field and what to write, never the content."""

import base64
import binascii
import re
from collections.abc import Callable, Mapping
from dataclasses import fields
from datetime import UTC, datetime, timedelta
from difflib import get_close_matches
from typing import Any, Final

from processor.core.message import Attachment, Head, Message
from processor.core.plan import DAY_MS
from processor.core.words import Purpose

Row = Mapping[str, Any]
"""Names of the schema's fields (`to`, `start_at` …) to text, or to JSON's own types."""

_EPOCH: Final = datetime.fromtimestamp(0, UTC)
_MINUTE_MS: Final = 60_000
_UNITS_MS: Final = {"s": 1_000, "m": 60_000, "h": 3_600_000, "d": DAY_MS}
_MESSAGE_STATUSES: Final = ("NEW", "ERROR")
_PAIRS: Final = 'write names and texts, such as {"template": "welcome"}'


class Wrong(Exception):
    """A field that cannot be used: its name (empty for the whole line), and what to write instead."""

    def __init__(self, field: str, write: str) -> None:
        """Name the field; its content goes nowhere."""
        super().__init__(f"{field}: {write}" if field else write)


def message_of(row: Row, *, now_ms: int) -> Message:
    """
    Return the message that *row* describes; empty values count as left out.

    Instants are ISO 8601 with a zone, Unix milliseconds, or `+5m` from *now_ms*. Raises `Wrong`.
    """
    given = _spread({name: value for name, value in row.items() if value not in (None, "", [], {})})
    for name in given:
        if name not in HEAD and name not in CONTENT:
            raise Wrong(_shown(name), f"is no field of a message; write one of {_near(name)}")
    for name in ("message_id", "channel", "to"):
        if name not in given:
            raise Wrong(name, "is missing")
    head = {attribute: read(name, given[name], now_ms) for name, (attribute, read) in HEAD.items() if name in given}
    content = {name: read(name, given[name], now_ms) for name, read in CONTENT.items() if name in given}
    return Message(Head(**head), **content)


def _spread(row: Row) -> dict[str, Any]:
    """Return *row* with `interval`, `param.NAME` and `property.NAME` put where the schema has them."""
    given: dict[str, Any] = {}
    for name, value in row.items():
        group, dot, key = name.partition(".")
        if dot and group in GROUPS:
            pairs = given.setdefault(GROUPS[group], {})
            if not isinstance(pairs, Mapping):
                raise Wrong(GROUPS[group], _PAIRS)
            given[GROUPS[group]] = {**pairs, key: value}
        elif name in GROUPS.values() and isinstance(value, Mapping):
            given[name] = {**value, **given.get(name, {})}
        elif name == "interval":
            low, dash, high = str(value).partition("-")
            if not dash:
                raise Wrong("interval", "write begin and end, such as 08:00-20:00")
            given |= {"interval_min": low.strip(), "interval_max": high.strip()}
        else:
            given[name] = value
    return given


def _near(name: str) -> str:
    known = [*HEAD, *CONTENT]
    return ", ".join(get_close_matches(name, known, n=3) or known)


def _shown(name: str) -> str:
    """Return the name of a column, if it looks like one: it may be content in the wrong place."""
    return name if re.fullmatch(r"[A-Za-z_][A-Za-z_.]{0,31}", name) else "a column"


# -- kinds of values ------------------------------------------------------------------------------


def _text(name: str, value: Any, _: int) -> str:
    if not isinstance(value, str):
        raise Wrong(name, "write text, in quotes")
    return value


def _number(name: str, value: Any, _: int) -> int:
    if isinstance(value, int) and not isinstance(value, bool):
        return value
    if isinstance(value, str) and re.fullmatch(r"-?[0-9]{1,9}", value):
        return int(value)
    raise Wrong(name, "write a whole number, such as 4")


def instant_ms(name: str, value: Any, now_ms: int) -> int:
    """Return the last whole Unix millisecond by the instant that *value* of *name* says; raises `Wrong`."""
    if isinstance(value, int) and not isinstance(value, bool):
        return value
    text = str(value)
    if re.fullmatch(r"[0-9]{12,15}", text):  # fewer digits are a year, or seconds
        return int(text)
    if ahead := re.fullmatch(r"\+([0-9]{1,6})([smhd])", text):
        return now_ms + int(ahead[1]) * _UNITS_MS[ahead[2]]
    try:
        when = datetime.fromisoformat(text)
    except ValueError:
        when = None
    if when is None or when.tzinfo is None:
        raise Wrong(name, "write an instant with its zone, such as 2026-12-24T18:00:00Z, or +5m from now")
    return (when - _EPOCH) // timedelta(milliseconds=1)


def _time_of_day(name: str, value: Any, _: int) -> int:
    if isinstance(value, int) and not isinstance(value, bool):
        return value
    found = re.fullmatch(r"([01][0-9]|2[0-4]):([0-5][0-9])", str(value))
    if found is None or (found[1] == "24" and found[2] != "00"):
        raise Wrong(name, "write a time of day, such as 08:00")
    return (int(found[1]) * 60 + int(found[2])) * _MINUTE_MS


def _purpose(name: str, value: Any, _: int) -> Purpose:
    if value not in list(Purpose):
        raise Wrong(name, f"write one of {', '.join(Purpose)}")
    return Purpose(value)


def _status(name: str, value: Any, _: int) -> str:
    if value not in _MESSAGE_STATUSES:
        raise Wrong(name, f"write one of {', '.join(_MESSAGE_STATUSES)}")
    return str(value)


def _addresses(name: str, value: Any, _: int) -> tuple[str, ...]:
    """Take a list, or text with semicolons as the older system has it."""
    listed = value.split(";") if isinstance(value, str) else value
    if not isinstance(listed, list) or not all(isinstance(each, str) for each in listed):
        raise Wrong(name, "write a list of addresses, or text with ; between them")
    return tuple(each.strip() for each in listed if each.strip())


def _pairs(name: str, value: Any, _: int) -> dict[str, str]:
    if not isinstance(value, Mapping) or not all(isinstance(each, str) for each in (*value, *value.values())):
        raise Wrong(name, _PAIRS)
    return dict(value)


def _attachments(name: str, value: Any, _: int) -> tuple[Attachment, ...]:
    wrong = Wrong(name, "write a list of objects with file_name, content_type, and content (base64) or url")
    if not isinstance(value, list):
        raise wrong
    known = {each.name for each in fields(Attachment)}
    made = []
    for each in value:
        if not isinstance(each, Mapping) or not {"file_name", "content_type"} <= each.keys() <= known:
            raise wrong
        if not all(isinstance(part, str | None) for part in each.values()):
            raise wrong
        try:
            content = base64.b64decode(each["content"], validate=True) if each.get("content") else None
        except (binascii.Error, ValueError):
            raise wrong from None
        made.append(Attachment(**{**each, "content": content}))
    return tuple(made)


Read = Callable[[str, Any, int], Any]

GROUPS: Final = {"param": "provider_params", "property": "properties"}

HEAD: Final[Mapping[str, tuple[str, Read]]] = {  # field of the schema: attribute of `Head`, how it is read
    "message_id": ("message_id", _text),
    "channel": ("channel", _text),
    "provider": ("provider", _text),
    "priority": ("priority", _number),
    "start_at": ("start_at_ms", instant_ms),
    "end_at": ("end_at_ms", instant_ms),
    "interval_min": ("interval_min_ms", _time_of_day),
    "interval_max": ("interval_max_ms", _time_of_day),
    "time_zone": ("time_zone", _text),
    "retry_max_attempts": ("retry_max_attempts", _number),
    "retry_interval": ("retry_interval_s", _number),
    "campaign_id": ("campaign_id", _text),
    "purpose": ("purpose", _purpose),
    "external_id": ("external_id", _text),
    "message_status": ("message_status", _status),
    "retry_attempt": ("retry_attempt", _number),
    "last_attempt": ("last_attempt_ms", instant_ms),
}
CONTENT: Final[Mapping[str, Read]] = {  # field of the schema, which is the attribute of `Message` too: how it is read
    "to": _text,
    "cc": _addresses,
    "bcc": _addresses,
    "subject": _text,
    "text": _text,
    "html": _text,
    "attachments": _attachments,
    "provider_params": _pairs,
    "properties": _pairs,
}
