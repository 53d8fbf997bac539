"""What the tests of this folder share: real processes on the session's broker."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.support.plant import Plant, plant

if TYPE_CHECKING:
    from collections.abc import Iterator

    from processor.sandbox.broker import Broker


@pytest.fixture(scope="module")
def works(kafka: Broker, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Plant]:
    """A plant with every stage running, for the tests of one module."""
    with plant(kafka.bootstrap, tmp_path_factory.mktemp("plant")) as made:
        yield made
