"""
Services that the package knows: one YAML file each, with the keys of an HTTP provider.

Every file names the vendor's pages that its facts come from.
"""

from pathlib import Path
from typing import Final

FOLDER: Final = Path(__file__).parent

NAMES: Final = tuple(sorted(file.stem for file in FOLDER.glob("*.yaml")))


def text(name: str) -> str:
    """Return the preset *name*, one of `NAMES`, as YAML."""
    return (FOLDER / f"{name}.yaml").read_text(encoding="utf-8")
