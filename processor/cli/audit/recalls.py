"""When which message, campaign or channel was recalled, as far as the compacted topic still tells."""

from collections import defaultdict
from collections.abc import Mapping

from confluent_kafka import Message

from processor.codec.errors import Unreadable
from processor.codec.events import EventCodec
from processor.core.control import RECALL
from processor.core.controls import FOREVER_MS
from processor.core.events import Control

Name = tuple[str, str]
"""Scope, and what it is about."""


class Recalls:
    """The spans of time in which each recall was in force, record by record."""

    def __init__(self, codec: EventCodec) -> None:
        """Know of none."""
        self._codec = codec
        self._open: dict[Name, tuple[int, int]] = {}
        self._over: dict[Name, list[tuple[int, int]]] = defaultdict(list)

    def take(self, message: Message) -> None:
        """Take in a record of the control topic; suppressions are passed over."""
        kind, scope, rest = [*(message.key() or b"").decode("utf-8", "replace").split("\n", 2), "", ""][:3]
        if kind != RECALL:
            return
        name = (scope, rest.rpartition("\n")[0])
        try:
            control = None if message.value() is None else self._codec.decode_event(message.value())
        except Unreadable:
            return
        at_ms = control.set_at_ms if isinstance(control, Control) else message.timestamp()[1]
        if name in self._open:
            from_ms, until_ms = self._open.pop(name)
            self._over[name].append((from_ms, min(until_ms, at_ms)))
        if isinstance(control, Control):
            self._open[name] = (at_ms, FOREVER_MS if control.until_ms is None else control.until_ms)

    def spans(self) -> Mapping[Name, list[tuple[int, int]]]:
        """Return all spans, those that have not ended among them."""
        names = self._open.keys() | self._over.keys()
        return {
            name: [*self._over.get(name, ()), *([self._open[name]] if name in self._open else ())] for name in names
        }
