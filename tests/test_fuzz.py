"""Whatever reads hostile bytes is fuzzed for a moment in each run of the tests, and the fuzzer can find something."""

from __future__ import annotations

import os
import sys
from typing import TYPE_CHECKING

import pytest

from fuzz.__main__ import fuzzed
from fuzz.targets import TARGETS

if TYPE_CHECKING:
    from pathlib import Path

SECONDS = 1
SEED = int(os.environ["TEST_SEED"]) % (1 << 31) or 1

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(sys.platform != "linux", reason="atheris is for Linux"),
]


@pytest.mark.parametrize("name", TARGETS)
def test_nothing_is_found_in_a_moment(name: str, tmp_path: Path) -> None:
    ran = fuzzed(name, seconds=SECONDS, seed=SEED, folder=tmp_path)

    assert ran.found is None, f"--seed {SEED}: {ran.found}; {ran.file and ran.file.read_bytes()!r}"
    assert ran.executions > 20
    assert ran.covered > 10


def test_a_defect_that_chance_would_not_find_is_found_by_the_branches_that_lead_to_it(tmp_path: Path) -> None:
    ran = fuzzed("tests.support.flawed.flawed", seconds=60, seed=SEED, folder=tmp_path)

    assert ran.found is not None
    assert "the defect" in ran.found
    assert ran.file is not None
    assert ran.file.read_bytes().startswith(b"fuzz")
