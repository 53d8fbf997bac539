"""Attachments by reference: fetched from allowed places only, judged, and sent as their content."""

from __future__ import annotations

import asyncio
import os
import ssl
from base64 import b64encode
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from hashlib import sha256
from ipaddress import ip_address
from typing import TYPE_CHECKING, Any

import pytest
from aiohttp import web

from processor.core.message import Attachment
from processor.core.outcome import Accepted, Deferred, Outcome, Rejected, Stage
from processor.core.words import Reason
from processor.providers.attachments.adapter import WithAttachments
from processor.providers.attachments.config import AttachmentsConfig
from processor.providers.attachments.remote import is_reachable
from processor.providers.catalogue import open_adapter
from tests.providers.hosted import Hosted, Reply, hosted
from tests.providers.twins import NOW_MS, http_config, listening, sandbox_at, smtp_config, submission
from tests.support.certificate import local_certificate

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from contextlib import AbstractAsyncContextManager
    from pathlib import Path

    from processor.providers.adapter import Adapter

REFUSED = Rejected(Reason.ATTACHMENT_REFUSED, stage=Stage.CONNECT, field_name="attachments")
MISSING = Deferred(Reason.ATTACHMENT_MISSING, stage=Stage.CONNECT)
PDF = b"%PDF-1.7 canary"


def attached(url: str, **more: Any) -> Attachment:
    return Attachment(**{"file_name": "report.pdf", "content_type": "application/pdf", "url": url} | more)


def by_value(content: bytes, **more: Any) -> Attachment:
    return Attachment(**{"file_name": "report.pdf", "content_type": "application/pdf", "content": content} | more)


@dataclass
class Desk:
    """An adapter with attachments before it, and the service that it sends to."""

    adapter: Adapter
    service: Hosted

    async def send(self, *attachments: Attachment) -> Outcome:
        (outcome,) = await self.adapter.send([submission("ann@example.org", attachments=attachments)])
        return outcome

    @property
    def sent(self) -> list[list[str]]:
        return [[item["content"] for item in asked.content.get("attachments", [])] for asked in self.service.asked]


@asynccontextmanager
async def desk(**settings: Any) -> AsyncIterator[Desk]:
    async with hosted(Reply(202)) as service:
        config = http_config(f"{service.url}/", body={"to": "{{ to }}", "attachments": "{{ attachments }}"})
        adapter = WithAttachments(
            open_adapter("http", config, now_ms=lambda: NOW_MS), AttachmentsConfig(**{"timeout_ms": 5_000} | settings)
        )
        try:
            yield Desk(adapter, service)
        finally:
            await adapter.close()
            await adapter.close()


@dataclass
class Files:
    """A TLS server with files, on this machine."""

    port: int = 0
    asked: list[str] = field(default_factory=list)
    never: asyncio.Event = field(default_factory=asyncio.Event)

    def at(self, path: str, host: str = "127.0.0.1") -> str:
        return f"https://{host}:{self.port}{path}"

    async def serve(self, request: web.Request) -> web.StreamResponse:
        self.asked.append(request.path)
        match request.path:
            case "/report.pdf":
                return web.Response(body=PDF)
            case "/large":
                return web.Response(body=b"x" * 3_000)
            case "/endless":
                response = web.StreamResponse()
                await response.prepare(request)
                while True:
                    await response.write(b"x" * 65_536)
            case "/packed":
                return web.Response(body=PDF, headers={"Content-Encoding": "gzip"})
            case "/redirect":
                return web.Response(status=302, headers={"Location": "https://169.254.169.254/"})
            case "/mute":
                await self.never.wait()
            case "/cut":
                response = web.StreamResponse(headers={"Content-Length": "100"})
                await response.prepare(request)
                await response.write(b"x")
                if request.transport is not None:
                    request.transport.abort()
                return response
            case _:
                pass
        return web.Response(status=404)


def desk_for(files: Files, pem: Path, **settings: Any) -> AbstractAsyncContextManager[Desk]:
    return desk(loopback_hosts=(f"127.0.0.1:{files.port}",), ca_file=str(pem), **settings)


@pytest.fixture(scope="module")
def pem(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return local_certificate(tmp_path_factory.mktemp("certificate"))


@asynccontextmanager
async def serving(pem: Path) -> AsyncIterator[Files]:
    files = Files()
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(pem)
    app = web.Application()
    app.router.add_get("/{path:.*}", files.serve)
    runner = web.AppRunner(app, access_log=None, handle_signals=False, shutdown_timeout=0.1)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0, ssl_context=context).start()
    files.port = runner.addresses[0][1]
    try:
        yield files
    finally:
        files.never.set()
        await runner.cleanup()


# Files.


@pytest.fixture
def root(tmp_path: Path) -> Path:
    (tmp_path / "secret").write_bytes(b"canary")
    root = tmp_path / "root"
    (root / "below").mkdir(parents=True)
    (root / "report.pdf").write_bytes(PDF)
    (root / "a b.pdf").write_bytes(PDF)
    (root / "inside").symlink_to(root / "report.pdf")
    (root / "outside").symlink_to(tmp_path / "secret")
    (root / "folder-outside").symlink_to(tmp_path)
    (root / "ring").symlink_to(root / "ring")
    os.mkfifo(root / "pipe")
    return root


@pytest.mark.parametrize("name", ["report.pdf", "a%20b.pdf", "inside", "below/../report.pdf"])
async def test_a_file_below_a_root_is_sent_as_its_content(root: Path, name: str) -> None:
    async with desk(file_roots=(str(root),)) as at:
        assert await at.send(attached(f"file://{root}/{name}")) == Accepted(code="202")

        assert at.sent == [[b64encode(PDF).decode()]]


@pytest.mark.parametrize(
    "url",
    [
        "file://{root}/../secret",
        "file://{root}/%2e%2e/secret",
        "file://{root}/..%2fsecret",
        "file://{root}/outside",
        "file://{root}/folder-outside/secret",
        "file://{root}/ring",
        "file://{root}/pipe",
        "file://{root}/below",
        "file://{root}",
        "file://{root}/report.pdf?x",
        "file://{root}/report.pdf#x",
        "file://{root}/report.pdf%00",
        "file://elsewhere{root}/report.pdf",
        "file:report.pdf",
        "file:///etc/passwd",
        "file:///proc/self/environ",
        "file:///nowhere/at/all",
        "file://[",
    ],
)
async def test_what_is_no_plain_file_below_a_root_is_refused(root: Path, url: str) -> None:
    async with desk(file_roots=(str(root),)) as at:
        assert await at.send(attached(url.format(root=root))) == REFUSED

        assert not at.service.asked


async def test_a_file_that_is_not_there_is_missing(root: Path) -> None:
    async with desk(file_roots=(str(root),)) as at:
        assert await at.send(attached(f"file://{root}/later.pdf")) == MISSING


async def test_without_roots_and_hosts_every_reference_is_refused(root: Path) -> None:
    async with desk() as at:
        for url in (f"file://{root}/report.pdf", "https://example.com/", "http://example.com/", "data:,x", "", "x"):
            assert await at.send(attached(url)) == REFUSED


# Servers.


async def test_what_a_listed_server_has_is_sent_and_fetched_once_for_each_attempt(pem: Path) -> None:
    async with serving(pem) as files, desk_for(files, pem) as at:
        for _ in range(2):
            assert await at.send(attached(files.at("/report.pdf")), by_value(b"%PDF")) == Accepted(code="202")

        assert files.asked == ["/report.pdf"] * 2
        assert at.sent == [[b64encode(PDF).decode(), b64encode(b"%PDF").decode()]] * 2


@pytest.mark.parametrize("path", ["/missing", "/cut", "/mute"])
async def test_what_a_server_does_not_give_now_is_missing(pem: Path, path: str) -> None:
    timeout_ms = 200 if path == "/mute" else 5_000
    async with serving(pem) as files, desk_for(files, pem, timeout_ms=timeout_ms) as at:
        assert await at.send(attached(files.at(path))) == MISSING
        assert not at.service.asked


async def test_a_server_that_cannot_be_reached_or_believed_is_missing(pem: Path) -> None:
    async with serving(pem) as files:
        place = f"127.0.0.1:{files.port}"
        async with desk(loopback_hosts=(place,)) as at:  # its authority is not trusted
            assert await at.send(attached(files.at("/report.pdf"))) == MISSING
    async with desk(loopback_hosts=(place,), ca_file=str(pem)) as at:  # nobody listens any more
        assert await at.send(attached(files.at("/report.pdf"))) == MISSING
    async with desk(hosts=("nowhere.invalid",)) as at:
        assert await at.send(attached("https://nowhere.invalid/x")) == MISSING


async def test_a_server_of_the_systems_authorities_is_believed_beside_those_of_ca_file(
    pem: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SSL_CERT_FILE", str(pem))  # where OpenSSL looks for the system's
    async with serving(pem) as files, desk_for(files, local_certificate(tmp_path)) as at:
        assert isinstance(await at.send(attached(files.at("/report.pdf"))), Accepted)


@pytest.mark.parametrize("path", ["/redirect", "/packed", "/large", "/endless"])
async def test_a_redirect_a_packed_and_a_long_answer_are_refused(pem: Path, path: str) -> None:
    async with serving(pem) as files, desk_for(files, pem, bytes_max=2_000) as at:
        assert await at.send(attached(files.at(path))) == REFUSED
        assert files.asked == [path]


async def test_a_place_that_messages_may_not_name_sees_no_connection() -> None:
    connections: list[object] = []

    async def count(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        connections.append(writer)

    async with listening(count) as port:
        listed = (f"127.0.0.1:{port}", f"localhost:{port}", f"[::1]:{port}", "169.254.169.254", "10.0.0.1")
        async with desk(hosts=(*listed, "files.example.com")) as at:
            for url in (
                f"https://127.0.0.1:{port}/",  # listed, and yet this machine
                f"https://localhost:{port}/",  # a name that stands for it
                f"https://LOCALHOST:{port}/",
                f"https://127.1:{port}/",
                f"https://2130706433:{port}/",
                f"https://0x7f000001:{port}/",
                f"https://[::1]:{port}/",
                f"https://[::ffff:127.0.0.1]:{port}/",
                f"https://files.example.com@127.0.0.1:{port}/",
                f"https://user:word@files.example.com:{port}/",
                f"https://files.example.com:{port}/",  # another port
                f"https://127.0.0.1:{port}\\@files.example.com/",
                f"http://127.0.0.1:{port}/",
                f"HTTP://localhost:{port}/",
                "https://169.254.169.254/latest/meta-data/",
                "https://10.0.0.1/",
                "https://files.example.com.:443/",
                "https://other.example.com/",
                "https://",
                "https://[",
                "https:///x",
                "https://files.example.com:99999/",
            ):
                assert await at.send(attached(url)) == REFUSED, url
            assert not at.service.asked
    assert not connections


@pytest.mark.parametrize(
    "address",
    [
        "0.0.0.0",
        "10.1.2.3",
        "100.64.0.1",
        "127.0.0.1",
        "169.254.169.254",
        "172.16.0.1",
        "192.168.1.1",
        "198.18.0.1",
        "224.0.0.1",
        "240.0.0.1",
        "255.255.255.255",
        "::",
        "::1",
        "::7f00:1",
        "::ffff:10.0.0.1",
        "64:ff9b::a00:1",
        "64:ff9b:1::1",
        "2001:0:1::1",
        "2002:a00:1::",
        "fc00::1",
        "fe80::1",
        "ff02::1",
    ],
)
def test_an_address_that_is_not_public_is_not_reached(address: str) -> None:
    assert not is_reachable(ip_address(address), loopback=False)


@pytest.mark.parametrize("address", ["93.184.215.14", "8.8.8.8", "2606:2800:21f:cb07:6820:80da:af6b:8b2c"])
def test_a_public_address_is_reached(address: str) -> None:
    assert is_reachable(ip_address(address), loopback=False)


# Judgement.


@pytest.mark.parametrize("attachment", [by_value(PDF), attached("file://{root}/report.pdf")])
@pytest.mark.parametrize(
    ("settings", "more"),
    [
        ({"bytes_max": len(PDF) - 1}, {}),
        ({"total_bytes_max": len(PDF) - 1}, {}),
        ({"count_max": 0}, {}),
        ({"content_types": ("image/*", "application/pd")}, {}),
        ({}, {"content_type": "text/html"}),
        ({}, {"content_type": "application/x-msdownload"}),
        ({}, {"sha256": "0" * 64}),
    ],
)
async def test_what_is_too_large_too_many_of_a_wrong_type_or_changed_is_refused(
    root: Path, attachment: Attachment, settings: dict[str, Any], more: dict[str, Any]
) -> None:
    members = {name: getattr(attachment, name) for name in ("file_name", "content_type", "content", "url", "sha256")}
    url = (attachment.url or "").format(root=root) or None

    async with desk(file_roots=(str(root),), **settings) as at:
        assert await at.send(Attachment(**members | {"url": url} | more)) == REFUSED

        assert not at.service.asked


async def test_the_checksum_that_is_given_is_that_of_the_content(root: Path) -> None:
    digest = sha256(PDF).hexdigest()
    async with desk(file_roots=(str(root),)) as at:
        for given in (digest, digest.upper()):
            assert await at.send(attached(f"file://{root}/report.pdf", sha256=given)) == Accepted(code="202")


async def test_the_bytes_of_all_attachments_of_a_message_are_bounded_together(root: Path) -> None:
    file = attached(f"file://{root}/report.pdf")
    async with desk(file_roots=(str(root),), total_bytes_max=2 * len(PDF)) as at:
        assert await at.send(file, by_value(PDF)) == Accepted(code="202")
        assert await at.send(file, file, by_value(b"x")) == REFUSED
        assert await at.send(file, file, file) == REFUSED


async def test_one_message_of_a_batch_does_not_keep_the_others(root: Path) -> None:
    batch = [
        submission("ann@example.org"),
        submission("bob@example.org", attachments=(attached(f"file://{root}/outside"),)),
        submission("eve@example.org", attachments=(attached(f"file://{root}/report.pdf"),)),
        submission("max@example.org", attachments=(attached(f"file://{root}/later"),)),
    ]
    async with desk(file_roots=(str(root),)) as at:
        assert await at.adapter.send(batch) == [Accepted(code="202"), REFUSED, Accepted(code="202"), MISSING]

        assert [asked.content["to"] for asked in at.service.asked] == ["ann@example.org", "eve@example.org"]


async def test_a_mail_server_gets_the_content_too(root: Path, tmp_path: Path) -> None:
    async with sandbox_at(tmp_path) as sandbox:
        adapter = WithAttachments(
            open_adapter("smtp", smtp_config(sandbox.smtp_port)), AttachmentsConfig(file_roots=(str(root),))
        )
        mail = submission("ann@example.org", attachments=(attached(f"file://{root}/report.pdf"),))
        (outcome,) = await adapter.send([mail])
        await adapter.close()

    assert isinstance(outcome, Accepted)


def test_nothing_of_a_reference_is_in_a_repr() -> None:
    assert "canary" not in repr(attached("https://files.example.com/canary", file_name="canary.pdf"))
