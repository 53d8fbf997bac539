"""A real Postfix in a folder of its own: takes mails on a free port and relays them to another server."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import tempfile
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Final

import pytest

from processor.sandbox.ports import free_port
from tests.support.eventually import eventually

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

MASTER: Final = Path("/usr/share/postfix/master.cf.dist")

SETTINGS: Final[Mapping[str, str]] = {
    "compatibility_level": "3.6",
    "inet_interfaces": "127.0.0.1",
    "inet_protocols": "ipv4",
    "mydestination": "",
    "local_recipient_maps": "",
    "alias_maps": "",
    "alias_database": "",
    "mynetworks": "127.0.0.0/8",
    "smtp_dns_support_level": "disabled",
    "smtpd_peername_lookup": "no",
    "smtpd_relay_restrictions": "permit_mynetworks,reject",
    "smtpd_client_connection_count_limit": "0",
}


def postfix_program(name: str) -> str:
    """Return the path of one of Postfix's programs; without it skip, but fail in CI, where nobody sees a skip."""
    found = shutil.which(name, path=f"{os.environ.get('PATH', '')}:/usr/sbin")
    missing = found is None or (name == "postfix" and (os.geteuid() != 0 or not MASTER.exists()))
    if missing:
        reason = f"{name} cannot be run here (Debian package: postfix; its master process must be root's)"
        if os.environ.get("CI"):
            pytest.fail(reason)
        pytest.skip(reason)
    return str(found)


@contextmanager
def postfix(relay_port: int, settings: Mapping[str, str]) -> Iterator[int]:
    """Run Postfix with *settings* in front of 127.0.0.1:*relay_port*; yields its port."""
    program = postfix_program("postfix")
    port = free_port()
    # Not in pytest's folder: that one is closed to the users that Postfix's daemons run as.
    with tempfile.TemporaryDirectory(prefix="postfix-") as name:
        folder = Path(name)
        folder.chmod(0o755)
        for below in ("etc", "spool", "data"):
            (folder / below).mkdir()
        shutil.chown(folder / "data", "postfix")
        own = {
            "queue_directory": f"{folder}/spool",
            "data_directory": f"{folder}/data",
            "maillog_file": f"{folder}/mail.log",
            "maillog_file_prefixes": f"{folder}",
            "relayhost": f"[127.0.0.1]:{relay_port}",
        }
        lines = [f"{key} = {value}\n" for key, value in {**SETTINGS, **own, **settings}.items()]
        (folder / "etc/main.cf").write_text("".join(lines), encoding="utf-8")
        (folder / "etc/master.cf").write_text(_master(port), encoding="utf-8")
        _run(program, folder, "start")
        try:
            eventually(lambda: _listens(port), within_s=10)
            yield port
        finally:
            _run(program, folder, "stop")


def _run(program: str, folder: Path, verb: str) -> None:
    done = subprocess.run([program, "-c", f"{folder}/etc", verb], check=False, capture_output=True, text=True)
    assert done.returncode == 0, f"postfix {verb}: {done.stderr}"


def _master(port: int) -> str:
    """Postfix's own list of services, with its mail server on *port* and nothing in a chroot."""
    lines = []
    for line in MASTER.read_text(encoding="utf-8").splitlines():
        columns = line.split()
        if not line[:1].isalpha():  # a comment, or more arguments of the service before
            lines.append(line)
            continue
        columns[4] = "n"
        if columns[:2] == ["smtp", "inet"]:
            columns[0] = f"127.0.0.1:{port}"
        lines.append(" ".join(columns))
    return "\n".join(lines) + "\n"


def _listens(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0
