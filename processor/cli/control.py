"""Puts suppressions and recalls on the control topic, and waits until all in-sync replicas have them."""

from collections.abc import Callable, Iterable
from typing import Final

from confluent_kafka import KafkaError, Message, Producer

from processor.cli.common import WRONG_INPUT, codecs_or_fail, connection_or_fail, fail
from processor.cli.compose import Wrong, instant_ms
from processor.core.control import control_key
from processor.core.events import Control
from processor.settings import Settings

Delivered = Callable[[KafkaError | None, Message], None]
CAUSE: Final = "operator"
_MISSING: Final = {KafkaError.UNKNOWN_TOPIC_OR_PART, KafkaError._UNKNOWN_TOPIC}  # noqa: SLF001 - librdkafka's own name


def put_controls(settings: Settings, controls: Iterable[Control], *, undo: bool) -> int:
    """Publish *controls*, or take them back, and return how many Kafka acknowledged; ends the command if not all."""
    encode = codecs_or_fail(settings).events.encode_control
    topic, failed, count = settings.topics.names().control, list[KafkaError](), 0
    producer = Producer(
        connection_or_fail(settings).common()
        | {"enable.idempotence": True, "acks": "all", "linger.ms": 5, "partitioner": "murmur2_random"}
        | {"delivery.timeout.ms": 30_000}
    )

    def delivered(error: KafkaError | None, _: object) -> None:
        if error is not None:
            failed.append(error)

    for control in controls:
        _produce(producer, topic, None if undo else encode(control), control_key(control), delivered)
        count += 1
    while producer.flush(1.0):
        pass
    if failed and failed[0].code() in _MISSING:
        fail("The control topic is missing; run `commproc topics apply`.")
    if failed:
        fail(f"{len(failed)} of {count} did not reach Kafka ({failed[0].name()}); say it again.")
    return count


def until_or_fail(text: str | None, now_ms: int) -> int | None:
    """Return the instant of `--until`, which must lie ahead."""
    if text is None:
        return None
    try:
        until_ms = instant_ms("--until", text, now_ms)
    except Wrong as wrong:
        fail(str(wrong), WRONG_INPUT)
    if until_ms <= now_ms:
        fail("--until: write an instant that is still to come", WRONG_INPUT)
    return until_ms


def _produce(producer: Producer, topic: str, value: bytes | None, key: bytes, delivered: Delivered) -> None:
    while True:
        try:
            producer.produce(topic, value, key, on_delivery=delivered)
        except BufferError:
            producer.poll(0.1)
        else:
            producer.poll(0)
            return
