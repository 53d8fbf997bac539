"""The gates that hold the architecture can fail."""

from __future__ import annotations

import shutil
import subprocess
import sys
from importlib.resources import files
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).parents[1]


@pytest.fixture
def copy(tmp_path: Path) -> Path:
    shutil.copytree(REPOSITORY / "processor", tmp_path / "processor", ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(REPOSITORY / "pyproject.toml", tmp_path)
    return tmp_path


def gate(tool: str, *arguments: str, folder: Path) -> tuple[int, str]:
    done = subprocess.run(
        [Path(sys.executable).with_name(tool), *arguments], cwd=folder, capture_output=True, text=True, check=False
    )
    return done.returncode, done.stdout + done.stderr


def plant(line: str, folder: Path) -> None:
    (folder / "processor/core/planted.py").write_text(f'"""Planted."""\n\n{line}\n')


def test_the_core_can_gain_no_clock_chance_or_client(copy: Path) -> None:
    modules = ("asyncio", "confluent_kafka", "os", "pydantic", "random", "secrets", "socket", "time", "uuid")
    plant("\n".join(f"import {module}" for module in modules), copy)

    code, told = gate("lint-imports", "--no-cache", folder=copy)

    assert code == 1
    assert [module for module in modules if f"processor.core.planted -> {module}" not in told] == []


def test_the_core_can_not_import_what_stands_above_it(copy: Path) -> None:
    plant("import processor.kafka", copy)

    code, told = gate("lint-imports", "--no-cache", folder=copy)

    assert code == 1
    assert "processor.core is not allowed to import processor.kafka" in told


def test_a_new_top_level_module_must_take_its_place_in_the_layers(copy: Path) -> None:
    (copy / "processor/utils.py").write_text('"""Planted."""\n')

    code, told = gate("lint-imports", "--no-cache", folder=copy)

    assert code == 1
    assert "processor.utils" in told


def test_nobody_asks_datetime_for_the_time(copy: Path) -> None:
    plant("import datetime\n\nNOW = datetime.datetime.now(tz=datetime.UTC)", copy)

    code, told = gate("ruff", "check", "--no-cache", ".", folder=copy)

    assert code == 1
    assert "TID251" in told


def test_the_schemas_are_part_of_the_package() -> None:
    packaged = {path.name for path in files("processor").joinpath("schemas").iterdir()}

    assert packaged == {path.name for path in (REPOSITORY / "schemas").iterdir()}
