"""The configuration: one YAML file and the environment, read once into frozen values, all errors at once."""

from collections.abc import Mapping
from pathlib import Path
from typing import Final

from processor.settings.load import load_text
from processor.settings.models import Environment, KafkaSettings
from processor.settings.problems import ConfigurationError, Problem
from processor.settings.root import Settings

__all__ = ["DEFAULT", "ConfigurationError", "Environment", "KafkaSettings", "Problem", "Settings", "load"]

DEFAULT: Final = Path(__file__).with_name("default.yaml")
"""The packaged configuration: six providers and five channels against the sandbox."""


def load(path: Path | None, environ: Mapping[str, str]) -> Settings:
    """
    Return the configuration in *path*; else in the file that COMMPROC_CONFIG names; else the packaged one.

    Raises `ConfigurationError` with everything that is wrong.
    """
    chosen = path or Path(environ.get("COMMPROC_CONFIG") or DEFAULT)
    try:
        text = chosen.read_text(encoding="utf-8")
    except (OSError, ValueError) as error:
        what = f"cannot be read ({type(error).__name__})"
        problem = Problem("(file)", what, "the path of a YAML file into --config or COMMPROC_CONFIG", str(chosen))
        raise ConfigurationError((problem,)) from None
    return load_text(text, name=str(chosen), environ=environ)
