"""Whose certificates are trusted: the system's authorities and those of `ca_file`, by every adapter."""

from __future__ import annotations

import asyncio
import ssl
from typing import TYPE_CHECKING

import pytest

from processor.core.outcome import Accepted
from tests.providers.rogue import says
from tests.providers.twins import http_config, opened, sandbox_at, smpp_config, smtp_config, submission
from tests.support.certificates import certificate

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable
    from pathlib import Path

    from processor.core.outcome import Outcome
    from processor.providers.catalogue import AdapterConfig


async def accepts(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    await reader.readuntil(b"\r\n\r\n")
    writer.write(b"HTTP/1.1 202 ok\r\nContent-Length: 0\r\n\r\n")
    await writer.drain()
    await reader.read()
    writer.close()


async def sent(config: AdapterConfig, to: str = "ann@example.org") -> Outcome:
    async with opened(config) as adapter:
        (outcome,) = await adapter.send([submission(to)])
    return outcome


async def to_service(pem: Path, ca_file: str) -> Outcome:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(pem)
    server = await asyncio.start_server(accepts, "127.0.0.1", 0, ssl=context)
    async with server:
        port = server.sockets[0].getsockname()[1]
        return await sent(http_config(f"https://127.0.0.1:{port}/", ca_file=ca_file))


async def to_mail_server(pem: Path, ca_file: str) -> Outcome:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(pem)
    server = await asyncio.start_server(says([]), "127.0.0.1", 0, ssl=context)
    async with server:
        port = server.sockets[0].getsockname()[1]
        return await sent(smtp_config(port, tls="implicit", ca_file=ca_file))


async def to_centre(pem: Path, ca_file: str) -> Outcome:
    async with sandbox_at(pem.parent, tls_certificate=pem, smsc_tls=True) as sandbox:
        return await sent(smpp_config(sandbox.smsc_port, tls="implicit", ca_file=ca_file), "+40722000111")


@pytest.mark.parametrize("call", [to_service, to_mail_server, to_centre])
@pytest.mark.parametrize("is_of_the_system", [True, False])
async def test_the_systems_authorities_are_trusted_beside_those_of_ca_file(
    call: Callable[[Path, str], Awaitable[Outcome]],
    is_of_the_system: bool,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    pem, other = certificate(tmp_path), certificate(tmp_path, host="127.0.0.9")
    system, further = (pem, other) if is_of_the_system else (other, pem)
    monkeypatch.setenv("SSL_CERT_FILE", str(system))  # where OpenSSL looks for the system's

    assert isinstance(await call(pem, str(further)), Accepted)
