"""
What the processor itself does for one message, without Kafka and providers: CPU microseconds for each step.

    python -m bench.path [--rounds 15] [--records 4000]
"""

from __future__ import annotations

import argparse
import platform
import random
import statistics
from datetime import UTC
from typing import TYPE_CHECKING

from bench.codec import FACTS, MESSAGE, NOW_MS, ORIGIN, rounds_us
from processor.codec.assembly import open_codecs
from processor.codec.facts import encode_facts
from processor.core.judge import judge
from processor.core.message import Facts
from processor.core.outcome import Accepted, Deferred
from processor.core.plan import Channel, Plan, Provider, RetryPolicy
from processor.core.words import Action, InDoubt, Lane, Reason
from processor.kafka.topics import Names, Sizes, topic_specs
from processor.metrics import know
from processor.stages.dispatch.calls import Answered, Start
from processor.stages.dispatch.settling import Settling
from processor.stages.judging import Judging
from processor.stages.publish import Publisher
from processor.stages.record import Record
from processor.stages.routes import Routes

if TYPE_CHECKING:
    from collections.abc import Callable
    from datetime import tzinfo

NAME = "GatewayEmail"
EMAIL = Channel(
    code="Email",
    name="E-mail",
    action=Action.EMAIL,
    bus_channel="Email",
    bus_provider=NAME,
    provider=NAME,
    retry=RetryPolicy(max_attempts=3, interval_ms=60_000),
    in_doubt=InDoubt.RESEND,
    validity_ms=None,
    providers=(NAME,),
)
PLAN = Plan(channels={"Email": EMAIL}, providers={NAME: Provider(NAME, "smtp", NAME, "Email", None)})


class Still:
    """A clock that stands at the message's instant."""

    def now_ms(self) -> int:
        return NOW_MS

    def monotonic_s(self) -> float:
        return 0.0


def zones(name: str) -> tzinfo:
    return UTC


def cases() -> list[tuple[str, Callable[[], object]]]:
    """Return what is measured, by name."""
    know(provider=[NAME], channel=["Email"], topic=["comm.outbound"])
    clock, names, codecs = Still(), Names(), open_codecs()
    partitions = {spec.name: spec.partitions for spec in topic_specs(PLAN, names, Sizes())}
    publisher = Publisher(PLAN, names, codecs.events, clock.now_ms)
    routes = Routes(names, partitions, encode_facts, clock.now_ms)
    settling = Settling(
        plan=PLAN,
        codec=codecs.outbound,
        publisher=publisher,
        routes=routes,
        clock=clock,
        zones=zones,
        chance=random.Random(1),
    )
    judging = Judging(
        "intake",
        plan=PLAN,
        codec=codecs.outbound,
        publisher=publisher,
        routes=routes,
        clock=clock,
        zones=zones,
        errors_per_minute_max=20,
    )
    facts = Facts(ORIGIN, NOW_MS, NOW_MS, NOW_MS)
    value = codecs.outbound.encode_message(MESSAGE)
    record = Record((names.send(NAME, Lane.NORMAL), 0), 1, b"key", value, NOW_MS, encode_facts(facts))
    start = Start(record, facts, NAME, Lane.NORMAL)
    sent = Answered(start, MESSAGE.head, Accepted("250", "4XyZ1234567890"), NOW_MS, 0.0, 0.1)
    failed = Answered(start, MESSAGE.head, Deferred(Reason.PROVIDER_DEFERRED, code="451"), NOW_MS, 0.0, 0.1)
    return [
        ("judge", lambda: judge(MESSAGE.head, facts, PLAN, now_ms=NOW_MS, zones=zones)),
        ("intake: judge, count, route", lambda: judging.outputs(record, MESSAGE.head, facts)),
        ("dispatch: settle one that was sent", lambda: settling.done(sent)),
        ("dispatch: settle one to try again", lambda: settling.done(failed)),
        ("route to the next topic", lambda: routes.onward(value, b"key", FACTS, NAME, Lane.NORMAL)),
    ]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--records", type=int, default=4_000)
    options = parser.parse_args()
    print(f"Python {platform.python_version()}, {platform.machine()}")
    print(f"{'':36}{'best µs':>10}{'median µs':>12}")
    for name, call in cases():
        taken = rounds_us(call, rounds=options.rounds, records=options.records)
        print(f"{name:36}{min(taken):10.2f}{statistics.median(taken):12.2f}")


if __name__ == "__main__":
    main()
