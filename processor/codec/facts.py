"""The one header of our own topics: what the processor knows about a message beside its record."""

from typing import Any, Final

import orjson

from processor.codec.errors import Fault, Unreadable
from processor.core.message import Facts, Origin
from processor.core.words import Reason

FACTS_HEADER: Final = "commproc"

REASONS: Final = {each.value: each for each in Reason}
PLAIN_TYPES: Final = (str, int, int, int, int, int, int, int)


def encode_facts(facts: Facts) -> bytes:
    """Return compact JSON; what is still at its default is left out."""
    origin = facts.origin
    values: dict[str, Any] = {
        "origin": (origin.topic, origin.partition, origin.offset),
        "seen": facts.first_seen_ms,
        "produced": facts.produced_at_ms,
        "due": facts.due_at_ms,
    }
    if facts.attempt:
        values["attempt"] = facts.attempt
    if facts.charged:
        values["charged"] = facts.charged
    if facts.last_reason is not None:
        values["reason"] = facts.last_reason.value
    if facts.tried:
        values["tried"] = facts.tried
    if facts.open_recipients is not None:
        values["open"] = facts.open_recipients
    return orjson.dumps(values)


def decode_facts(raw: bytes | None) -> Facts:
    """Return the facts of a header; raises `Unreadable` for anything that `encode_facts` does not write."""
    try:
        values = orjson.loads(raw or b"")
        take = values.pop
        topic, partition, offset = take("origin")
        seen_ms, produced_at_ms, due_at_ms = take("seen"), take("produced"), take("due")
        attempt, charged = take("attempt", 0), take("charged", 0)
        reason = take("reason", None)
        tried, still_open = take("tried", None), take("open", None)
        plain = (topic, partition, offset, seen_ms, produced_at_ms, due_at_ms, attempt, charged)
        if values or tuple(map(type, plain)) != PLAIN_TYPES or min(partition, offset, attempt, charged) < 0:
            raise Unreadable(Fault.FACTS)
        return Facts(
            Origin(topic, partition, offset),
            seen_ms,
            produced_at_ms,
            due_at_ms,
            attempt,
            charged,
            None if reason is None else REASONS[reason],
            () if tried is None else _all(str, tried),
            None if still_open is None else _all(int, still_open),
        )
    except (ValueError, TypeError, KeyError, AttributeError):  # orjson.JSONDecodeError is a ValueError
        raise Unreadable(Fault.FACTS) from None


def _all(kind: type, values: Any) -> tuple[Any, ...]:
    if type(values) is not list or any(type(each) is not kind for each in values):
        raise Unreadable(Fault.FACTS)
    return tuple(values)
