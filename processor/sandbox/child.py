"""A server process that never outlives us, and whose last words are kept."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import time
from typing import TYPE_CHECKING, Final

from processor.sandbox.service import DidNotStart

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

LOG_NAME: Final = "server.log"
POLL_S: Final = 0.05
STOP_WITHIN_S: Final = 20.0

# A pipe is the leash: its only write end is ours, so however we end, SIGKILL included, the kernel closes it and the
# guard kills the server and deletes its folder. Chosen over PR_SET_PDEATHSIG, which fires when the *thread* that
# started the server ends, exists on Linux alone, and needs a `preexec_fn`, which may deadlock beside other threads.
GUARD: Final = 'read -r _; kill -9 "$0" 2>/dev/null; rm -rf "$1"'

# A server sees no more of our environment than this; the rest may hold secrets, and Quarkus reads settings from it.
ENVIRONMENT: Final = ("HOME", "JAVA_HOME", "LANG", "PATH", "TMPDIR")


class Child:
    """
    A running server process.

    It works in *folder*, which dies with us, and writes all output to `LOG_NAME` there. Its own session keeps a
    Ctrl-C of the terminal from it: we end it, in our order.
    """

    def __init__(self, command: Sequence[str], *, folder: Path, environ: dict[str, str] | None = None) -> None:
        inherited = {name: os.environ[name] for name in ENVIRONMENT if name in os.environ}
        self.log = folder / LOG_NAME
        with self.log.open("ab") as log:
            self._process = subprocess.Popen(
                command,
                cwd=folder,
                env=inherited | (environ or {}),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        self._guard = subprocess.Popen(
            ["/bin/sh", "-c", GUARD, str(self._process.pid), str(folder)],
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )

    @property
    def pid(self) -> int:
        """The server's process id."""
        return self._process.pid

    @property
    def exit_code(self) -> int | None:
        """How the server ended: its exit code, minus the signal that killed it, None before `ended` says so."""
        return self._process.returncode

    def ended(self, *, within_s: float = 0.0) -> bool:
        """Tell whether the process is over, waiting up to *within_s* for that."""
        try:
            self._process.wait(within_s)
        except subprocess.TimeoutExpired:
            return False
        self._dismiss_guard()
        return True

    def wait_until(self, answers: Callable[[], bool], *, within_s: float, what: str) -> None:
        """
        Return once *answers* is true.

        Raises `DidNotStart`, with the last lines of the log, when the process ends first or *within_s* has passed.
        """
        deadline = time.monotonic() + within_s
        while not answers():
            if self.ended(within_s=POLL_S):
                raise DidNotStart(f"{what} ended with exit code {self._process.returncode}:\n{self.last_lines()}")
            if time.monotonic() > deadline:
                raise DidNotStart(f"{what} did not answer within {within_s:g} s:\n{self.last_lines()}")

    def last_lines(self, count: int = 20) -> str:
        """Return the end of the log."""
        return "\n".join(self.log.read_text(errors="replace").splitlines()[-count:])

    def stop(self) -> None:
        """SIGTERM, and SIGKILL for one that does not heed it."""
        if not self.ended():
            self._process.send_signal(signal.SIGTERM)
            if not self.ended(within_s=STOP_WITHIN_S):
                self.kill()

    def kill(self) -> None:
        """SIGKILL, and wait until it is gone."""
        self._process.kill()
        self.ended(within_s=STOP_WITHIN_S)

    def _dismiss_guard(self) -> None:
        """Call off the guard before the system gives the process id to another process."""
        self._guard.kill()
        self._guard.wait()
        if self._guard.stdin is not None:
            with contextlib.suppress(BrokenPipeError):
                self._guard.stdin.close()
