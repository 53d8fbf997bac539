"""Keeps the controls of a process up to date: suppressions and recalls, from the beginning of their topic on."""

import threading
from typing import Final

from confluent_kafka import Message

from processor.codec.errors import RegistryUnavailable, Unreadable
from processor.codec.events import EventCodec
from processor.core.clock import Clock
from processor.core.control import RECALL, SUPPRESSION
from processor.core.controls import Controls
from processor.core.events import Control
from processor.kafka.connection import Connection
from processor.kafka.follower import Follower
from processor.logs import logger
from processor.metrics import CONTROL_BEHIND, CONTROLS, Health

log = logger()

LOOP: Final = "control"
_RECORDS_MAX: Final = 2_000
_POLL_S: Final = 0.1  # as long as nothing comes; what comes is taken at once
_REGISTRY_AGAIN_S: Final = 0.5
_TOLD_S: Final = 30.0


class ControlLoop:
    """One thread that follows the control topic; dispatch asks what it has read."""

    joined = True  # it has no group, and one-time passwords do not wait for it: a process is ready without it

    def __init__(
        self,
        connection: Connection,
        topic: str,
        partitions: int,
        *,
        controls: Controls,
        codec: EventCodec,
        clock: Clock,
        health: Health,
    ) -> None:
        """Write what it reads into *controls*."""
        self._connection, self._topics = connection, {topic: partitions}
        self._controls, self._codec, self._clock, self._health = controls, codec, clock, health
        self._told = False  # that it is behind

    def run(self, stopping: threading.Event) -> None:
        """Follow until *stopping*; raises `KafkaException` where the client cannot go on."""
        follower = Follower(self._connection, self._topics, self._clock.monotonic_s)
        began_s, records = self._clock.monotonic_s(), 0
        try:
            while not stopping.is_set():
                self._health.beat(LOOP)
                for message in follower.poll(_RECORDS_MAX, _POLL_S):
                    while not self._taken(message) and not stopping.wait(_REGISTRY_AGAIN_S):
                        self._health.beat(LOOP)
                    records += 1
                if follower.caught_up and not self._controls.whole:
                    self._controls.whole = True
                    elapsed_ms = int((self._clock.monotonic_s() - began_s) * 1_000)
                    log.info("control.read", records=records, elapsed_ms=elapsed_ms)
                self._observe(follower.behind_s())
        finally:
            follower.close()
            self._health.stopped(LOOP)

    def _taken(self, message: Message) -> bool:
        """Take in a record, and tell whether that was possible without a registry that is away."""
        value = message.value()
        try:
            event = None if value is None else self._codec.decode_event(value)
        except RegistryUnavailable:
            return False
        except Unreadable as error:
            self._warn(message, error.fault)
            return True
        known = (event is None or isinstance(event, Control)) and self._controls.take(message.key() or b"", event)
        if not known:
            self._warn(message, None)
        return True

    def _warn(self, message: Message, why: object) -> None:
        """Tell a record that is passed over, for the next one may be a recall."""
        place = f"{message.topic()}/{message.partition()}@{message.offset()}"
        log.warning("record.unreadable", stage=LOOP, at=place, why=why)

    def _observe(self, behind_s: float) -> None:
        CONTROLS.labels(SUPPRESSION).set(self._controls.suppressions.count)
        CONTROLS.labels(RECALL).set(self._controls.recalls.count)
        CONTROL_BEHIND.set(behind_s)
        if (behind_s > _TOLD_S) is not self._told:
            self._told = not self._told
            (log.warning if self._told else log.info)("control.behind" if self._told else "control.level")
