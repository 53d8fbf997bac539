"""What the tests of this folder share: one cluster."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest

from processor.sandbox.broker import find_broker
from tests.support.cluster import Cluster

if TYPE_CHECKING:
    from collections.abc import Iterator

    from processor.sandbox.broker import Broker


@pytest.fixture(scope="module")
def cluster(kafka: Broker) -> Cluster:
    return Cluster.at(kafka.bootstrap)


@pytest.fixture
def own(kafka: Broker) -> Iterator[Broker]:
    """A broker that a test may stop: the shared one serves other tests."""
    if not kafka.can_restart:
        pytest.skip("the broker is not ours to stop")
    with find_broker({name: value for name, value in os.environ.items() if name != "KAFKA_BOOTSTRAP"}) as own:
        yield own
