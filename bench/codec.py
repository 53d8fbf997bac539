"""
What reading and writing records costs: CPU microseconds for each, best and median of several rounds.

    python -m bench.codec [--rounds 15] [--records 4000]

The message has 1.6 KB, as an order confirmation has. fastavro's rows are there to compare with: it checks less.
"""

from __future__ import annotations

import argparse
import platform
import statistics
import time
from io import BytesIO
from typing import TYPE_CHECKING, Any

import fastavro

from processor.codec.assembly import Codecs, open_codecs
from processor.codec.contracts import latest
from processor.codec.facts import decode_facts, encode_facts
from processor.core.events import DeadLetter, DeliveryEvent, RetryEvent
from processor.core.message import Facts, Head, Message, Origin
from processor.core.words import Lane, Purpose, Reason, Status

if TYPE_CHECKING:
    from collections.abc import Callable

NOW_MS = 1_764_000_000_000
ORIGIN = Origin("comm.outbound", 3, 123_456)
MESSAGE = Message(
    Head(
        message_id="order-20261124-000123",
        channel="Email",
        end_at_ms=NOW_MS + 3_600_000,
        time_zone="Europe/Bucharest",
        campaign_id="autumn-2026",
        purpose=Purpose.TRANSACTIONAL,
        external_id="7f3c2a10-55e1-4c1b-9d47-0d6d6f0f8a11",
    ),
    to="ana.popescu@example.org",
    subject="Your order 000123 is on its way",
    text="Thank you for your order. " * 10,
    html="<p>Thank you for your order, it is on its way.</p>" * 22,
    provider_params={"template": "order-sent"},
    properties={"order": "000123", "language": "ro"},
)
DELIVERY = DeliveryEvent(
    event_id="0" * 32,
    message_id=MESSAGE.head.message_id,
    external_id=MESSAGE.head.external_id,
    attempt=1,
    occurred_at_ms=NOW_MS,
    channel="Email",
    provider="GatewayEmail",
    campaign_id=MESSAGE.head.campaign_id,
    lane=Lane.NORMAL,
    status=Status.SENT,
    terminal=True,
    reason=Reason.ACCEPTED,
    provider_code="250",
    provider_message_id="4XyZ1234567890",
)
RETRY = RetryEvent(
    event_id="0" * 32,
    message_id=MESSAGE.head.message_id,
    external_id=MESSAGE.head.external_id,
    attempt=1,
    charged=1,
    occurred_at_ms=NOW_MS,
    channel="Email",
    provider="GatewayEmail",
    campaign_id=MESSAGE.head.campaign_id,
    lane=Lane.NORMAL,
    reason=Reason.PROVIDER_DEFERRED,
    next_attempt_at_ms=NOW_MS + 60_000,
    provider_code="451",
)
FACTS = Facts(ORIGIN, NOW_MS, NOW_MS + 1, NOW_MS + 2, attempt=2, charged=1, last_reason=Reason.PROVIDER_DEFERRED)


def cases(codecs: Codecs) -> list[tuple[str, Callable[[], object]]]:
    """Return what is measured, by name."""
    value = codecs.outbound.encode_message(MESSAGE)
    letter = DeadLetter("0" * 32, None, NOW_MS, Reason.UNREADABLE, None, 0, ORIGIN, NOW_MS, value, len(value), "0" * 64)
    header = encode_facts(FACTS)
    schema = latest("OutboundMessage").parsed
    whole = fastavro.schemaless_reader(BytesIO(value[10:]), schema, None)
    events = codecs.events
    delivered = events.encode_delivery(DELIVERY)
    return [
        ("decode_head", lambda: codecs.outbound.decode_head(value)),
        ("decode_message", lambda: codecs.outbound.decode_message(value)),
        ("encode_message", lambda: codecs.outbound.encode_message(MESSAGE)),
        ("encode_delivery", lambda: events.encode_delivery(DELIVERY)),
        ("encode_retry", lambda: events.encode_retry(RETRY)),
        ("encode_dead_letter", lambda: events.encode_dead_letter(letter)),
        ("decode_event", lambda: events.decode_event(delivered)),
        ("encode_facts", lambda: encode_facts(FACTS)),
        ("decode_facts", lambda: decode_facts(header)),
        ("fastavro, whole message, unchecked", lambda: fastavro.schemaless_reader(BytesIO(value[10:]), schema, None)),
        ("fastavro, write a message", lambda: fastavro.schemaless_writer(BytesIO(), schema, whole)),
    ]


def rounds_us(call: Callable[[], object], *, rounds: int, records: int) -> list[float]:
    """Return the CPU time of one call in each round, in microseconds."""
    taken = []
    for _ in range(rounds):
        begin_ns = time.process_time_ns()
        for _ in range(records):
            call()
        taken.append((time.process_time_ns() - begin_ns) / records / 1_000)
    return taken


def main(arguments: Any = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--records", type=int, default=4_000)
    options = parser.parse_args(arguments)
    size_bytes = len(open_codecs().outbound.encode_message(MESSAGE))
    print(f"Python {platform.python_version()}, {platform.machine()}; a message of {size_bytes} bytes")
    print(f"{'':36}{'best µs':>10}{'median µs':>12}")
    for name, call in cases(open_codecs()):
        taken = rounds_us(call, rounds=options.rounds, records=options.records)
        print(f"{name:36}{min(taken):10.2f}{statistics.median(taken):12.2f}")


if __name__ == "__main__":
    main()
