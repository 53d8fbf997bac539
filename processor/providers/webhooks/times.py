"""Instants as providers write them; what is none is None, never an error."""

import math
import re
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Any, Final

from processor.core.refusal import YEAR_10000_MS

TEXT_CHARS_MAX: Final = 64
NUMBER: Final = re.compile(r"[0-9]{1,16}(\.[0-9]{1,9})?")


def unix_ms(value: Any, written: str) -> int | None:
    """Return Unix milliseconds of *value*, which is *written* in one of `FORMATS`; None outside 1970 to 9999."""
    try:
        instant_ms = FORMATS[written](value)
    except (ValueError, OverflowError, TypeError, IndexError):  # the last two: what email.utils lets through
        return None
    return instant_ms if instant_ms is not None and 0 <= instant_ms < YEAR_10000_MS else None


def _number(value: Any, unit_ms: int) -> int | None:
    if isinstance(value, str):
        value = float(value) if NUMBER.fullmatch(value) else None
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        return None
    return math.floor(value * unit_ms)


def _text_ms(value: Any, parse: Callable[[str], datetime]) -> int | None:
    if not isinstance(value, str) or len(value) > TEXT_CHARS_MAX:
        return None
    parsed = parse(value)
    at = parsed if parsed.tzinfo else parsed.replace(tzinfo=UTC)
    return math.floor(at.timestamp() * 1_000)


FORMATS: Final[Mapping[str, Callable[[Any], int | None]]] = {
    "unix_s": lambda value: _number(value, 1_000),
    "unix_ms": lambda value: _number(value, 1),
    "iso8601": lambda value: _text_ms(value, datetime.fromisoformat),  # without an offset it is UTC
    "rfc2822": lambda value: _text_ms(value, parsedate_to_datetime),
}
