"""
A mount namespace of our own, in which names stop resolving and a disk gets full, and nobody else notices.

Without one (another system than Linux, or one that allows none to its users) the faults that need it are left out,
and the run says so.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from contextlib import ExitStack

INSIDE: Final = "COMMPROC_CHAOS_MOUNTS"
UNSHARE: Final = ("unshare", "--map-root-user", "--mount")
NOBODY: Final = "nameserver 127.0.0.1\noptions timeout:1 attempts:1\n"  # who is asked when the hosts file does not say


def inside() -> bool:
    """Tell whether this process may mount."""
    return os.environ.get(INSIDE) == "1"


def enter(arguments: Sequence[str]) -> None:
    """Become the same command in a namespace of its own; return where there is none to be had."""
    if inside() or shutil.which(UNSHARE[0]) is None:
        return
    if subprocess.run([*UNSHARE, "true"], capture_output=True, check=False).returncode == 0:
        command = [*UNSHARE, sys.executable, "-m", "chaos", *arguments]
        os.execvpe(UNSHARE[0], command, os.environ | {INSIDE: "1"})  # noqa: S606 - that command is ours


@contextmanager
def mounted(*what: str, on: Path) -> Iterator[None]:
    """Mount something, and take it away: nothing can be mounted over a file that has been deleted since."""
    subprocess.run(["mount", *what, str(on)], check=True)  # noqa: S607
    try:
        yield
    finally:
        subprocess.run(["umount", "--lazy", str(on)], check=True)  # noqa: S607


@contextmanager
def small_disk(folder: Path, size: str) -> Iterator[None]:
    """Make *folder* a disk of its own."""
    folder.mkdir()
    with mounted("-t", "tmpfs", "-o", f"size={size}", "tmpfs", on=folder):
        yield


class Names:
    """The names that this machine knows, in files of ours that are mounted over the system's."""

    def __init__(self, folder: Path, names: Sequence[str], stack: ExitStack) -> None:
        """Mount them for as long as *stack* lasts."""
        self._hosts = folder / "hosts"
        self._known = f"127.0.0.1 localhost {' '.join(names)}\n"
        self.know()
        resolver = folder / "resolv.conf"
        resolver.write_text(NOBODY)
        for path, over in ((self._hosts, "/etc/hosts"), (resolver, "/etc/resolv.conf")):
            stack.enter_context(mounted("--bind", str(path), on=Path(over)))

    def know(self) -> None:
        """Resolve them."""
        self._hosts.write_text(self._known)

    def forget(self) -> None:
        """Resolve nothing: every question goes to a server that is not there."""
        self._hosts.write_text("")
