"""Metrics tell what happens, in series that no input can multiply, even while a loop is stuck."""

from __future__ import annotations

import socket
import urllib.error
import urllib.request
from typing import TYPE_CHECKING

import pytest
from prometheus_client import CollectorRegistry
from prometheus_client.parser import text_string_to_metric_families

from processor import metrics
from processor.core.words import Lane, Reason
from processor.metrics import Health, serve
from processor.metrics.families import Families

if TYPE_CHECKING:
    from collections.abc import Iterator


class Clock:
    def __init__(self) -> None:
        self.now_s = 0.0

    def __call__(self) -> float:
        return self.now_s


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def health(clock: Clock) -> Health:
    return Health(seconds=clock)


@pytest.fixture
def address(health: Health) -> Iterator[str]:
    server = serve("127.0.0.1", 0, metrics.REGISTRY, health)
    yield f"http://127.0.0.1:{server.port}"
    server.close()


def get(url: str) -> tuple[int, str]:
    """Return status and text of *url*."""
    try:
        with urllib.request.urlopen(url, timeout=5) as answer:
            return answer.status, answer.read().decode()
    except urllib.error.HTTPError as error:
        with error:
            return error.code, error.read().decode()


def samples(text: str) -> dict[str, int]:
    """Return how many series each metric of an exposition has."""
    return {family.name: len(family.samples) for family in text_string_to_metric_families(text)}


class TestLabels:
    def test_a_hundred_thousand_values_make_no_more_than_one_series(self) -> None:
        registry = CollectorRegistry()
        families = Families(registry)
        calls = families.counter("comm_calls_total", "Calls.", provider=None, lane=Lane)
        families.know(provider=["GatewaySMS"])
        before = len(next(iter(registry.collect())).samples)

        for number in range(100_000):
            calls.labels(f"provider-{number}", Lane.BULK).inc()

        after = next(iter(registry.collect())).samples
        assert len(after) == before + 1  # the series `other`
        assert registry.get_sample_value("comm_calls_total", {"provider": "other", "lane": "bulk"}) == 100_000

    def test_known_series_start_at_zero(self) -> None:
        metrics.know(provider=["GatewaySMS"], channel=["SMS"], topic=["comm.outbound"], tier_seconds=["4"])

        labels = {"provider": "GatewaySMS", "lane": "express", "outcome": "unknown"}
        assert metrics.REGISTRY.get_sample_value("comm_attempts_total", labels) == 0
        assert metrics.REGISTRY.get_sample_value("comm_dead_letters_total", {"reason": Reason.QUARANTINED}) == 0

    def test_what_is_known_later_keeps_what_was_counted_before(self) -> None:
        registry = CollectorRegistry()
        families = Families(registry)
        calls = families.counter("comm_calls_total", "Calls.", provider=None)
        families.know(provider=["A"])
        calls.labels("A").inc()

        families.know(provider=["B"])

        assert registry.get_sample_value("comm_calls_total", {"provider": "A"}) == 1

    def test_before_anything_is_known_all_of_it_is_other(self) -> None:
        registry = CollectorRegistry()
        calls = Families(registry).counter("comm_calls_total", "Calls.", provider=None)

        calls.labels("GatewaySMS").inc()

        assert registry.get_sample_value("comm_calls_total", {"provider": "other"}) == 1


class TestDeclarations:
    def test_each_has_the_prefix_a_base_unit_and_a_meaning(self) -> None:
        for family in metrics.REGISTRY.collect():
            if family.name.startswith("process_"):
                continue
            assert family.name.startswith("comm_")
            assert not family.name.endswith(("_ms", "_milliseconds", "_count"))
            assert len(family.documentation) > 15
            assert family.documentation.rstrip()[-1] in ".)"

    def test_no_label_can_carry_a_person_or_a_message(self) -> None:
        seen = {label for family in metrics.REGISTRY.collect() for sample in family.samples for label in sample.labels}

        assert seen <= {
            *("actor", "route", "type"),  # of the public side
            *("adapter", "channel", "delay_class", "kind", "lane", "le", "loop", "outcome", "policy", "provider"),
            *("python", "reason", "stage", "state", "status", "tier_seconds", "to", "topic", "verdict", "version"),
        }


class TestServer:
    def test_it_serves_what_prometheus_reads(self, address: str) -> None:
        metrics.LATENESS.labels(Lane.EXPRESS).observe(0.004)

        status, text = get(f"{address}/metrics")

        assert status == 200
        assert samples(text)["comm_lateness_seconds"] > 10
        assert samples(text)["comm_build_info"] == 1

    def test_ready_says_why_not(self, address: str, health: Health) -> None:
        assert get(f"{address}/readyz") == (503, "starting\n")

        health.set_ready(True)
        assert get(f"{address}/readyz") == (200, "ok\n")
        assert "comm_ready 1.0" in get(f"{address}/metrics")[1]

        health.set_ready(False, "kafka away")
        assert get(f"{address}/readyz") == (503, "kafka away\n")
        assert "comm_ready 0.0" in get(f"{address}/metrics")[1]

    def test_a_loop_that_does_not_come_round_is_unhealthy(self, address: str, health: Health, clock: Clock) -> None:
        health.beat("dispatch")
        clock.now_s = 60.0
        health.beat("intake")
        assert get(f"{address}/healthz") == (200, "ok\n")

        clock.now_s = 61.0
        assert get(f"{address}/healthz") == (503, "dispatch has not come round for 61 s\n")
        assert 'comm_loop_beat_age_seconds{loop="dispatch"} 61.0' in get(f"{address}/metrics")[1]

        health.stopped("dispatch")
        assert get(f"{address}/healthz") == (200, "ok\n")

    def test_other_paths_are_not_found_and_nothing_of_them_is_repeated(self, address: str) -> None:
        assert get(f"{address}/canary") == (404, "not found\n")

    def test_a_client_that_says_nothing_holds_up_nobody(self, address: str) -> None:
        host, _, port = address.removeprefix("http://").partition(":")
        with socket.create_connection((host, int(port)), timeout=5):
            assert get(f"{address}/healthz")[0] == 200

    def test_a_closed_server_frees_its_port_and_its_metrics(self, health: Health) -> None:
        server = serve("127.0.0.1", 0, metrics.REGISTRY, health)
        server.close()

        again = serve("127.0.0.1", server.port, metrics.REGISTRY, health)
        again.close()
        assert metrics.REGISTRY.get_sample_value("comm_ready") is None
