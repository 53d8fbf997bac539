"""
Find a Kafka and a schema registry to work with; `python -m processor.sandbox.broker` runs both until Ctrl-C.

In this order: the one that the environment names; a container where a Docker engine answers; this machine's Java with
a download from Maven. Always a real one: a mock accepts transactions without performing them.
"""

from __future__ import annotations

import os
import signal
import sys
from contextlib import ExitStack
from functools import partial
from typing import TYPE_CHECKING, Final, TypeVar

from processor.sandbox.containers import start_contained_broker, start_contained_registry
from processor.sandbox.local_kafka import start_local_broker
from processor.sandbox.local_registry import start_local_registry
from processor.sandbox.probe import admin_client, kafka_answers, registry_answers
from processor.sandbox.service import Broker, DidNotStart, Given, NotAvailable, Registry, Service

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

__all__ = ["Broker", "DidNotStart", "NotAvailable", "Registry", "find_broker", "find_registry", "main"]

BOOTSTRAP: Final = "KAFKA_BOOTSTRAP"
REGISTRY_URL: Final = "SCHEMA_REGISTRY_URL"
GIVEN_TRIES: Final = 10  # half a second each

ADVICE: Final = """\
No {what} at hand: {reasons}.
One of these is enough:
  - set {variable} to the address of a running one ({example});
  - start Docker (its daemon must be reachable by this user);
  - install Java 17 or later and Maven (Debian: apt-get install openjdk-17-jre-headless maven; macOS: brew install
    openjdk@17 maven)."""

S = TypeVar("S", bound=Service)


class GivenBroker(Given, Broker):
    """A broker that the environment names."""

    def __init__(self, bootstrap: str) -> None:
        super().__init__(f"The Kafka that {BOOTSTRAP} names")
        self.bootstrap = bootstrap
        with admin_client(bootstrap) as client:
            if not any(kafka_answers(client) for _ in range(GIVEN_TRIES)):
                raise NotAvailable(f"{self.origin} does not answer; start it or unset the variable")


class GivenRegistry(Given, Registry):
    """A registry that the environment names."""

    def __init__(self, url: str) -> None:
        super().__init__(f"The registry that {REGISTRY_URL} names")
        self.url = url.rstrip("/")
        if not registry_answers(self.url):
            raise NotAvailable(f"{self.origin} does not answer; start it or unset the variable")


def find_broker(environ: Mapping[str, str] = os.environ) -> Broker:
    """
    Return a broker that answers; use it as a context manager, so that one of our own ends.

    Raises `NotAvailable`, whose text says what to install.
    """
    if bootstrap := environ.get(BOOTSTRAP):
        return GivenBroker(bootstrap)
    ways: list[Callable[[], Broker]] = [partial(start_contained_broker, environ), partial(start_local_broker, environ)]
    return _first(ways, what="Kafka", variable=BOOTSTRAP, example="host:9092")


def find_registry(environ: Mapping[str, str] = os.environ) -> Registry:
    """
    Return a schema registry that answers; use it as a context manager, so that one of our own ends.

    Raises `NotAvailable`, whose text says what to install.
    """
    if url := environ.get(REGISTRY_URL):
        return GivenRegistry(url)
    ways: list[Callable[[], Registry]] = [
        partial(start_contained_registry, environ),
        partial(start_local_registry, environ),
    ]
    return _first(ways, what="schema registry", variable=REGISTRY_URL, example="http://host:8081")


def _first(ways: Sequence[Callable[[], S]], *, what: str, variable: str, example: str) -> S:
    """Return the first that starts, else raise the reasons of all."""
    reasons = [f"{variable} is not set"]
    for way in ways:
        try:
            return way()
        except DidNotStart:  # it is installed, so what it said matters more than the advice to install it
            raise
        except NotAvailable as reason:
            reasons.append(str(reason))
    raise NotAvailable(ADVICE.format(what=what, reasons="; ".join(reasons), variable=variable, example=example))


def main() -> int:
    """Run a broker and a registry in the foreground and print how to reach them."""
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    with ExitStack() as running:
        try:
            broker = running.enter_context(find_broker())
            print(f"# {broker.origin}\nexport {BOOTSTRAP}={broker.bootstrap}", flush=True)
            registry = running.enter_context(find_registry())
            print(f"# {registry.origin}\nexport {REGISTRY_URL}={registry.url}", flush=True)
        except NotAvailable as reason:
            print(reason, file=sys.stderr)
            return 1
        except KeyboardInterrupt:
            return 0
        print("# Ctrl-C stops them and deletes their data.", flush=True)
        try:
            signal.pause()
        except KeyboardInterrupt:
            print()
    return 0


if __name__ == "__main__":
    sys.exit(main())
