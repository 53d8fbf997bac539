"""A detour does to connections what a drill says, and nothing else."""

from __future__ import annotations

import gc
import socket
import threading
import time
from contextlib import suppress
from functools import partial
from random import Random
from typing import TYPE_CHECKING

import pytest

from chaos.detour import SEVERED_BYTES_MAX, Detour, Detours

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator


@pytest.fixture
def echoing() -> Iterator[int]:
    """The port of a server that says back what it hears."""
    server = socket.create_server(("127.0.0.1", 0))

    def echo(line: socket.socket) -> None:
        with line, suppress(ConnectionError):  # reset while it reads, or while it writes
            while heard := line.recv(1_024):
                line.sendall(heard)

    def serve() -> None:
        while True:
            try:
                line, _ = server.accept()
            except OSError:
                return
            threading.Thread(target=echo, args=(line,), daemon=True).start()

    threading.Thread(target=serve, daemon=True).start()
    yield server.getsockname()[1]
    server.shutdown(socket.SHUT_RDWR)
    server.close()


@pytest.fixture
def detour(echoing: int) -> Iterator[Detour]:
    thread = Detours()
    yield thread.lead(echoing)
    thread.close()


def line_to(detour: Detour) -> socket.socket:
    return socket.create_connection(("127.0.0.1", detour.port), timeout=5)


def said_back(line: socket.socket) -> bytes:
    line.sendall(b"ping")
    return line.recv(4)


def test_it_leads_on_and_tells_both_ends_of_a_close(detour: Detour) -> None:
    with line_to(detour) as line:
        assert said_back(line) == b"ping"
        line.shutdown(socket.SHUT_WR)
        assert line.recv(1) == b""


def test_a_stall_answers_nobody_and_afterwards_everything_arrives(detour: Detour) -> None:
    with line_to(detour) as line:
        assert said_back(line) == b"ping"
        detour.stall()
        line.settimeout(0.3)
        with pytest.raises(TimeoutError):
            said_back(line)
        with line_to(detour) as new:
            new.settimeout(0.3)
            with pytest.raises(TimeoutError):
                said_back(new)
        detour.accept()
        line.settimeout(5)
        assert line.recv(4) == b"ping"


def test_a_cut_resets_what_is_open_and_a_refusal_takes_nobody(detour: Detour) -> None:
    with line_to(detour) as line:
        assert said_back(line) == b"ping"
        detour.cut()
        with pytest.raises(ConnectionResetError):
            line.recv(1)
    with line_to(detour) as line:
        assert said_back(line) == b"ping"
        detour.refuse()
        with pytest.raises(ConnectionResetError):
            line.recv(1)
    with pytest.raises(ConnectionRefusedError):
        line_to(detour)
    detour.accept()
    with line_to(detour) as line:
        assert said_back(line) == b"ping"


def test_a_refusal_amid_newcomers_leaves_no_connection_that_nobody_closes(detour: Detour) -> None:
    over = threading.Event()

    def come() -> None:
        while not over.is_set():
            lines = [socket.socket() for _ in range(20)]
            for line in lines:
                line.setblocking(False)
                line.connect_ex(("127.0.0.1", detour.port))
            for line in lines:
                line.close()

    newcomers = threading.Thread(target=come)
    newcomers.start()
    try:
        for _ in range(50):
            detour.refuse()
            detour.accept()
    finally:
        over.set()
        newcomers.join()
    gc.collect()  # what nobody closed warns, which fails the test


def test_connections_that_are_to_be_severed_end_after_a_number_of_bytes_that_differs(detour: Detour) -> None:
    detour.sever(Random(7))
    heard = []
    for _ in range(8):
        with line_to(detour) as line, suppress(ConnectionError):
            said = 0
            while line.send(b"ping") and (part := line.recv(4)):
                said += len(part)
        heard.append(said)

    assert len(set(heard)) > 4
    assert max(heard) < SEVERED_BYTES_MAX
    detour.accept()
    with line_to(detour) as line:
        for _ in range(SEVERED_BYTES_MAX // 4):
            assert said_back(line) == b"ping"


def test_a_delay_takes_its_time_each_way(detour: Detour) -> None:
    with line_to(detour) as line:
        assert said_back(line) == b"ping"
        detour.delay(0.2)
        began_s = time.monotonic()
        assert said_back(line) == b"ping"
        assert time.monotonic() - began_s >= 0.4


def test_it_counts_what_it_has_held_delayed_severed_and_reset(detour: Detour) -> None:
    def more(change: Callable[[], object], then: Callable[[], object]) -> int:
        before = detour.touched
        change()
        with suppress(OSError):
            then()
        touched = detour.touched - before
        detour.accept()
        return touched

    with line_to(detour) as line:
        assert said_back(line) == b"ping"
        assert detour.touched == 0
        assert more(partial(detour.delay, 0.01), partial(said_back, line)) > 0
        line.settimeout(0.3)
        assert more(detour.stall, partial(said_back, line)) > 0
        line.settimeout(5)
        assert line.recv(4) == b"ping"
        assert more(detour.cut, lambda: None) > 0
    with line_to(detour) as line:
        assert said_back(line) == b"ping"
        assert more(detour.refuse, lambda: None) > 0
    assert more(detour.refuse, lambda: None) == 0, "there was nobody"
