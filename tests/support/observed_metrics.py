"""A process that serves the product's metrics and has something to tell in each: a scrape target for tests."""

from __future__ import annotations

import sys
import time
from typing import Any

from processor import metrics
from processor.core.words import DelayClass, InDoubt, Lane, Reason, Status
from processor.metrics import Health, serve

PROVIDER, CHANNEL, TOPIC, TIER = "GatewaySMS", "SMS", "comm.outbound", "4"
EXPRESS = "comm.outbound.express"
PERIOD_S = 0.05


def observe() -> None:
    """Let everything happen once."""
    for lane in Lane:
        metrics.PRODUCE_TO_CALL.labels(lane).observe(0.006)
        metrics.LATENESS.labels(lane).observe(0.004)
        for outcome in metrics.OUTCOMES:
            metrics.ATTEMPTS.labels(PROVIDER, lane, outcome).inc()
        metrics.RETRIES.labels(PROVIDER, lane, Reason.PROVIDER_DEFERRED).inc()
        metrics.WITHDRAWN.labels(PROVIDER, lane).inc()
        metrics.SEND_BACKLOG.labels(PROVIDER, lane).set(5)
        metrics.SEND_OLDEST.labels(PROVIDER, lane).set(1)
    metrics.CALL.labels(PROVIDER).observe(0.05)
    metrics.IN_FLIGHT.labels(PROVIDER).set(3)
    metrics.THROTTLES.labels(PROVIDER).inc()
    for stage in metrics.STAGES:
        metrics.RECORDS_READ.labels(stage, TOPIC).inc()
        metrics.VERDICTS.labels(stage, metrics.DISPATCH_VERDICT, metrics.NO_REASON).inc()
        metrics.INTERNAL_ERRORS.labels(stage).inc()
    metrics.DELIVERY_EVENTS.labels(Status.SENT, CHANNEL).inc()
    metrics.DEAD_LETTERS.labels(Reason.UNREADABLE).inc()
    metrics.IN_DOUBT.labels(CHANNEL, InDoubt.RESEND).inc()
    metrics.PRIORITY_CLAIMS_IGNORED.labels(CHANNEL).inc()
    for topic in (TOPIC, EXPRESS):
        metrics.INBOUND_BACKLOG.labels(topic).set(7)
        metrics.INBOUND_OLDEST.labels(topic).set(2)
    for delay_class in DelayClass:
        metrics.DELAY_BACKLOG.labels(delay_class, TIER).set(9)
        metrics.DELAY_OVERDUE.labels(delay_class, TIER).set(0)
    for loop in metrics.LOOPS:
        metrics.TICK.labels(loop).observe(0.004)
        metrics.TRANSACTIONS_ABORTED.labels(loop).inc()
        metrics.PARTITIONS_ASSIGNED.labels(loop).set(2)
        metrics.PARTITIONS_UNSTABLE.labels(loop).set(0)
    metrics.PARTITIONS_HELD.labels(TOPIC).set(0)


def main() -> Any:
    """Serve on a free port, print it, and go on until ended."""
    metrics.know(provider=[PROVIDER], channel=[CHANNEL], topic=[TOPIC, EXPRESS], tier_seconds=[TIER])
    health = Health()
    health.set_ready(True)
    server = serve("127.0.0.1", 0, metrics.REGISTRY, health)
    sys.stdout.write(f"{server.port}\n")
    sys.stdout.flush()
    while True:
        for loop in metrics.LOOPS:
            health.beat(loop)
        observe()
        time.sleep(PERIOD_S)


if __name__ == "__main__":
    main()
