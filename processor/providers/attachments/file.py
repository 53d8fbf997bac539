"""Attachments from folders of this machine. A message names the file: everything about the name is suspect."""

from __future__ import annotations

import os
import stat
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import unquote_to_bytes, urlsplit

from processor.providers.attachments.judge import MISSING, REFUSED

if TYPE_CHECKING:
    from collections.abc import Sequence

    from processor.providers.attachments.judge import Refusal


def read(url: str, roots: Sequence[str], *, bytes_max: int) -> bytes | Refusal:
    """
    Return the content of the file that *url* (RFC 8089) names, at most *bytes_max* long. Blocks.

    It must be a plain file below one of *roots*, once `..` and links are followed; whether anything is there is
    told only of what is below one.
    """
    try:
        parts = urlsplit(url)
        path = Path(os.fsdecode(unquote_to_bytes(parts.path)))
        wanted = path.resolve()
        below = path.is_absolute() and any(wanted.is_relative_to(Path(root).resolve()) for root in roots)
    except (OSError, ValueError, RuntimeError):  # a NUL, a ring of links
        return REFUSED
    if parts.netloc not in {"", "localhost"} or parts.query or parts.fragment or not below:
        return REFUSED
    return _content(wanted, bytes_max)


def _content(path: Path, bytes_max: int) -> bytes | Refusal:
    # O_NOFOLLOW: a link put there since is not followed. O_NONBLOCK: a pipe does not hold us up.
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK)
    except OSError:
        return MISSING
    try:
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            return REFUSED
        with open(descriptor, "rb", closefd=False) as file:
            content = file.read(bytes_max + 1)
    except OSError:
        return MISSING
    finally:
        os.close(descriptor)
    return REFUSED if len(content) > bytes_max else content
