"""
One target in a process of its own, for what it finds may end the process.

    python -m fuzz.child TARGET [--seconds 10] [--seed 1] [--keep FOLDER]
    python -m fuzz.child TARGET --input FILE

A target is one of `fuzz.targets`, or `package.module.name` of another module that has such a table.
"""

from __future__ import annotations

import argparse
import importlib
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

import atheris

if TYPE_CHECKING:
    from fuzz.target import Target

INPUT_BYTES_MAX = 8_192
INPUT_TIMEOUT_S = 5
MEMORY_MIB_MAX = 1_024


def found(name: str) -> Target:
    """Return the target called *name*, with the branches of what it reads made visible to the fuzzer."""
    module, _, target = name.rpartition(".")
    module = module if "." in module else f"fuzz.{module}"
    with atheris.instrument_imports(include=["processor", module]):
        _see_generated()
        targets: dict[str, Target] = importlib.import_module(module).TARGETS
    return targets[target]


def _see_generated() -> None:
    """Make the branches of readers visible, too, whose source is generated: no import brings them."""
    quick: Any = importlib.import_module("processor.codec.quick")
    made = quick.record
    quick.record = lambda *parts: atheris.instrument_func(made(*parts))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("target")
    parser.add_argument("--seconds", type=int, default=10)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--keep", type=Path, default=Path(), help="where inputs go that break it")
    parser.add_argument("--input", type=Path, help="check what is in this file, and nothing else")
    options = parser.parse_args()
    target = found(options.target)
    if options.input is not None:
        target.check(options.input.read_bytes())
        return
    for seed in target.seeds:
        target.check(seed)
    with tempfile.TemporaryDirectory() as folder:
        for number, seed in enumerate(target.seeds):
            Path(folder, f"seed-{number}").write_bytes(seed)
        flags = [
            f"-max_total_time={options.seconds}",
            f"-seed={options.seed}",
            f"-max_len={INPUT_BYTES_MAX}",
            f"-timeout={INPUT_TIMEOUT_S}",
            f"-rss_limit_mb={MEMORY_MIB_MAX}",
            "-print_final_stats=1",
            f"-artifact_prefix={options.keep}/",
        ]
        atheris.Setup([sys.argv[0], *flags, folder], target.check)
        atheris.Fuzz()


if __name__ == "__main__":
    main()
