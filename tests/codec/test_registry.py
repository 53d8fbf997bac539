"""Registry framing against a real registry, and against servers that answer as one should not."""

from __future__ import annotations

import json
import socket
import threading
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from processor.codec.assembly import open_codecs
from processor.codec.errors import Fault, RefusedSchema, RegistryUnavailable, Unreadable
from processor.codec.framing import Framing, registry_prefix
from processor.codec.registry import ANSWER_BYTES_MAX, Registry
from processor.codec.writers import REFUSAL_S, REMEMBERED_MAX, Readers
from processor.core.message import Head, Message
from tests.codec.wire import HEAD, number, text

if TYPE_CHECKING:
    from collections.abc import Iterator

    from processor.codec.schema import Record
    from processor.sandbox.broker import Registry as Server

MESSAGE = Message(Head("m-1", "Email"), "a@example.org")
OURS = json.loads((Path(__file__).parents[2] / "schemas" / "OutboundMessage" / "v1.avsc").read_text())


@contextmanager
def answering(status: int, body: bytes) -> Iterator[tuple[Registry, list[str]]]:
    """Run a server that gives one answer to everything; also gives the paths it was asked for."""
    asked: list[str] = []

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            asked.append(self.path)
            self.send_response(status)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def do_POST(self) -> None:
            self.rfile.read(int(self.headers["Content-Length"]))
            self.do_GET()

        def log_message(self, *args: Any) -> None:
            """Say nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, args=(0.01,))
    thread.start()
    try:
        yield Registry(f"http://127.0.0.1:{server.server_port}/api"), asked
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def test_messages_and_events_are_framed_with_the_ids_of_a_real_registry(registry: Server) -> None:
    client = Registry(registry.url)
    codecs = open_codecs(registry=client)
    value = codecs.outbound.encode_message(MESSAGE)
    assert value[0] == 0
    assert client.schema(int.from_bytes(value[1:5], "big")) is not None
    assert open_codecs(registry=client).outbound.decode_message(value) == MESSAGE
    assert open_codecs(registry=client).outbound.encode_message(MESSAGE) == value


def test_codecs_are_opened_again_without_a_question(registry: Server) -> None:
    first = open_codecs(registry=Registry(registry.url), framing=Framing.REGISTRY)

    with answering(503, b"") as (away, asked):
        again = open_codecs(registry=away, framing=Framing.REGISTRY, prefixes=first.prefixes)

    assert again.outbound.encode_message(MESSAGE) == first.outbound.encode_message(MESSAGE)
    assert asked == []


def test_both_framings_are_read_whatever_is_written(registry: Server) -> None:
    client = Registry(registry.url)
    framed = open_codecs(registry=client, framing=Framing.REGISTRY).outbound
    single = open_codecs(registry=client, framing=Framing.SINGLE_OBJECT).outbound
    assert framed.decode_message(single.encode_message(MESSAGE)) == MESSAGE
    assert single.decode_message(framed.encode_message(MESSAGE)) == MESSAGE


def test_a_writer_that_adds_fields_in_front_is_read(registry: Server) -> None:
    schema = {**OURS, "fields": [{"name": "trace", "type": ["null", "string"]}, *OURS["fields"]]}
    client = Registry(registry.url)
    schema_id = client.register("another-team-value", json.dumps(schema))
    codec = open_codecs(registry=client, framing=Framing.SINGLE_OBJECT).outbound
    value = registry_prefix(schema_id) + number(1) + text("t") + codec.encode_message(MESSAGE)[10:]
    assert codec.decode_message(value) == MESSAGE
    assert codec.decode_head(value) == MESSAGE.head


def test_a_recursive_schema_of_the_registry_is_refused_before_a_byte_is_read(registry: Server) -> None:
    recursive = {**OURS, "fields": [*OURS["fields"], {"name": "next", "type": ["null", "OutboundMessage"]}]}
    client = Registry(registry.url)
    schema_id = client.register("recursive-value", json.dumps(recursive))
    with pytest.raises(Unreadable) as caught:
        open_codecs(registry=client).outbound.decode_head(registry_prefix(schema_id) + number(1) * 5_000)
    assert caught.value.fault is Fault.REFUSED_SCHEMA


@pytest.mark.parametrize("schema_id", [0, 2**31 - 1, 2**31, 2**32 - 1])
def test_an_id_that_the_registry_does_not_know_makes_a_bad_record_not_a_wait(registry: Server, schema_id: int) -> None:
    codec = open_codecs(registry=Registry(registry.url)).outbound
    with pytest.raises(Unreadable) as caught:
        codec.decode_head(registry_prefix(schema_id) + HEAD)
    assert caught.value.fault is Fault.UNKNOWN_SCHEMA


def test_a_schema_that_the_registry_refuses_is_a_refusal(registry: Server) -> None:
    with pytest.raises(RefusedSchema, match="some-value"):
        Registry(registry.url).register("some-value", '{"type": "reco')


def test_a_registry_that_is_away_is_no_bad_record() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))  # bound and not listening: nobody answers, and nobody else can take it
        away = Registry(f"http://127.0.0.1:{taken.getsockname()[1]}")
        codec = open_codecs(registry=away, framing=Framing.SINGLE_OBJECT).outbound
        with pytest.raises(RegistryUnavailable):
            codec.decode_head(registry_prefix(1) + HEAD)
        with pytest.raises(RegistryUnavailable):
            open_codecs(registry=away)
        assert codec.decode_message(codec.encode_message(MESSAGE)) == MESSAGE


def test_a_registry_that_never_answers_is_waited_for_so_long_and_no_longer() -> None:
    with socket.create_server(("127.0.0.1", 0)) as mute, pytest.raises(RegistryUnavailable, match="Timeout"):
        Registry(f"http://127.0.0.1:{mute.getsockname()[1]}", timeout_s=0.05).schema(1)


@pytest.mark.parametrize(
    ("status", "body"),
    [
        (404, b"<html>wrong path, or a proxy</html>"),
        (404, b'{"error_code": 0, "message": "Could not find resource for full path"}'),
        (401, b'{"error_code": 40101}'),
        (500, b'{"error_code": 50001}'),
        (302, b""),
        (200, b"[]"),
        (200, b'{"schema": 7}'),
        (200, b"[" * 100_000),
    ],
)
def test_an_answer_that_does_not_decide_is_a_registry_that_is_away(status: int, body: bytes) -> None:
    with answering(status, body) as (registry, _), pytest.raises(RegistryUnavailable):
        registry.schema(1)


@pytest.mark.parametrize(
    "answer",
    [
        {"schema": "{}", "schemaType": "PROTOBUF"},
        {"schema": '"comm.Other"', "references": [{"name": "comm.Other", "subject": "s", "version": 1}]},
        {"schema": "not JSON"},
        {"schema": '"string"'},
        {"schema": "[" * 100_000},
        {"schema": "x" * ANSWER_BYTES_MAX},
    ],
)
def test_a_schema_that_is_no_record_of_ours_makes_a_bad_record(answer: object) -> None:
    with answering(200, json.dumps(answer).encode()) as (registry, _):
        codec = open_codecs(registry=registry, framing=Framing.SINGLE_OBJECT).outbound
        with pytest.raises(Unreadable) as caught:
            codec.decode_head(registry_prefix(1) + HEAD)
    assert caught.value.fault is Fault.REFUSED_SCHEMA


def test_a_schema_is_asked_for_once() -> None:
    with answering(200, json.dumps({"schema": json.dumps(OURS)}).encode()) as (registry, asked):
        codec = open_codecs(registry=registry, framing=Framing.SINGLE_OBJECT).outbound
        for _ in range(3):
            assert codec.decode_head(registry_prefix(7) + HEAD).message_id == "m-1"
    assert asked == ["/api/schemas/ids/7"]


def unread(record: Record) -> str:
    raise RefusedSchema("for the test")


def test_an_unknown_id_is_asked_for_again_only_after_a_while() -> None:
    now_s = 0.0
    with answering(404, b'{"error_code": 40403}') as (registry, asked):
        readers = Readers(unread, registry, monotonic_s=lambda: now_s)
        for now_s in (0.0, REFUSAL_S - 1, REFUSAL_S + 1):  # noqa: B007 - the clock reads it
            with pytest.raises(Unreadable):
                readers.of(registry_prefix(7))
    assert len(asked) == 2


def test_the_variety_of_ids_does_not_fill_the_memory() -> None:
    readers = Readers(unread, None)
    for schema_id in range(3 * REMEMBERED_MAX):
        with pytest.raises(Unreadable):
            readers.of(registry_prefix(schema_id))
    assert len(readers._refusals) == REMEMBERED_MAX


def test_credentials_are_sent_and_never_shown() -> None:
    registry = Registry("http://127.0.0.1:1/", user="canary-user", password="canary-password")
    with pytest.raises(RegistryUnavailable) as caught:
        registry.schema(1)
    assert "canary" not in repr(caught.value) + repr(registry) + str(caught.value)


@pytest.mark.parametrize("url", ["file:///etc/passwd", "localhost:8081", "", "ftp://example.org"])
def test_an_address_that_is_no_url_is_an_error_at_start(url: str) -> None:
    with pytest.raises(ValueError, match="http"):
        Registry(url)


def test_registry_framing_without_a_registry_is_an_error_at_start() -> None:
    with pytest.raises(ValueError, match="needs a registry"):
        open_codecs(framing=Framing.REGISTRY)
