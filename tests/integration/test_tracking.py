"""Links, pixels and unsubscribes, asked for over HTTP of a real process, and the events that come of them."""

from __future__ import annotations

import json
import os
import signal
import socket
import time
from typing import TYPE_CHECKING, Any

import pytest
from confluent_kafka import Consumer, TopicPartition

from processor.core.control import address_hash
from processor.core.events import Control, EngagementEvent
from processor.core.tokens import Purpose, Sealer, Ticket
from processor.stages.tracking.server import allow_files
from tests.cli.command import commproc
from tests.providers.test_webhook_sandbox import WEBHOOK
from tests.support.cluster import fresh
from tests.support.eventually import eventually
from tests.support.plant import Plant
from tests.support.web import ask, say

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from processor.sandbox.broker import Broker
    from processor.sandbox.child import Child

TARGET = "https://shop.example/spring?a=1&b=%C3%A9"
CANARY = "canary-header-2718"
HASH = address_hash("ann@example.org", b"any key")


class Public:
    """A process of the stage, its links, and the topics that it writes."""

    def __init__(self, bootstrap: str, folder: Path, **tracking: Any) -> None:
        settings = {
            "base_url": "http://127.0.0.1:8081",
            "port": 0,
            "buffer_folder": str(folder / "buffer"),
            "header_timeout": "1s",
            "body_timeout": "1s",
            "body_bytes_max": "2KiB",
        }
        reports = {"Text": {"webhook": WEBHOOK | {"secret": {"env": "CANARY_TOKEN"}}}}
        self.plant = Plant(bootstrap, folder, changes={"tracking": settings | tracking, "providers": reports})
        self.sealer = Sealer(self.plant.settings.tracking.sealing_keys())
        names = self.plant.names
        self._events: list[Any] = []
        self._reader = Consumer(
            self.plant.cluster.connection.common() | {"group.id": "tests", "enable.auto.commit": False}
        )
        self._reader.assign(
            [TopicPartition(*place, 0) for place in self.plant.cluster.places([names.engagement, names.control])]
        )
        self.start()

    def start(self) -> None:
        self.plant.start("tracking")
        self.port = next(line["port"] for line in self.plant.lines("tracking") if line["event"] == "tracking.listening")

    @property
    def child(self) -> Child:
        return self.plant.processes["tracking/0"]

    def link(self, purpose: Purpose, message_id: str, **more: Any) -> str:
        given: dict[str, Any] = {
            "sent_at_s": int(time.time()) - 3_600,
            "campaign_id": "spring",
            "url": TARGET if purpose is Purpose.CLICK else None,
            "address_hash": HASH if purpose is Purpose.UNSUBSCRIBE else None,
            "scope": "marketing" if purpose is Purpose.UNSUBSCRIBE else None,
        }
        token = self.sealer.seal(purpose, Ticket(message_id, "Email", **given | more))
        assert token is not None
        return f"/{purpose}/{token}"

    def events(self, message_id: str) -> list[EngagementEvent]:
        return [each for each in self._read() if isinstance(each, EngagementEvent) and each.message_id == message_id]

    def controls(self, message_id: str) -> list[Control]:
        return [each for each in self._read() if isinstance(each, Control) and each.message_id == message_id]

    def _read(self) -> list[Any]:
        for each in self._reader.consume(1_000, 0.2):
            if each.error() is None:
                self._events.append(self.plant.codecs.events.decode_event(each.value()))
        return self._events

    def one(self, message_id: str) -> EngagementEvent:
        [event] = eventually(lambda: self.events(message_id), within_s=10, what=self.plant.output)
        return event

    def close(self) -> None:
        self._reader.close()
        self.plant.close()


@pytest.fixture(scope="module")
def public(kafka: Broker, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Public]:
    made = Public(kafka.bootstrap, tmp_path_factory.mktemp("public"))
    yield made
    made.close()


def test_a_click_goes_where_we_signed_and_its_event_is_in_kafka(public: Public) -> None:
    name = fresh("click")

    answer = ask(public.port, "GET", public.link(Purpose.CLICK, name, position=3))

    assert (answer.status, answer.headers["location"]) == (302, TARGET)
    assert answer.headers["cache-control"].startswith("no-store")
    assert answer.headers["referrer-policy"] == "no-referrer"
    event = public.one(name)
    assert (event.type, event.url, event.position) == ("clicked", TARGET, 3)
    assert (event.actor, event.rule, event.user_agent_family) == ("human", "browser", "chrome")
    assert (event.channel, event.campaign_id, event.repeated) == ("Email", "spring", False)


def test_a_pixel_is_an_image_that_nobody_keeps(public: Public) -> None:
    name = fresh("open")

    answer = ask(public.port, "GET", public.link(Purpose.OPEN, name), agent="Mozilla/5.0")

    assert (answer.status, answer.headers["content-type"], answer.body[:6]) == (200, "image/gif", b"GIF89a")
    event = public.one(name)
    assert (event.type, event.url, event.position) == ("opened", None, None)
    assert (event.actor, event.user_agent_family) == ("privacy_proxy", "apple_proxy")


def test_a_repeat_is_published_and_flagged(public: Public) -> None:
    name = fresh("again")

    for _ in range(2):
        ask(public.port, "GET", public.link(Purpose.OPEN, name))

    eventually(lambda: len(public.events(name)) == 2, within_s=10)
    assert [event.repeated for event in public.events(name)] == [False, True]
    assert len({event.event_id for event in public.events(name)}) == 2


def test_head_counts_as_nothing_and_betrays_a_scanner(public: Public) -> None:
    name = fresh("head")
    link = public.link(Purpose.CLICK, name)

    looked = ask(public.port, "HEAD", link)
    ask(public.port, "GET", link)

    assert (looked.status, looked.headers["location"], looked.body) == (302, TARGET, b"")
    event = public.one(name)
    assert (event.actor, event.rule) == ("scanner", "head")


def test_an_unsubscribe_needs_a_post_and_suppresses_once(public: Public) -> None:
    name = fresh("unsubscribe")
    link = public.link(Purpose.UNSUBSCRIBE, name)

    page = ask(public.port, "GET", link)
    assert (page.status, b"<button" in page.body, b"ann@" in page.body) == (200, True, False)
    assert "default-src 'none'" in page.headers["content-security-policy"]
    assert ask(public.port, "HEAD", link).status == 200
    assert ask(public.port, "POST", link, b"something=else").status == 400
    assert public.events(name) == []
    assert public.controls(name) == []

    form = {"Content-Type": "application/x-www-form-urlencoded"}
    for _ in range(2):
        assert ask(public.port, "POST", link, b"List-Unsubscribe=One-Click", **form).status == 200

    eventually(lambda: len(public.events(name)) == 2, within_s=10)
    assert [(each.type, each.scope, each.repeated) for each in public.events(name)] == [
        ("unsubscribed", "marketing", False),
        ("unsubscribed", "marketing", True),
    ]
    suppressed = eventually(lambda: public.controls(name), within_s=10)
    assert {(each.kind, each.scope, each.address_hash, each.cause) for each in suppressed} == {
        ("suppression", "marketing", HASH, "unsubscribed")
    }


def test_bad_input_gets_one_page_and_leaves_no_trace(public: Public) -> None:
    name = fresh("bad")
    link = public.link(Purpose.CLICK, name)
    flipped = link[:-1] + ("A" if link[-1] != "A" else "B")
    bad = [
        link[:-4],
        flipped,
        f"{link}AAAA",
        link.replace("/c/", "/o/"),
        link.replace("/c/", "/u/"),
        "/c/",
        f"/c/{CANARY}",
        f"/c/{'A' * 12_000}",
        "/c/https://evil.example",
        "//evil.example",
        f"/c/x?u=https://evil.example/{CANARY}",
    ]

    answers = [ask(public.port, "GET", path, agent=CANARY, Referer=CANARY) for path in bad]

    assert {(each.status, each.body, each.headers.get("location")) for each in answers} == {
        (404, answers[0].body, None)
    }
    assert ask(public.port, "DELETE", link).status == 405
    assert ask(public.port, "PUT", "/readyz").status == 405
    head = b"GET / HTTP/1.1\r\nHost: x\r\nA: "
    assert say(public.port, head + b"a" * 1_000_000 + b"\r\n\r\n").startswith(b"HTTP/1.1 431")
    assert say(public.port, b"GET /\xff\x1b[31m" + CANARY.encode() + b" HTTP/1.1\r\n\r\n").startswith(b"HTTP/1.1 400")
    assert say(public.port, b"\x16\x03\x01" + CANARY.encode()).startswith(b"HTTP/1.1 400")
    raw = f"GET {link} HTTP/1.1\r\nHost: {CANARY}\r\nUser-Agent: \xe9\x9b {CANARY}\r\nConnection: close\r\n\r\n"
    assert say(public.port, raw.encode("latin-1")).startswith(b"HTTP/1.1 302")
    told = public.plant.output() + public.plant.metrics("tracking")
    assert CANARY not in told
    assert "evil" not in told
    assert public.one(name).user_agent_family in {None, "other"}


def test_a_body_that_is_too_large_is_refused_before_and_while_it_is_read(public: Public) -> None:
    assert ask(public.port, "POST", "/w/Text", b"a" * 3_000).status == 413
    chunked = b"POST /w/Text HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n"
    assert say(public.port, chunked + b"BB8\r\n" + b"a" * 3_000 + b"\r\n").startswith(b"HTTP/1.1 413")
    assert ask(public.port, "POST", "/w/any", b"a" * 3_000).status == 404, "nobody reads it"


def test_slow_clients_are_cut_off(public: Public) -> None:
    began_s = time.monotonic()

    assert say(public.port, b"GET / HTTP/1.1\r\nA: ", within_s=8) == b""
    slow = say(public.port, b"POST /w/Text HTTP/1.1\r\nHost: x\r\nContent-Length: 9\r\n\r\na", within_s=8)

    assert slow.startswith(b"HTTP/1.1 408")
    assert time.monotonic() - began_s < 8


@pytest.mark.timed
def test_a_thousand_slow_clients_are_cut_off_and_keep_nobody_waiting(public: Public) -> None:
    allow_files()
    began_s = time.monotonic()
    slow = [dripping(public.port) for _ in range(1_000)]

    took_s = [clicked_s(public, fresh("beside")) for _ in range(50)]
    for line in slow:
        line.settimeout(10)
        assert line.recv(1) == b"", "cut without an answer"
        line.close()

    assert time.monotonic() - began_s < 10 + sum(took_s)
    assert sorted(took_s)[-2] < 1, took_s


def dripping(port: int) -> socket.socket:
    """Return a connection that has begun a request and goes no further."""
    line = socket.create_connection(("127.0.0.1", port), timeout=10)
    line.sendall(b"GET /healthz HTTP/1.1\r\nHost: x\r\nA: ")
    return line


def clicked_s(public: Public, name: str) -> float:
    """Click, and return how long the answer took."""
    began_s = time.monotonic()
    assert ask(public.port, "GET", public.link(Purpose.CLICK, name)).status == 302
    return time.monotonic() - began_s


def test_a_process_that_is_told_to_stop_answers_what_was_asked(public: Public) -> None:
    name, body = fresh("stop"), b"List-Unsubscribe=One-Click"
    head = f"POST {public.link(Purpose.UNSUBSCRIBE, name)} HTTP/1.1\r\nHost: x\r\nExpect: 100-continue\r\n"
    with socket.create_connection(("127.0.0.1", public.port), timeout=10) as line:
        line.sendall(f"{head}Content-Length: {len(body)}\r\n\r\n".encode())
        assert line.recv(1_024).startswith(b"HTTP/1.1 100"), "it waits for the body"
        os.kill(public.child.pid, signal.SIGTERM)
        line.sendall(body)
        answer = line.recv(65_536)

    assert answer.startswith(b"HTTP/1.1 200"), answer[:50]
    assert public.child.ended(within_s=10)
    assert public.child.exit_code == 0
    public.start()
    assert public.one(name).type == "unsubscribed"


def test_health_is_told(public: Public) -> None:
    assert ask(public.port, "GET", "/healthz").status == 200
    eventually(lambda: ask(public.port, "GET", "/readyz").status == 200, within_s=10)


def test_a_taken_port_and_a_taken_buffer_are_told(public: Public) -> None:
    tree = json.loads(public.plant.config.read_text())
    taken = public.plant.folder / "taken.yaml"
    taken.write_text(json.dumps(tree | {"tracking": tree["tracking"] | {"port": public.port}}))

    port = commproc("run", "--stage", "tracking", "--slot", "1", config=taken, environ=public.plant.environ)
    buffer = commproc("run", "--stage", "tracking", config=public.plant.config, environ=public.plant.environ)

    assert (port.code, buffer.code) == (2, 2)
    assert f"Port {public.port} is taken; write another one, or 0, into tracking.port." in port.err
    assert "tracking.buffer_folder" in buffer.err


@pytest.mark.slow
@pytest.mark.timeout(300)  # starts a broker twice
class TestKafkaAway:
    @pytest.fixture
    def public(self, own_kafka: Broker, tmp_path: Path) -> Iterator[Public]:
        made = Public(own_kafka.bootstrap, tmp_path)
        yield made
        made.close()

    def test_redirects_work_and_events_wait_also_over_a_crash(self, public: Public, own_kafka: Broker) -> None:
        names = [fresh("away") for _ in range(5)]
        ask(public.port, "GET", public.link(Purpose.CLICK, names[0]))
        own_kafka.kill()

        for name in names[1:4]:
            answer = ask(public.port, "GET", public.link(Purpose.CLICK, name))
            assert (answer.status, answer.headers["location"]) == (302, TARGET)
        refused = ask(public.port, "POST", public.link(Purpose.UNSUBSCRIBE, names[4]), b"List-Unsubscribe=One-Click")
        assert (refused.status, refused.headers["retry-after"]) == (503, "60")
        assert ask(public.port, "GET", "/readyz").status == 200
        assert public.plant.metric("tracking", "comm_tracking_buffer_records") == 3
        public.plant.kill("tracking")
        own_kafka.restart()
        public.start()

        for name in names[:4]:
            assert public.one(name).type == "clicked"
        assert public.events(names[4]) == []
        eventually(lambda: public.plant.metric("tracking", "comm_tracking_buffer_records") == 0, within_s=10)
        assert public.plant.terminate("tracking") == 0
