"""Servers that many tests share: started once, by the first test that asks."""

from __future__ import annotations

import os
import random
import shutil
from typing import TYPE_CHECKING, TypeVar

import pytest
from hypothesis import HealthCheck, settings

from processor.sandbox.broker import Broker, DidNotStart, NotAvailable, Registry, find_broker, find_registry

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

# The first text that is drawn after a fresh clone builds a table of Unicode, which takes seconds on a busy machine. No
# example is timed: other work shares the cores.
settings.register_profile("processor", suppress_health_check=[HealthCheck.too_slow], deadline=None)
settings.load_profile("processor")

S = TypeVar("S", Broker, Registry, str)


@pytest.fixture(scope="session")
def kafka() -> Iterator[Broker]:
    """A real broker; a test that kills it restarts it."""
    with _found(find_broker) as broker:
        yield broker


@pytest.fixture(scope="module")
def own_kafka(kafka: Broker) -> Iterator[Broker]:
    """A broker that the tests of a module may stop: the shared one serves other tests."""
    if not kafka.can_restart:
        pytest.skip("the broker is not ours to stop")
    with find_broker({name: value for name, value in os.environ.items() if name != "KAFKA_BOOTSTRAP"}) as own:
        yield own


@pytest.fixture(scope="session")
def registry() -> Iterator[Registry]:
    """A real schema registry."""
    with _found(find_registry) as registry:
        yield registry


@pytest.fixture(scope="session")
def chromium() -> str:
    """The path of a real browser."""
    return _found(find_chromium)


def find_chromium() -> str:
    """Return the path of the system's browser. Raises NotAvailable."""
    path = shutil.which("chromium") or shutil.which("google-chrome")
    if path is None:
        raise NotAvailable("no Chromium is installed (Debian package: chromium)")
    return path


def _found(find: Callable[[], S]) -> S:
    """Skip where the machine has no such thing, but fail in CI, where a skip would go unseen."""
    try:
        return find()
    except DidNotStart:
        raise
    except NotAvailable as reason:
        if os.environ.get("CI"):
            raise
        pytest.skip(str(reason))


def pytest_configure() -> None:
    """Draw the seed of this run, before the workers start: they have to name the same tests."""
    os.environ.setdefault("TEST_SEED", str(random.SystemRandom().randrange(1 << 32)))


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """
    Mark what asks for a broker, so that `make test-fast` can leave it out, and begin with the broker's own tests.

    One of them kills it, and a broker that was killed recovers the log of each partition: thousands, later in a run.
    What else takes long comes next: with what is short last, all workers end together.
    """
    for item in items:
        if {"kafka", "registry"} & set(getattr(item, "fixturenames", ())):
            item.add_marker("kafka")
    items.sort(key=lambda item: (item.path.name != "test_broker.py", not _takes_long(item)))


def _takes_long(item: pytest.Item) -> bool:
    return any(item.get_closest_marker(name) is not None for name in ("kafka", "slow"))
