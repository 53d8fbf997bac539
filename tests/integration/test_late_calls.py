"""A call whose connection takes too long is not made once the message may go no more."""

from __future__ import annotations

import socket
import threading
import time
from typing import TYPE_CHECKING

from processor.core.words import Reason, Status
from tests.support.cluster import fresh
from tests.support.plant import message, plant

if TYPE_CHECKING:
    from pathlib import Path

    from processor.sandbox.broker import Broker

END_MS = 8_000


class Reluctant:
    """A mail server that greets nobody before an instant, and remembers what it was told afterwards."""

    def __init__(self) -> None:
        self.greets_at_ms = 0
        self.met = threading.Event()
        self.heard: list[bytes] = []
        self._listening = socket.create_server(("127.0.0.1", 0))
        self.port = self._listening.getsockname()[1]
        threading.Thread(target=self._serve, daemon=True).start()

    def _serve(self) -> None:
        while True:
            connection, _ = self._listening.accept()
            threading.Thread(target=self._talk, args=(connection,), daemon=True).start()

    def _talk(self, connection: socket.socket) -> None:
        self.met.set()
        with connection, connection.makefile("rwb", buffering=0) as line:
            time.sleep(max(0.0, self.greets_at_ms / 1_000 - time.time()))  # what it does, and nobody waits for it
            line.write(b"220 at last\r\n")
            while said := line.readline():
                self.heard.append(said[:4])
                line.write(b"250 ok\r\n")


def test_a_message_whose_end_comes_while_its_provider_is_slow_to_greet_ends_without_a_call(
    kafka: Broker, tmp_path: Path
) -> None:
    server = Reluctant()
    changes = {"providers": {"Mail": {"port": server.port}}}
    with plant(kafka.bootstrap, tmp_path, changes=changes, running=("intake", "dispatch")) as works:
        end_ms = time.time_ns() // 1_000_000 + END_MS
        server.greets_at_ms = end_ms + 500
        works.ask([message(fresh("late"), to="someone@example.com", end_at_ms=end_ms)])
        ledgers = works.drained(within_s=30)

    (event,) = ledgers.delivery
    assert server.met.is_set()
    assert (event.status, event.reason, event.attempt) == (Status.EXPIRED, Reason.PAST_END, 0)
    assert b"EHLO" in server.heard
    assert b"MAIL" not in server.heard
