"""Puts suppressions and recalls on a plant's control topic, as whoever may write to it does."""

from __future__ import annotations

import time
from functools import partial
from typing import TYPE_CHECKING

from processor.core.control import RECALL, SUPPRESSION, address_hash, control_key
from processor.core.events import Control
from processor.providers.listed import listed
from tests.support.eventually import eventually

if TYPE_CHECKING:
    from collections.abc import Iterable

    from confluent_kafka import KafkaError

    from tests.support.plant import Plant


def now_ms() -> int:
    return time.time_ns() // 1_000_000


def suppression(
    plant: Plant, address: str, scope: str = "marketing", *, campaign: str | None = None, until_ms: int | None = None
) -> Control:
    hashed = address_hash(listed(address) or address, plant.settings.suppression.hash_key())
    return Control(SUPPRESSION, scope, hashed, None, campaign, None, until_ms, now_ms(), "operator")


def recall(
    *,
    message: str | None = None,
    campaign: str | None = None,
    channel: str | None = None,
    until_ms: int | None = None,
) -> Control:
    scope = "message" if message else "campaign" if campaign else "channel"
    return Control(RECALL, scope, None, message, campaign, channel, until_ms, now_ms(), "operator")


def tell(plant: Plant, controls: Iterable[Control], *, taken_back: bool = False) -> int:
    """Put *controls*, or the tombstones of their keys; return the instant at which all were acknowledged."""
    failed: list[KafkaError] = []
    producer = plant.cluster.producer(**{"queue.buffering.max.messages": 1_000_000})
    for control in controls:
        value = None if taken_back else plant.codecs.events.encode_control(control)
        producer.produce(plant.names.control, value, control_key(control), on_delivery=partial(_note, failed))
    assert producer.flush(60) == 0
    assert not failed
    return now_ms()


def _note(failed: list[KafkaError], error: KafkaError | None, _: object) -> None:
    if error is not None:
        failed.append(error)


def heard(plant: Plant, kind: str, count: int, slot: str = "0") -> None:
    """Wait until the dispatcher knows so many."""
    eventually(lambda: plant.metric("dispatch", "comm_controls", slot, kind=kind) == count, within_s=10, what=kind)
