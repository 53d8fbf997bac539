"""The sandbox against clients, and our adapter against servers, that are not ours: lest both share one mistake."""

from __future__ import annotations

import asyncio
import email
import json
import shutil
import smtplib
import socket
import subprocess
from email.message import EmailMessage
from typing import TYPE_CHECKING, Any

import aiohttp
import pytest
from aiosmtpd.controller import Controller

from processor.core.outcome import Accepted
from processor.sandbox.behaviour import Action, Behaviour, Rule, rule_of
from processor.sandbox.ledger import Entry, Ledger, read_ledger
from processor.sandbox.servers import SandboxConfig, run_sandbox
from tests.providers.twins import opened, sandbox_at, smtp_config, submission
from tests.support.eventually import eventually

if TYPE_CHECKING:
    from pathlib import Path

    from processor.sandbox.servers import Sandbox

SMTP_SINK = shutil.which("smtp-sink", path="/usr/sbin:/usr/bin")


def entry(message_id: str) -> Entry:
    return Entry(1, 1, "smtp", message_id, 1, ("ann@example.org",), accepted=True, code="250", sha256="", size_bytes=0)


# Rules.


@pytest.mark.parametrize(
    ("recipient", "rule"),
    [
        ("bounce-550@example.org", Rule(Action.BOUNCE, 550)),
        ("bounce-550+tag@example.org", Rule(Action.BOUNCE, 550)),
        ("defer-451-2x@example.org", Rule(Action.DEFER, 451, times=2)),
        ("throttle@example.org", Rule(Action.THROTTLE, 421)),
        ("drop-after-dot-1x@example.org", Rule(Action.DROP_AFTER_DOT, times=1)),
        ("slow-3s@example.org", Rule(delay_ms=3_000)),
        ("slow-250ms@example.org", Rule(delay_ms=250)),
        ("answer-600@example.org", Rule(Action.ANSWER, 600)),
        ("+40722000550", Rule(Action.BOUNCE, 550)),
        ("+40722004512", Rule(Action.DEFER, 451, times=2)),
        ("+40722004510", Rule(Action.DEFER, 451)),
        ("+40722004291", Rule(Action.THROTTLE, 429, times=1)),
        ("+40722000999", Rule(Action.DROP_AFTER_DOT)),
        ("+40722007003", Rule(delay_ms=3_000)),
        ("bouncer-550@example.org", None),
        ("ann@example.org", None),
        ("+40722000111", None),
    ],
)
def test_a_recipient_names_its_rule(recipient: str, rule: Rule | None) -> None:
    assert rule_of(recipient) == rule


def test_the_longest_prefix_of_a_script_wins_over_the_name() -> None:
    script = {"bounce": "accept", "bounce-550@a": "defer-452", "default": {"delay_ms": 50}}
    behaviour = Behaviour(script)

    assert behaviour.of_recipient("bounce-550@a.example").code == 452
    assert behaviour.of_recipient("bounce-550@b.example").action is Action.ACCEPT
    assert behaviour.of_recipient("ann@example.org").delay_ms == 50


# The ledger.


async def test_entries_are_on_disk_when_recorded_and_numbered_in_order(tmp_path: Path) -> None:
    ledger = Ledger(tmp_path / "ledger.jsonl")

    numbers = await asyncio.gather(*(ledger.record(entry(f"m-{number}")) for number in range(500)))

    assert numbers == list(range(1, 501))
    assert [read.message_id for read in read_ledger(ledger.path)] == [f"m-{number}" for number in range(500)]
    await ledger.close()


async def test_a_cut_last_line_is_no_entry_and_a_new_ledger_goes_on_before_it(tmp_path: Path) -> None:
    path = tmp_path / "ledger.jsonl"
    ledger = Ledger(path)
    await ledger.record(entry("m-1"))
    await ledger.close()
    with path.open("ab") as file:
        file.write(b'{"at_ms": 1, "first')

    assert [read.message_id for read in read_ledger(path)] == ["m-1"]

    again = Ledger(path)
    await again.record(entry("m-2"))
    await again.close()
    assert [(read.n, read.message_id) for read in read_ledger(path)] == [(1, "m-1"), (2, "m-2")]


# Control.


async def test_the_control_endpoints_script_and_tell(tmp_path: Path) -> None:
    async with sandbox_at(tmp_path) as sandbox, aiohttp.ClientSession(sandbox.http_url) as client:
        for number in range(3):
            await client.post("/sms", json={"message_id": f"m-{number}", "to": "+40722000111", "text": "x"})
        async with client.get("/ledger", params={"after": 1}) as response:
            lines = (await response.text()).splitlines()
        assert [json.loads(line)["message_id"] for line in lines] == ["m-1", "m-2"]

        async with client.put("/behaviour", json={"default": "bounce-550"}) as response:
            assert response.status == 200
        async with client.post("/sms", json={"to": "+40722000111"}) as response:
            assert response.status == 422
        async with client.put("/behaviour", json={"x": "explode"}) as response:
            assert response.status == 400
            assert "x: " in (await response.json())["error"]
        async with client.get("/healthz") as response:
            assert (await response.json())["entries"] == 4


async def test_each_message_of_a_bulk_call_meets_its_own_rule(tmp_path: Path) -> None:
    names = ["ann", "bounce-550", "defer-451", "throttle-421", "drop-before-dot", "drop-after-dot", "answer-600"]
    messages = [{"message_id": name, "to": f"{name}@example.org"} for name in names]
    async with sandbox_at(tmp_path) as sandbox, aiohttp.ClientSession(sandbox.http_url) as client:
        async with client.post("/email", json={"messages": messages}) as response:
            results = (await response.json())["results"]

        assert [(result["message_id"], result["status"]) for result in results] == [
            ("ann", "accepted"),
            ("bounce-550", "rejected"),
            ("defer-451", "deferred"),
            ("throttle-421", "throttled"),
            ("answer-600", "scripted"),
        ]
        with pytest.raises(aiohttp.ServerDisconnectedError):
            await client.post("/email", json={"messages": messages[4:6]})
    accepted = [entry.message_id for entry in read_ledger(sandbox.ledger_path) if entry.accepted]
    assert sorted(filter(None, accepted)) == ["ann", "answer-600", "drop-after-dot", "drop-after-dot"]


async def test_it_runs_until_cancelled_and_frees_its_ports(tmp_path: Path) -> None:
    listening: asyncio.Future[Sandbox] = asyncio.get_running_loop().create_future()
    running = asyncio.create_task(run_sandbox(SandboxConfig(tmp_path / "l.jsonl"), ready=listening.set_result))
    sandbox = await listening

    running.cancel()
    await asyncio.gather(running, return_exceptions=True)

    for port in (sandbox.smtp_port, sandbox.http_port):
        with socket.socket() as probe:
            assert probe.connect_ex(("127.0.0.1", port)) != 0


# Others' clients against our server.


def sent_by_smtplib(port: int) -> list[Any]:
    mail = EmailMessage()
    mail["From"], mail["To"], mail["Message-ID"], mail["X-Comm-Attempt"] = "a@b", "c@d", "<m-1@example.com>", "4"
    mail.set_content(".\nleading dot\n..\n")
    with smtplib.SMTP("127.0.0.1", port, timeout=5) as client:
        client.login("anyone", "anything")
        accepted = client.send_message(mail)
        refused = client.mail("a@b"), client.rcpt("rcpt-553@example.org"), client.rset()
        deferred = client.mail("a@b"), client.rcpt("defer-452@example.org"), client.data(b"Subject: x\r\n\r\n.\r\n")
        empty = client.mail("a@b"), client.rcpt("ann@example.org"), client.data(b"")
        return [accepted, refused[1][0], deferred[2][0], empty[2][0], client.verify("x")[0]]


async def test_the_standard_library_can_mail_the_sandbox(tmp_path: Path) -> None:
    async with sandbox_at(tmp_path) as sandbox:
        said = await asyncio.to_thread(sent_by_smtplib, sandbox.smtp_port)

    assert said == [{}, 553, 452, 250, 500]
    first, refused, deferred, empty = read_ledger(sandbox.ledger_path)
    assert (first.message_id, first.attempt, first.accepted) == ("m-1", 4, True)
    assert (refused.accepted, refused.recipients) == (False, ("rcpt-553@example.org",))
    assert (deferred.accepted, deferred.code) == (False, "452")
    assert (empty.accepted, empty.size_bytes) == (True, 2)


# Our adapter against others' servers.


class Received:
    """What aiosmtpd calls."""

    def __init__(self) -> None:
        self.envelopes: list[Any] = []

    async def handle_DATA(self, server: object, session: object, envelope: Any) -> str:  # noqa: N802 - its name
        self.envelopes.append(envelope)
        return "250 2.0.0 OK"


async def test_another_server_reads_what_we_sent() -> None:
    received = Received()
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    controller = Controller(received, hostname="127.0.0.1", port=port)
    await asyncio.to_thread(controller.start)
    try:
        async with opened(smtp_config(port)) as adapter:
            batch = [
                submission("ann@example.org", message_id=f"m-{number}", text=".\n..dots\nü", bcc=("bob@example.org",))
                for number in range(3)
            ]
            outcomes = await adapter.send(batch)
    finally:
        await asyncio.to_thread(controller.stop)

    assert outcomes == [Accepted(code="250 2.0.0")] * 3
    assert [envelope.rcpt_tos for envelope in received.envelopes] == [["ann@example.org", "bob@example.org"]] * 3
    payload = email.message_from_bytes(received.envelopes[0].content).get_payload(decode=True)
    assert payload == ".\r\n..dots\r\nü\r\n".encode()


@pytest.mark.skipif(SMTP_SINK is None, reason="Postfix's smtp-sink is not installed: apt-get install postfix")
async def test_postfix_smtp_sink_takes_our_mails() -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    sink = subprocess.Popen([str(SMTP_SINK), "-u", "nobody", f"127.0.0.1:{port}", "100"])  # noqa: ASYNC220
    try:
        await asyncio.to_thread(eventually, lambda: _listens(port), within_s=5)
        async with opened(smtp_config(port)) as adapter:
            outcomes = await asyncio.gather(*(adapter.send([submission("ann@example.org")]) for _ in range(50)))
    finally:
        sink.terminate()
        sink.wait()

    assert all(isinstance(outcome, Accepted) for (outcome,) in outcomes)


def _listens(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0
