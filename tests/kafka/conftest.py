"""What the tests of this folder share: one cluster."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.support.cluster import Cluster

if TYPE_CHECKING:
    from processor.sandbox.broker import Broker


@pytest.fixture(scope="module")
def cluster(kafka: Broker) -> Cluster:
    return Cluster.at(kafka.bootstrap)
