"""What a drill mounts is gone after it: the next one in the same namespace mounts its own."""

from __future__ import annotations

import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from chaos.mounts import UNSHARE

if TYPE_CHECKING:
    from pathlib import Path

TWICE = """
import shutil, sys
from contextlib import ExitStack
from pathlib import Path
from chaos.mounts import Names, small_disk

system = Path("/etc/hosts").read_text()
for each in ("first", "second"):
    folder = Path(sys.argv[1], each)
    folder.mkdir()
    with ExitStack() as stack:
        Names(folder, [f"{each}.test"], stack)
        stack.enter_context(small_disk(folder / "disk", "1m"))
        print(Path("/etc/hosts").read_text().split()[-1], shutil.disk_usage(folder / "disk").total)
    shutil.rmtree(folder)
assert Path("/etc/hosts").read_text() == system
"""


def test_one_cluster_after_another_has_its_own_names_and_disk(tmp_path: Path) -> None:
    if subprocess.run([*UNSHARE, "true"], capture_output=True, check=False).returncode:
        pytest.skip("this system gives us no mount namespace")

    command = [*UNSHARE, sys.executable, "-c", TWICE, str(tmp_path)]
    ran = subprocess.run(command, capture_output=True, text=True, check=False)

    assert ran.stdout.splitlines() == [f"first.test {1 << 20}", f"second.test {1 << 20}"], ran.stderr
