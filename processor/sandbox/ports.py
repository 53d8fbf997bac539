"""Free ports of the loopback."""

from __future__ import annotations

import random
import socket
from pathlib import Path
from typing import Final

LOWEST: Final = 10_000
EPHEMERAL_RANGE: Final = Path("/proc/sys/net/ipv4/ip_local_port_range")
EPHEMERAL_FROM: Final = 32_768  # Linux's default


def free_port() -> int:
    """
    Return a port nobody listens on, below the range that outgoing connections draw from.

    A server that comes back on its port needs this: while it is away, a client that keeps connecting to a port of that
    range may be given the very port as its source, connect to itself, and keep the server out.
    """
    ceiling = int(EPHEMERAL_RANGE.read_text().split()[0]) if EPHEMERAL_RANGE.exists() else EPHEMERAL_FROM
    for _ in range(1_000):
        port = random.randrange(LOWEST, ceiling) if ceiling > LOWEST else 0
        with socket.socket() as probe:
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
            return int(probe.getsockname()[1])
    raise OSError("no free port on the loopback")
