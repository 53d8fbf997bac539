"""One running instance: what is started, in which order, and how it ends."""

import os
import signal
import sys
import threading
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from importlib.metadata import version
from types import FrameType
from typing import Final, TypeVar

from confluent_kafka import KafkaException

from processor.cli.adapters import AdapterRefused, open_adapters
from processor.cli.common import FAILED, WRONG_INPUT, codecs_of, unreachable
from processor.cli.tracking import TrackingRefused, tracking_loop
from processor.codec.assembly import Codecs
from processor.codec.errors import RefusedSchema, RegistryUnavailable
from processor.core.clock import Clock
from processor.core.controls import Controls
from processor.core.tiers import TIERS_S
from processor.kafka.admin import Topics, hidden
from processor.kafka.reliable import Reliable
from processor.kafka.topics import TopicSpec
from processor.kafka.transactions import Fenced
from processor.logs import logger
from processor.metrics import REGISTRY, Health, know, serve
from processor.providers.adapter import Adapter
from processor.settings import Settings
from processor.stages.assembly import (
    TRACKING,
    Loop,
    Parts,
    control_loops,
    delay_loops,
    dispatch_loops,
    intake_loops,
    run_loops,
    tracking_loops,
)
from processor.stages.dispatch.event_loop import EventLoop
from processor.stages.heap import share_arenas
from processor.stages.readiness import Readiness
from processor.stages.receipts import Receipts

log = logger()
T = TypeVar("T")

_PROBE_S: Final = 2.0
_TOLD_EVERY: Final = 5  # tries between two log lines about a Kafka that is away
_FENCED: Final = {"_FATAL", "FENCED_INSTANCE_ID"}
"""A member's only fatal error in the classic group protocol; the client passes it on without its own code."""
_SLOT_TAKEN: Final = (
    "Another process has taken slot {slot}: two instances with one slot would fence each other.\n"
    "Give each its own: --slot, or kafka.slot in the configuration."
)


class NotStarted(Exception):
    """The instance cannot work like this; the text says what to do."""


class Stopped(Exception):
    """The instance was asked to stop before it had begun."""


class Process:
    """An instance that runs *stages* until SIGTERM or SIGINT."""

    def __init__(
        self,
        settings: Settings,
        stages: Sequence[str],
        specs: Sequence[TopicSpec],
        *,
        apply_topics: bool,
        clock: Clock,
    ) -> None:
        """Take what was configured; nothing is opened before `run`."""
        self._settings = settings
        self._stages = stages
        self._specs = specs
        self._apply_topics = apply_topics
        self._clock = clock
        self._connection = settings.kafka.connection()
        self._stopping = threading.Event()
        self._asked = False  # by a signal
        self._health = Health()

    def run(self) -> int:
        """Serve, wait for Kafka, run the loops, leave; returns the exit code."""
        share_arenas()
        self._listen_to_signals()
        self._know()
        metrics = self._settings.metrics
        try:
            server = serve(metrics.host, metrics.port, REGISTRY, self._health)
        except OSError:
            return _told(f"Port {metrics.port} is taken; write another one, or 0, into metrics.port.", WRONG_INPUT)
        self._log_started(server.port)
        try:
            self._work()
        except Stopped:
            return self._ended(0)
        except NotStarted as reason:
            return self._ended(_told(str(reason), WRONG_INPUT))
        except Exception as error:  # noqa: BLE001 - what a loop ended with; class and place only, see logs
            return self._ended(self._failed(error))
        finally:
            server.close()
        return self._ended(0)

    # -- in order ---------------------------------------------------------------------------------

    def _listen_to_signals(self) -> None:
        def asked(number: int, _: FrameType | None) -> None:
            if self._asked:
                os._exit(128 + number)  # asked again: at once; Kafka aborts what was open
            self._asked = True
            self._stopping.set()

        signal.signal(signal.SIGTERM, asked)
        signal.signal(signal.SIGINT, asked)

    def _know(self) -> None:
        know(
            to=self._settings.providers,
            provider=self._settings.providers,
            channel=self._settings.channels,
            topic=[spec.name for spec in self._specs],
            tier_seconds=[str(seconds) for seconds in TIERS_S],
        )

    def _work(self) -> None:
        self._patiently(self._kafka_answers)
        codecs = self._patiently(lambda: codecs_of(self._settings))
        self._patiently(self._topics_right)
        # The loops' own codecs ask no registry for what is known by now: it may be away again.
        parts = self._patiently(lambda: self._parts(partial(codecs_of, self._settings, codecs.prefixes)))
        events = EventLoop()
        adapters: Mapping[str, Adapter] = {}
        reliable: Reliable | None = None
        try:
            if "dispatch" in self._stages:
                reliable = Reliable(self._connection)
                codec = parts.open_codecs().events
                receipts = Receipts(reliable, parts.names.receipts, codec.encode_receipt, parts.clock)
                adapters = self._adapters(events, receipts)
            loops = self._loops(parts, adapters, events)
            with Readiness(self._connection, parts.names.outbound, loops, self._health, self._stopping):
                run_loops(loops, self._stopping)
        finally:
            for adapter in adapters.values():
                events.run(adapter.close())
            events.close()
            if reliable is not None:
                reliable.close()

    def _parts(self, open_codecs: Callable[[], Codecs]) -> Parts:
        counts = Topics(self._connection).partitions(spec.name for spec in self._specs)
        limits = self._settings.limits
        return Parts(
            self._connection,
            self._settings.topics.names(),
            self._settings.plan(),
            counts,
            open_codecs,
            slot=self._settings.kafka.slot,
            health=self._health,
            clock=self._clock,
            stop_grace_s=limits.drain_timeout_ms / 1_000,
            tick_records_max=limits.tick_records_max,
            errors_per_minute_max=limits.internal_errors_per_minute,
            controls=Controls() if "dispatch" in self._stages else None,
            hash_key=self._settings.suppression.hash_key(),
            receipts=self._settings.receipts.policy(),
            ids_horizon_ms=self._settings.duplicates.horizon_ms,
        )

    def _adapters(self, events: EventLoop, receipts: Receipts) -> Mapping[str, Adapter]:
        async def opened() -> Mapping[str, Adapter]:  # their clients belong to the event loop that opens them
            found = open_adapters(self._settings, receipts)
            for adapter in found.values():
                adapter.open()
            return found

        try:
            adapters: Mapping[str, Adapter] = events.run(opened())
        except AdapterRefused as refused:
            raise NotStarted(str(refused)) from None
        return adapters

    def _loops(self, parts: Parts, adapters: Mapping[str, Adapter], events: EventLoop) -> list[Loop]:
        made: Mapping[str, Callable[[], list[Loop]]] = {
            "intake": lambda: intake_loops(parts),
            "delay": lambda: delay_loops(parts),
            "dispatch": lambda: [*control_loops(parts), *dispatch_loops(parts, adapters, events)],
            TRACKING: lambda: [*tracking_loops(parts), *self._served(parts)],
        }
        return [loop for stage in self._stages for loop in made[stage]()]

    def _served(self, parts: Parts) -> list[Loop]:
        """Return what serves links and webhooks, where their public address is known."""
        if self._settings.tracking.base_url is None:
            return []
        try:
            return [tracking_loop(self._settings, parts)]
        except TrackingRefused as refused:
            raise NotStarted(str(refused)) from None

    # -- what is waited for -----------------------------------------------------------------------

    def _patiently(self, step: Callable[[], T]) -> T:
        """Return what *step* does; while Kafka or the registry is away it is tried again, calmly."""
        tries = 0
        while not self._stopping.is_set():
            try:
                return step()
            except RefusedSchema as refused:
                raise NotStarted(f"{refused}; publish only compatible schemas under our subjects.") from None
            except (KafkaException, RegistryUnavailable) as error:
                registry = isinstance(error, RegistryUnavailable)
                self._health.set_ready(False, "registry away" if registry else "kafka away")
                if tries % _TOLD_EVERY == 0:
                    log.warning("registry.away" if registry else "kafka.away", error=error, kafka_code=_code(error))
                tries += 1
                self._stopping.wait(_PROBE_S)
        raise Stopped

    def _kafka_answers(self) -> None:
        error = unreachable(self._connection, _PROBE_S)
        if error is not None:
            raise KafkaException(error)

    def _topics_right(self) -> None:
        topics = Topics(self._connection)
        if self._apply_topics:
            topics.apply(self._specs, self._settings.kafka.replication_factor)
            return
        differences = topics.check(self._specs)
        if differences:
            raise NotStarted("\n".join([*map(str, differences), *hidden(differences, self._specs)]))

    # -- what is told -----------------------------------------------------------------------------

    def _log_started(self, port: int) -> None:
        log.info(
            "process.started",
            stage="/".join(self._stages),
            slot=self._settings.kafka.slot,
            port=port,
            pid=os.getpid(),
            version=version("commproc"),
        )

    def _ended(self, code: int) -> int:
        log.info("process.stopped", exit_code=code)
        return code

    def _failed(self, error: Exception) -> int:
        log.error("process.failed", error=error, kafka_code=_code(error), exc_info=error)
        if _code(error) in _FENCED or isinstance(error, Fenced):
            return _told(_SLOT_TAKEN.format(slot=self._settings.kafka.slot), FAILED)
        return _told(f"Failed ({type(error).__name__}); the log says where.", FAILED)


def _code(error: Exception) -> str | None:
    """Return the name of Kafka's error."""
    return str(error.args[0].name()) if isinstance(error, KafkaException) else None


def _told(text: str, code: int) -> int:
    print(text, file=sys.stderr, flush=True)
    return code
