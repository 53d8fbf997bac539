"""
Which fields a log line may have, and what their values may look like.

A value that does not fit its field is replaced, not escaped, for it may be content; what fits holds neither line
breaks nor control characters, so no line can be forged and no terminal steered (FAULTS B29).
"""

import re
from collections.abc import Callable, Mapping
from enum import Enum, StrEnum
from pathlib import PurePath
from traceback import extract_tb
from types import TracebackType
from typing import Final

VALUE_CHARS_MAX: Final = 200
REFUSED: Final = "?"
"""What a line says for a value that its field may not have."""

Value = str | int | float | bool | None
Rule = Callable[[object], Value]


def _number(value: object) -> Value:
    return value if isinstance(value, int | float) else REFUSED


def _matching(pattern: str) -> Rule:
    allowed = re.compile(pattern)

    def rule(value: object) -> Value:
        if isinstance(value, Enum):
            value = value.value
        if value is None or isinstance(value, bool | int | float):
            return value
        if not isinstance(value, str) or len(value) > VALUE_CHARS_MAX:
            return REFUSED
        return value if allowed.fullmatch(value) else REFUSED

    return rule


def _listed(value: object) -> Value:
    """Return a phrase that is a member of an enumeration: any other text may have been built from content."""
    return value.value if isinstance(value, StrEnum) else REFUSED


def error_name(value: object) -> Value:
    """Return the class of an error, whether the error, its class or its name is given; never its text."""
    if isinstance(value, BaseException):
        value = type(value)
    return _WORD(value.__name__ if isinstance(value, type) else value)


_WORD: Final = _matching(r"[A-Za-z_][A-Za-z0-9_.:/-]{0,127}")
"""A name of ours or of the configuration: no sentence (no space), address (no @), number or one-time password fits."""

FIELDS: Final[Mapping[str, Rule]] = {
    # where it happened
    "stage": _WORD,
    "loop": _WORD,
    "slot": _matching(r"[A-Za-z0-9_-]{1,64}"),
    "topic": _WORD,
    "partition": _number,
    "offset": _number,
    "group": _WORD,
    "provider": _WORD,
    "adapter": _WORD,
    "channel": _WORD,
    "lane": _WORD,
    "delay_class": _WORD,
    "tier_seconds": _number,
    "logger": _WORD,
    "host": _WORD,
    "port": _number,
    # what
    "message_id": _matching(r"[A-Za-z0-9._:-]{1,64}"),
    "attempt": _number,
    "charged": _number,
    "status": _WORD,
    "reason": _WORD,
    "outcome": _WORD,
    "verdict": _WORD,
    "policy": _WORD,
    "reply_code": _matching(r"[1-5][0-9]{2}"),  # SMTP and HTTP; three digits, too few for a one-time password
    "signal": _WORD,
    "state": _WORD,
    "version": _matching(r"[0-9]{1,4}(\.[0-9a-z]{1,8}){1,4}"),
    "facility": _WORD,
    # how much
    "count": _number,
    "records": _number,
    "bytes": _number,
    "partitions": _number,
    "in_flight": _number,
    "backlog": _number,
    "elapsed_ms": _number,
    "wait_ms": _number,
    "offset_ms": _number,  # of a clock
    "limit": _number,
    "exit_code": _number,
    "pid": _number,
    # what went wrong: class, place, and a Kafka error's number and flags
    "error": error_name,
    "at": _matching(
        r"[A-Za-z_][\w.-]*(/[0-9]+@[0-9]+|(:[0-9]+)?(:\w+)?)"
    ),  # topic/partition@offset or file:line:function
    "kafka_code": _WORD,
    "retriable": _WORD,
    "fatal": _WORD,
    "field": _matching(r"[A-Za-z_][A-Za-z0-9_.]{0,63}"),  # of a schema
    "why": _listed,  # a phrase of a closed list
}


def place(trace: TracebackType | None) -> str:
    """Return `module.py:line:function` of where an error was raised; "?" without a traceback."""
    frames = extract_tb(trace)
    if not frames:
        return REFUSED
    last = frames[-1]
    return f"{PurePath(last.filename).name}:{last.lineno}:{last.name.strip('<>')}"
