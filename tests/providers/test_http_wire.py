"""Answers out of bytes, and the connections that carry them."""

from __future__ import annotations

import asyncio
import http.client
import io
import ssl
import weakref
from typing import TYPE_CHECKING, Any, cast

import pytest
import uvloop
from hypothesis import example, given
from hypothesis import strategies as st

from processor.core.outcome import Accepted, Deferred, Outcome, Rejected, Stage, Unknown
from processor.core.words import Reason
from processor.providers.http.reading import HEAD_BYTES_MAX, Answer, Malformed, Reading
from tests.providers.twins import http_config, listening, opened, submission
from tests.support.certificate import local_certificate
from tests.support.eventually import eventually_async

if TYPE_CHECKING:
    import socket
    from collections.abc import Awaitable, Callable, Sequence
    from pathlib import Path

BYTES_MAX = 1_000
OK = b"HTTP/1.1 202 ok\r\n"
EMPTY = OK + b"Content-Length: 0\r\n\r\n"


def read(raw: bytes, *, cuts: Sequence[int] = ()) -> tuple[Answer | None, bool]:
    """What *raw*, cut at *cuts* and then ended, is read as; and whether the connection can go on."""
    reading = Reading(BYTES_MAX)
    places = sorted({min(cut, len(raw)) for cut in cuts})
    for start, end in zip([0, *places], [*places, len(raw)], strict=True):
        answer = reading.fed(raw[start:end])
        if answer is not None:
            return answer, not reading.is_last
    return reading.ended(), False


class Said(io.BytesIO):
    """Bytes as the standard library's client wants them."""

    def makefile(self, *_: Any) -> Said:
        return self


def standard(raw: bytes) -> tuple[int, dict[str, str], bytes]:
    """What the standard library's own client reads."""
    response = http.client.HTTPResponse(cast("socket.socket", Said(raw)), method="POST")
    response.begin()
    return response.status, {name.lower(): value for name, value in response.getheaders()}, response.read()


VALUES = st.text(st.characters(min_codepoint=0x21, max_codepoint=0x7E), max_size=9)
HEADERS = st.dictionaries(st.sampled_from(["X-A", "x-b", "Retry-After", "Server"]), VALUES)
BODIES = st.lists(st.binary(min_size=1, max_size=60), max_size=5)
CUTS = st.lists(st.integers(0, 400), max_size=6)


@given(
    status=st.sampled_from([200, 202, 204, 400, 429, 503]),
    headers=HEADERS,
    parts=BODIES,
    framing=st.sampled_from(["length", "chunks", "end"]),
    interim=st.booleans(),
    cuts=CUTS,
)
@example(status=200, headers={}, parts=[b"0\r\n\r\n"], framing="chunks", interim=True, cuts=[26, 27, 70])
def test_an_answer_is_what_another_client_reads_however_it_is_cut(
    status: int, headers: dict[str, str], parts: list[bytes], framing: str, interim: bool, cuts: list[int]
) -> None:
    lines = [f"{name}: {value}" for name, value in headers.items()]
    body = b"".join(parts)
    if framing == "length" or status == 204:
        body = b"" if status == 204 else body
        lines.append(f"Content-Length: {len(body)}")
    elif framing == "chunks":
        lines.append("Transfer-Encoding: chunked")
        body = b"".join(b"%X;x=y\r\n%b\r\n" % (len(part), part) for part in parts) + b"0\r\nTrailer: x\r\n\r\n"
    head = "".join(f"{line}\r\n" for line in (f"HTTP/1.1 {status} a reason", *lines, "")).encode()
    raw = (b"HTTP/1.1 100 go on\r\n\r\n" if interim else b"") + head + body

    answer, goes_on = read(raw, cuts=cuts)

    assert answer is not None
    assert (answer.status, answer.headers, answer.body) == standard(raw)
    assert all(answer.header(name) == value for name, value in headers.items())
    assert goes_on == (framing != "end" or status == 204)


@pytest.mark.parametrize(
    ("raw", "body", "goes_on"),
    [
        (EMPTY, b"", True),
        (EMPTY + b"\r\n", b"", True),
        (b"HTTP/1.1 202\r\nContent-Length: 2 \r\n\r\n{}", b"{}", True),
        (OK + b"Content-Length: 2\r\nConnection: close\r\n\r\n{}", b"{}", False),
        (OK + b"Content-Length: 2\r\nX: 1\r\nconnection: x, Close\r\n\r\n{}", b"{}", False),
        (b"HTTP/1.0 202 ok\r\nContent-Length: 2\r\n\r\n{}", b"{}", False),
        (b"HTTP/1.0 202 ok\r\nContent-Length: 2\r\nConnection: keep-alive\r\n\r\n{}", b"{}", True),
        (OK + b"Content-Length: 2\r\n\r\n{}HTTP/1.1 200", b"{}", False),
        (OK + b"Content-Length: 2\r\nUpgrade: h2c\r\nConnection: Upgrade\r\n\r\n{}", b"{}", True),
        (OK + b"Transfer-Encoding: chunked\r\n\r\n0\r\n\r\nHTTP/1.1 200", b"", False),
        (OK + b"Transfer-Encoding: gzip\r\n\r\nxx", b"xx", False),
        # Of these the status counts, and no more.
        (OK + b"Content-Length: 3\r\n\r\n{}", None, False),
        (OK + b"Content-Length: 1001\r\n\r\n", None, False),
        (OK + b"\r\n" + b"x" * 1_001, None, False),
        (OK + b"Transfer-Encoding: chunked\r\n\r\nzz\r\n{}\r\n0\r\n\r\n", None, False),
        (OK + b"Transfer-Encoding: chunked\r\n\r\n2\r\n{}xx0\r\n\r\n", None, False),
        (OK + b"Transfer-Encoding: chunked\r\n\r\n3e9\r\n", None, False),
        (OK + b"Transfer-Encoding: chunked\r\n\r\n" + b"1\r\nx\r\n" * 1_001 + b"0\r\n\r\n", None, False),
        (OK + b"Transfer-Encoding: chunked\r\n\r\n" + b"0" * 5_000, None, False),
        (OK + b"Transfer-Encoding: chunked\r\n\r\n0\r\n" + b"x: y\r\n" * 20_000, None, False),
        (OK + b"Transfer-Encoding: chunked\r\n\r\n2\r\n{}", None, False),
    ],
)
def test_a_body_is_whole_and_within_its_bound_or_none_at_all(raw: bytes, body: bytes | None, goes_on: bool) -> None:
    for cuts in ((), range(1, min(len(raw), 200))):
        answer, could_go_on = read(raw, cuts=cuts)
        assert answer is not None
        assert (answer.status, answer.body) == (202, body)
        if not cuts:
            assert could_go_on == goes_on


@pytest.mark.parametrize(
    "raw",
    [
        b"\x00\x01\r\n\r\n",
        b"HTTP/1.1 banana\r\n\r\n",
        b"HTTP/2 200 ok\r\n\r\n",
        b"HTTP/1.1 202\nContent-Length: 2\n\n{}",
        b"HTTP/1.1 2000 ok\r\n\r\n",
        OK + b"no colon\r\n\r\n",
        OK + b"X Y: 1\r\n\r\n",
        OK + b"X : 1\r\n\r\n",
        OK + b"X: \x00\r\n\r\n",
        OK + b"X: a\rb\r\n\r\n",
        OK + b"X: a\r\n  b\r\nContent-Length: 0\r\n\r\n",
        OK + b"Content-Length: 2\r\nContent-Length: 3\r\n\r\n{}",
        OK + b"Content-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\n2\r\n{}\r\n0\r\n\r\n",
        OK + b"Transfer-Encoding: chunked\r\nContent-Length: 2\r\n\r\n2\r\n{}\r\n0\r\n\r\n",
        OK + b"Content-Length: -2\r\n\r\n{}",
        OK + b"Content-Length: \xb2\r\n\r\n{}",
        OK + b"X: " + b"x" * HEAD_BYTES_MAX,
        OK + b"X: " + b"x" * HEAD_BYTES_MAX + b"\r\nContent-Length: 0\r\n\r\n",
        b"HTTP/1.1 102 wait\r\n\r\n" * 4_000 + EMPTY,
        b"HTTP/1.1 102 wait\r\nContent-Length: 2\r\n\r\n{}" + EMPTY,
    ],
)
def test_what_is_no_answer_is_told(raw: bytes) -> None:
    for cuts in ((), range(1, min(len(raw), 200))):
        with pytest.raises(Malformed):
            read(raw, cuts=cuts)


@pytest.mark.parametrize("upgrade", [b"", b"Upgrade: x\r\nConnection: upgrade\r\n"])
@pytest.mark.parametrize("more", [b"", b"\x00\x01", EMPTY])
def test_a_connection_that_switches_protocols_carries_no_other_call(upgrade: bytes, more: bytes) -> None:
    answer, goes_on = read(b"HTTP/1.1 101 now\r\n" + upgrade + b"\r\n" + more)

    assert answer is not None
    assert (answer.status, answer.body, goes_on) == (101, b"", False)


def test_of_fields_with_one_name_the_first_counts_and_trailers_do_not() -> None:
    head = OK + b"Retry-After: 1\r\nretry-after: 2 \r\nTransfer-Encoding: chunked\r\n\r\n"
    answer, _ = read(head + b"0\r\nRetry-After: 3\r\nX: 4\r\n\r\n")

    assert answer is not None
    assert (answer.header("Retry-After"), answer.header("X")) == ("1", None)


@pytest.mark.parametrize("endless", [b"0", b"0\r\nX: y", b"1;x"])
def test_what_never_becomes_a_body_is_not_read_for_ever(endless: bytes) -> None:
    reading = Reading(BYTES_MAX)
    assert reading.fed(OK + b"Transfer-Encoding: chunked\r\n\r\n" + endless) is None

    assert reading.fed(endless[-1:] * HEAD_BYTES_MAX) == Answer(202, {"transfer-encoding": "chunked"}, None)
    assert reading.is_last


def test_a_reading_that_is_done_is_freed_without_the_collector() -> None:
    reading = Reading(BYTES_MAX)
    left = weakref.ref(reading)
    assert reading.fed(EMPTY) is not None

    del reading

    assert left() is None


def test_many_interim_answers_come_before_the_answer() -> None:
    answer, _ = read(b"HTTP/1.1 102 wait\r\n\r\n" * 3_000 + EMPTY)

    assert answer is not None
    assert answer.status == 202


# Connections.


class Service:
    """Answers each request with what it was told, on connections that it counts."""

    def __init__(self, *answers: bytes) -> None:
        self.answers = list(answers)  # the last one is repeated; an empty one cuts the line
        self.connections = 0
        self.asked: list[bytes] = []

    async def __call__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        while True:
            head = await reader.readuntil(b"\r\n\r\n")
            length = next(int(line[16:]) for line in head.split(b"\r\n") if line.startswith(b"Content-Length: "))
            await reader.readexactly(length)
            self.asked.append(head)
            answer = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
            writer.write(answer)
            await writer.drain()
            if not answer:
                return


async def outcomes_of(service: Callable[..., Awaitable[None]], calls: int, **settings: Any) -> list[Outcome]:
    async with listening(service) as port, opened(http_config(f"http://127.0.0.1:{port}/x", **settings)) as adapter:
        return [(await adapter.send([submission("ann@example.org")]))[0] for _ in range(calls)]


async def test_calls_one_after_the_other_share_a_connection() -> None:
    service = Service(EMPTY)

    assert await outcomes_of(service, 3) == [Accepted(code="202")] * 3
    assert service.connections == 1
    assert service.asked[0].startswith(b"POST /x HTTP/1.1\r\nHost: 127.0.0.1:")


@pytest.mark.parametrize("method", ["POST", "PUT", "PATCH"])
async def test_a_line_that_is_cut_under_a_request_is_unknown_and_the_request_not_repeated(method: str) -> None:
    service = Service(EMPTY, b"")

    first, second = await outcomes_of(service, 2, method=method)

    assert (first, second) == (Accepted(code="202"), Unknown(Reason.ANSWER_MISSING, stage=Stage.HAND_OVER))
    assert len(service.asked) == 2


@pytest.mark.parametrize(
    "answer",
    [
        OK + b"Content-Length: 0\r\nConnection: close\r\n\r\n",
        EMPTY + EMPTY,
        OK + b"Content-Length: 70000\r\n\r\n" + b"x" * 70_000,
        OK + b"Transfer-Encoding: chunked\r\n\r\nzz\r\n",
    ],
)
async def test_a_connection_that_said_its_last_carries_no_other_call(answer: bytes) -> None:
    service = Service(answer)

    assert await outcomes_of(service, 2) == [Accepted(code="202")] * 2
    assert service.connections == 2


async def test_an_idle_connection_is_left_before_the_service_hangs_up() -> None:
    service = Service(EMPTY)

    assert await outcomes_of(service, 2, keep_alive_ms=0) == [Accepted(code="202")] * 2
    assert service.connections == 2


async def test_what_nobody_asked_for_ends_a_connection_and_answers_no_later_call() -> None:
    service, more, left = Service(EMPTY), asyncio.Event(), asyncio.Event()

    async def talkative(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        serving = asyncio.ensure_future(service(reader, writer))
        try:
            await more.wait()
            if not left.is_set():
                writer.write(b"HTTP/1.1 400 for nobody\r\nContent-Length: 0\r\n\r\n")
            await serving
        finally:
            left.set()

    async with listening(talkative) as port, opened(http_config(f"http://127.0.0.1:{port}/")) as adapter:
        first = await adapter.send([submission("ann@example.org")])
        more.set()
        await eventually_async(left.is_set, within_s=5)
        second = await adapter.send([submission("ann@example.org")])

    assert first == second == [Accepted(code="202")]
    assert service.connections == 2


async def test_more_calls_than_connections_wait_for_one() -> None:
    service = Service(EMPTY)
    async with (
        listening(service) as port,
        opened(http_config(f"http://127.0.0.1:{port}/", connections=2)) as adapter,
    ):
        calls = [adapter.send([submission("ann@example.org")]) for _ in range(20)]
        assert await asyncio.gather(*calls) == [[Accepted(code="202")]] * 20

    assert service.connections <= 2


async def test_a_call_that_finds_no_connection_in_time_is_certainly_not_sent() -> None:
    asked = asyncio.Event()

    async def mute(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        asked.set()
        await reader.read()

    async with (
        listening(mute) as port,
        opened(http_config(f"http://127.0.0.1:{port}/", connections=1, connect_timeout_ms=100)) as adapter,
    ):
        first = asyncio.ensure_future(adapter.send([submission("ann@example.org")]))
        await asked.wait()
        (waited,) = await adapter.send([submission("bob@example.org")])
        (mute_one,) = await first

    assert waited == Deferred(Reason.PROVIDER_UNAVAILABLE, stage=Stage.CONNECT)
    assert mute_one == Unknown(Reason.ANSWER_MISSING, stage=Stage.HAND_OVER)


async def test_an_answer_that_comes_before_the_request_is_read_counts() -> None:
    async def hasty(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 413 too large\r\nContent-Length: 0\r\n\r\n")
        await writer.drain()
        await asyncio.Event().wait()

    async with listening(hasty) as port, opened(http_config(f"http://127.0.0.1:{port}/")) as adapter:
        (outcome,) = await adapter.send([submission("ann@example.org", text="x" * 30_000_000)])

    assert outcome == Rejected(Reason.PROVIDER_REJECTED, "413")


async def test_closing_leaves_no_connection_open() -> None:
    left = asyncio.Event()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            await Service(EMPTY)(reader, writer)
        finally:
            left.set()

    async with listening(serve) as port:
        async with opened(http_config(f"http://127.0.0.1:{port}/")) as adapter:
            await adapter.send([submission("ann@example.org")])
            assert not left.is_set()
        await eventually_async(left.is_set, within_s=5)


LARGE = "x" * 30_000_000  # more than the buffers of any two sockets


@pytest.mark.parametrize("runner", [asyncio.run, uvloop.run])
@pytest.mark.parametrize("tls", [False, True])
@pytest.mark.parametrize(
    ("text", "said", "cuts", "outcome"),
    [
        (LARGE, b"", False, Deferred(Reason.CONNECTION_BROKEN, stage=Stage.PREPARE)),
        (LARGE, b"", True, Deferred(Reason.CONNECTION_BROKEN, stage=Stage.PREPARE)),
        (LARGE, b"HTTP/1.1 2", False, Unknown(Reason.ANSWER_MISSING)),  # it is at work on what it has
        ("x", b"", False, Unknown(Reason.ANSWER_MISSING)),
        ("x", b"", True, Unknown(Reason.ANSWER_MISSING)),
    ],
)
def test_a_request_of_which_a_part_never_left_is_certainly_not_sent(
    runner: Callable[..., Any], tmp_path: Path, tls: bool, text: str, said: bytes, cuts: bool, outcome: Outcome
) -> None:
    pem, received = local_certificate(tmp_path), bytearray()
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(pem)
    left = asyncio.Event()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        received.extend(await reader.read(100))
        writer.write(said)
        if not cuts:
            await left.wait()
        writer.transport.abort()

    async def call() -> Outcome:
        server = await asyncio.start_server(serve, "127.0.0.1", 0, ssl=context if tls else None)
        port = server.sockets[0].getsockname()[1]
        config = http_config(f"http{'s' if tls else ''}://127.0.0.1:{port}/", ca_file=str(pem), answer_timeout_ms=300)
        async with opened(config) as adapter:
            (found,) = await adapter.send([submission("ann@example.org", text=text)])
        left.set()
        server.close()
        return found

    assert runner(call()) == outcome
    assert received


@pytest.mark.parametrize("runner", [asyncio.run, uvloop.run])
def test_calls_over_tls_share_a_connection(runner: Callable[..., Any], tmp_path: Path) -> None:
    pem, service = local_certificate(tmp_path), Service(EMPTY)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(pem)

    async def calls() -> list[Outcome]:
        server = await asyncio.start_server(service, "127.0.0.1", 0, ssl=context)
        port = server.sockets[0].getsockname()[1]
        async with server, opened(http_config(f"https://127.0.0.1:{port}/", ca_file=str(pem))) as adapter:
            mails = [submission("ann@example.org", text="x" * size) for size in (10, 2_000_000)]
            return [(await adapter.send([mail]))[0] for mail in mails]

    assert runner(calls()) == [Accepted(code="202")] * 2
    assert service.connections == 1
