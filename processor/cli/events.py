"""Events as people and programs read them: one line, or one JSON object with the schema's names."""

from typing import Any, Final, assert_never

from processor.cli.output import instant, plain
from processor.core.events import Control, DeadLetter, DeliveryEvent, EngagementEvent, Receipt, RetryEvent

Event = DeliveryEvent | RetryEvent | EngagementEvent | DeadLetter | Receipt | Control

NAMES: Final = {  # our attribute: the schema's name
    "occurred_at_ms": "occurred_at",
    "next_attempt_at_ms": "next_attempt_at",
    "origin_timestamp_ms": "origin_timestamp",
    "received_at_ms": "received_at",
    "until_ms": "until",
    "set_at_ms": "set_at",
    "value_size_bytes": "value_size",
}
KINDS: Final[dict[type[Event], str]] = {
    DeliveryEvent: "delivery",
    RetryEvent: "retry",
    DeadLetter: "dead-letter",
    EngagementEvent: "engagement",
    Receipt: "receipt",
    Control: "control",
}


def when_ms(event: Event) -> int:
    """Return when it happened, or when we heard of it."""
    match event:
        case Receipt():
            return event.received_at_ms
        case Control():
            return event.set_at_ms
        case _:
            return event.occurred_at_ms


def as_json(event: Event) -> dict[str, Any]:
    """Return an event's fields; a dead letter's value is left out, for it is somebody's message."""
    found: dict[str, Any] = {"kind": KINDS[type(event)]}
    for name in event._fields:
        value = getattr(event, name)
        if name == "origin":
            found |= {"origin_topic": value.topic, "origin_partition": value.partition, "origin_offset": value.offset}
        elif name != "value":
            found[NAMES.get(name, name)] = value
    return found


def as_row(event: Event) -> tuple[str, str, str, str, str, str, str]:
    """Return time, message id, what happened, attempt, provider, reason and code, note."""
    if isinstance(event, Receipt):
        code = f"{event.state} ({plain(event.provider_code)})" if event.provider_code else plain(event.state)
        note = f"its id {plain(event.provider_message_id)}"
        return instant(event.received_at_ms), plain(event.message_id), "receipt", "-", plain(event.provider), code, note
    if isinstance(event, Control):
        about = event.campaign_id or event.channel
        note = " ".join(part for part in (plain(about) if about else "", _until(event.until_ms)) if part)
        row = (instant(event.set_at_ms), plain(event.message_id), plain(event.kind), "-", "-", plain(event.scope))
        return *row, note
    time, message_id = instant(event.occurred_at_ms), plain(event.message_id)
    match event:
        case DeliveryEvent():
            note = "in doubt" if event.in_doubt else _where(event.field_name)
            return time, message_id, event.status, str(event.attempt), plain(event.provider), _why(event), note
        case RetryEvent():
            note = f"next at {instant(event.next_attempt_at_ms)}" + (", in doubt" if event.in_doubt else "")
            return time, message_id, "retry", str(event.attempt), plain(event.provider), _why(event), note
        case EngagementEvent():
            note = "again" if event.repeated else ""
            who = f"{plain(event.actor)} ({plain(event.rule)})" if event.rule else plain(event.actor)
            return time, message_id, plain(event.type), "-", plain(event.provider), who, note
        case DeadLetter():
            origin = f"{event.origin.topic}/{event.origin.partition}@{event.origin.offset}"
            note = " ".join(part for part in (_where(event.field_name), f"from {origin}") if part)
            return time, message_id, "dead letter", str(event.attempts), "-", str(event.reason), note
        case _:
            assert_never(event)


def _until(until_ms: int | None) -> str:
    return f"until {instant(until_ms)}" if until_ms is not None else ""


def _why(event: DeliveryEvent | RetryEvent) -> str:
    return f"{event.reason} ({plain(event.provider_code)})" if event.provider_code else str(event.reason)


def _where(field_name: str | None) -> str:
    return f"field {plain(field_name)}" if field_name else ""
