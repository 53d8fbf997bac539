"""The one header of our own topics: what the processor knows about a message beside its record."""

from typing import Any, Final

import orjson

from processor.codec.errors import Fault, Unreadable
from processor.core.message import Facts, Origin
from processor.core.words import Reason

FACTS_HEADER: Final = "commproc"

REASONS: Final = {each.value: each for each in Reason}
_OF_A_FIRST_ATTEMPT: Final = 4  # values, which are always there
_KEYS: Final = frozenset({"origin", "seen", "produced", "due", "attempt", "charged", "reason", "tried", "open"})


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
        topic, partition, offset = values["origin"]
        seen_ms, produced_at_ms, due_at_ms = values["seen"], values["produced"], values["due"]
        # Looked at one by one, for this is read at each hop of each message; `bool` is no `int` here.
        whole = type(partition) is type(offset) is type(seen_ms) is type(produced_at_ms) is type(due_at_ms) is int
        if type(topic) is not str or not whole or partition < 0 or offset < 0:
            raise Unreadable(Fault.FACTS)
        first = Facts(Origin(topic, partition, offset), seen_ms, produced_at_ms, due_at_ms)
        return first if len(values) == _OF_A_FIRST_ATTEMPT else _later(first, values)
    except (ValueError, TypeError, KeyError, AttributeError):  # orjson.JSONDecodeError is a ValueError
        raise Unreadable(Fault.FACTS) from None


def _later(first: Facts, values: dict[str, Any]) -> Facts:
    """Return the facts of a message that was tried before."""
    attempt, charged = values.get("attempt", 0), values.get("charged", 0)
    if not values.keys() <= _KEYS or not type(attempt) is type(charged) is int or attempt < 0 or charged < 0:
        raise Unreadable(Fault.FACTS)
    reason, tried, still_open = values.get("reason"), values.get("tried"), values.get("open")
    return first._replace(
        attempt=attempt,
        charged=charged,
        last_reason=None if reason is None else REASONS[reason],
        tried=() if tried is None else _all(str, tried),
        open_recipients=None if still_open is None else _all(int, still_open),
    )


def _all(kind: type, values: Any) -> tuple[Any, ...]:
    if type(values) is not list or any(type(each) is not kind for each in values):
        raise Unreadable(Fault.FACTS)
    return tuple(values)
