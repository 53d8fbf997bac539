"""What the tests of the command line share: one running processor."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.support.plant import Plant, plant

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from processor.sandbox.broker import Broker


@pytest.fixture(scope="module")
def running(kafka: Broker, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Plant]:
    """A processor with a sandbox, under a prefix of its own; its stages run."""
    with plant(kafka.bootstrap, tmp_path_factory.mktemp("cli")) as made:
        yield made


@pytest.fixture
def idle(kafka: Broker, tmp_path: Path) -> Iterator[Plant]:
    """The same with its topics made and no process."""
    with plant(kafka.bootstrap, tmp_path, running=()) as made:
        yield made
