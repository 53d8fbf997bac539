"""A Kafka that cannot show who it is gets no word in plain text, and the command says that it does not answer."""

from __future__ import annotations

import contextlib
import socket
import ssl
import threading
from typing import TYPE_CHECKING

import pytest

from tests.cli.command import commproc
from tests.support.certificate import local_certificate

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

PASSWORD = "canary-password-3030"
CLIENT_HELLO = b"\x16\x03"  # a TLS record of the kind handshake, RFC 8446 §5.1
CONFIG = """
environment: production
kafka:
  bootstrap: 127.0.0.1:{port}
  security_protocol: SASL_SSL
  sasl_username: canary-user-3031
  sasl_password: {{ env: KAFKA_PASSWORD }}
  ssl_ca_file: {ca}
channels:
  Email: {{action: EMAIL, bus_channel: EMAIL, bus_provider: Bus, provider: Gateway}}
providers:
  Gateway:
    adapter: smtp
    bus_provider: Bus
    bus_channel: EMAIL
    host: mail.example.com
    from_address: noreply@example.com
"""


class Listener:
    """Takes connections, and keeps what the other side sends; with *tls*, after a handshake."""

    def __init__(self, tls: ssl.SSLContext | None) -> None:
        self.heard: list[bytes] = []
        self._tls = tls
        self._server = socket.create_server(("127.0.0.1", 0))
        self.port = int(self._server.getsockname()[1])
        self._thread = threading.Thread(target=self._listen, daemon=True)
        self._thread.start()

    def _listen(self) -> None:
        with contextlib.suppress(OSError):  # it was closed
            while True:
                connection, _ = self._server.accept()
                with contextlib.suppress(OSError), connection:
                    self._hear(connection)

    def _hear(self, connection: socket.socket) -> None:
        connection.settimeout(5)
        if self._tls is None:
            self.heard.append(connection.recv(4_096))
            return
        with self._tls.wrap_socket(connection, server_side=True) as encrypted:
            self.heard.append(encrypted.recv(4_096))

    def close(self) -> None:
        self._server.close()


@pytest.fixture
def ca(tmp_path: Path) -> Path:
    """The only authority that is trusted."""
    (tmp_path / "trusted").mkdir()
    return local_certificate(tmp_path / "trusted")


def checked(tmp_path: Path, ca: Path, tls: ssl.SSLContext | None, told: str = "does not answer") -> Iterator[bytes]:
    listener = Listener(tls)
    config = tmp_path / "commproc.yaml"
    config.write_text(CONFIG.format(port=listener.port, ca=ca))

    ran = commproc("topics", "check", config=config, environ={"KAFKA_PASSWORD": PASSWORD})
    listener.close()

    assert ran.code == 1
    assert f"Kafka at 127.0.0.1:{listener.port} {told}" in ran.err
    assert "canary" not in ran.out + ran.err
    yield from listener.heard


def test_a_server_that_speaks_no_tls_hears_a_handshake_and_nothing_else(tmp_path: Path, ca: Path) -> None:
    heard = list(checked(tmp_path, ca, None))

    assert heard
    assert {each[:2] for each in heard} == {CLIENT_HELLO}
    assert not [each for each in heard if b"canary" in each]


def test_a_certificate_of_another_authority_hears_nothing(tmp_path: Path, ca: Path) -> None:
    (tmp_path / "other").mkdir()
    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    tls.load_cert_chain(local_certificate(tmp_path / "other"))

    heard = checked(tmp_path, ca, tls, "and we have no TLS that both trust (_SSL)")

    assert [each for each in heard if each] == []


def test_a_certificate_of_the_trusted_authority_is_spoken_to(tmp_path: Path, ca: Path) -> None:
    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    tls.load_cert_chain(ca)

    assert [each for each in checked(tmp_path, ca, tls) if each]
