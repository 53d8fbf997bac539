"""Which reader reads a record, by the framing bytes before it."""

import json
import threading
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Final, Generic, TypeVar

from processor.codec.contracts import published
from processor.codec.errors import Fault, RefusedSchema, RegistryUnavailable, Unreadable
from processor.codec.framing import schema_id_of, single_object_prefix
from processor.codec.schema import Record, admit

if TYPE_CHECKING:
    from processor.codec.registry import Registry

REFUSAL_S: Final = 30.0  # a schema may be registered after the first record that names it
AWAY_MIN_S: Final = 0.5
AWAY_MAX_S: Final = 10.0
AWAY_TIMES: Final = 5
"""
A registry that could not tell is not asked again for five times as long as it took to say so, within these bounds.

One that hangs would else keep whoever asks waiting all the time, record after record.
"""
REMEMBERED_MAX: Final = 1_000  # framing bytes are input: neither memory grows with their variety

R = TypeVar("R")
V = TypeVar("V")


class Readers(Generic[R]):
    """
    Compiled readers by framing bytes: of the published versions, and of what the registry knows.

    *compiled* makes a reader for a writer's record, or raises `RefusedSchema`. Framing bytes that are not known yet
    cost a call to the registry, which blocks. One thread may ask; others may use it beside that, and not ask.
    """

    def __init__(
        self,
        compiled: Callable[[Record], R],
        registry: "Registry | None",
        *,
        monotonic_s: Callable[[], float] = time.monotonic,
    ) -> None:
        self._compiled = compiled
        self._registry = registry
        self._monotonic_s = monotonic_s
        self._published = {
            single_object_prefix(each.fingerprint): each.record
            for versions in published().values()
            for each in versions
        }
        self._readers: dict[bytes, R] = {}
        self._refusals: dict[bytes, tuple[Fault, float]] = {}
        self._away_until_s = 0.0
        self._lock = threading.Lock()

    def knows(self, prefix: bytes) -> bool:
        """Tell whether `of` needs no answer of the registry for these framing bytes, and so waits for nobody."""
        if self._registry is None or prefix in self._readers or schema_id_of(prefix) is None:
            return True
        now_s = self._monotonic_s()
        return now_s < self._away_until_s or now_s < self._refusals.get(prefix, (None, 0.0))[1]

    def of(self, prefix: bytes, *, ask: bool = True) -> R:
        """
        Return the reader for records with these framing bytes.

        Raises `Unreadable` for an unknown or refused schema, and `RegistryUnavailable` where nobody can tell yet; or
        where the registry would have to be asked, and is not to be.
        """
        reader = self._readers.get(prefix)
        return self._found(prefix, ask=ask) if reader is None else reader

    def _found(self, prefix: bytes, *, ask: bool) -> R:
        fault, until_s = self._refusals.get(prefix, (None, 0.0))
        if fault is not None and self._monotonic_s() < until_s:
            raise Unreadable(fault)
        try:
            reader = self._compiled(self._record(prefix, ask=ask))
        except RefusedSchema:
            raise self._refused(prefix, Fault.REFUSED_SCHEMA) from None
        self._remember(self._readers, prefix, reader)
        return reader

    def _record(self, prefix: bytes, *, ask: bool) -> Record:
        schema_id = schema_id_of(prefix)
        if schema_id is None:
            record = self._published.get(prefix)
            if record is None:
                raise Unreadable(Fault.UNKNOWN_SCHEMA)
            return record
        if self._registry is not None and not ask:
            raise RegistryUnavailable("it was not asked")
        text = None if self._registry is None else self._asked(self._registry, schema_id)
        if text is None:
            raise self._refused(prefix, Fault.UNKNOWN_SCHEMA)
        return _admitted(text)

    def _asked(self, registry: "Registry", schema_id: int) -> str | None:
        began_s = self._monotonic_s()
        if began_s < self._away_until_s:
            raise RegistryUnavailable("it could not tell a moment ago")
        try:
            return registry.schema(schema_id)
        except RegistryUnavailable:
            now_s = self._monotonic_s()
            self._away_until_s = now_s + min(AWAY_MAX_S, max(AWAY_MIN_S, AWAY_TIMES * (now_s - began_s)))
            raise

    def _refused(self, prefix: bytes, fault: Fault) -> Unreadable:
        self._remember(self._refusals, prefix, (fault, self._monotonic_s() + REFUSAL_S))
        return Unreadable(fault)

    def _remember(self, memory: dict[bytes, V], prefix: bytes, value: V) -> None:
        with self._lock:
            memory.pop(prefix, None)
            while len(memory) >= REMEMBERED_MAX:
                del memory[next(iter(memory))]  # the oldest
            memory[prefix] = value


def _admitted(text: str) -> Record:
    """Return the record that a registry's schema describes; raises `RefusedSchema`."""
    try:
        schema = json.loads(text)
    except (ValueError, RecursionError):
        raise RefusedSchema("no JSON") from None
    record = admit(schema)
    if not isinstance(record, Record):
        raise RefusedSchema("no record")
    return record
