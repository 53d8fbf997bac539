"""Java programs out of Maven, kept in a cache folder that several processes may fill at once."""

from __future__ import annotations

import fcntl
import os
import re
import shlex
import shutil
import subprocess
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Final

from processor.sandbox.service import NotAvailable

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

OPTIONS: Final = "KAFKA_JVM_PERFORMANCE_OPTS"
QUICK: Final = ("-XX:TieredStopAtLevel=1", "-XX:+UseSerialGC")
"""For servers that live for minutes: a broker is up after 5 s of work instead of 9. What is measured needs others."""

OLDEST_JAVA: Final = 17  # what Kafka 4 brokers and Apicurio 2.6 are built for
DOWNLOAD_WITHIN_S: Final = 600.0
REPOSITORY: Final = Path(__file__).parents[2]


def cache_folder(environ: Mapping[str, str]) -> Path:
    """Return `COMMPROC_CACHE`, else `.cache` of a checkout, else the user's cache folder."""
    if chosen := environ.get("COMMPROC_CACHE"):
        return Path(chosen).absolute()
    if (REPOSITORY / "pyproject.toml").is_file():
        return REPOSITORY / ".cache"
    return Path(environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "commproc"


def java(environ: Mapping[str, str]) -> tuple[str, ...]:
    """
    Return the command of a Java of version 17 or later: `JAVA_HOME`'s, else the first on the path.

    Its options are those of `KAFKA_JVM_PERFORMANCE_OPTS`, which Kafka's own scripts read too, else `QUICK`.
    """
    given = environ.get(OPTIONS)
    return _java_path(environ), *(QUICK if given is None else shlex.split(given))


def _java_path(environ: Mapping[str, str]) -> str:
    candidates = [f"{environ['JAVA_HOME']}/bin/java"] if environ.get("JAVA_HOME") else []
    candidates += [found] if (found := shutil.which("java", path=environ.get("PATH"))) else []
    seen = []
    for candidate in candidates:
        version = _java_version(candidate)
        if version >= OLDEST_JAVA:
            return candidate
        seen.append(f"{candidate} is version {version}")
    raise NotAvailable("; ".join(seen) or "there is no Java")


def _java_version(path: str) -> int:
    """Return the feature release, 0 where *path* does not run."""
    try:
        told = subprocess.run([path, "-version"], capture_output=True, text=True, check=False, timeout=30).stderr
    except (OSError, subprocess.TimeoutExpired):
        return 0
    version = re.search(r'version "(?:1\.)?(\d+)', told)
    return int(version[1]) if version else 0


def fetched(name: str, goals: Callable[[Path], Iterable[str]], environ: Mapping[str, str]) -> Path:
    """
    Return the cache folder *name*, filled by Maven the first time.

    *goals* gives Maven's arguments for filling an empty folder. A lock file makes others wait for the one that
    downloads; the rename at the end keeps a broken download from ever being taken for a whole one.
    """
    cache = cache_folder(environ)
    whole = cache / name
    if whole.is_dir():
        return whole
    maven = shutil.which("mvn", path=environ.get("PATH"))
    if maven is None:
        raise NotAvailable("there is no Maven")
    cache.mkdir(parents=True, exist_ok=True)
    with (cache / f"{name}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not whole.is_dir():
            with tempfile.TemporaryDirectory(prefix=f"{name}-", dir=cache) as scratch:
                part = Path(scratch) / "part"
                _run([maven, "-q", "-B", *goals(part)], folder=scratch)
                os.rename(part, whole)  # noqa: PTH104 - atomic, and meant to fail if it exists
    return whole


def _run(command: list[str], *, folder: str) -> None:
    try:
        subprocess.run(
            command,
            cwd=folder,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            check=True,
            timeout=DOWNLOAD_WITHIN_S,
        )
    except subprocess.CalledProcessError as error:
        raise NotAvailable(f"Maven failed: {error.stdout[-1000:]}") from error
    except subprocess.TimeoutExpired as error:
        raise NotAvailable(f"Maven took more than {DOWNLOAD_WITHIN_S:g} s") from error
