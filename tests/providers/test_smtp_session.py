"""Servers that misbehave: whatever they say, an outcome that is certain where it can be."""

from __future__ import annotations

import asyncio
import ssl
from contextlib import suppress
from time import monotonic
from typing import TYPE_CHECKING, Any

import pytest

from processor.core.outcome import Accepted, Deferred, Rejected, Stage, Throttled, Unknown
from processor.core.words import Reason
from processor.providers.adapter import TOO_LATE
from processor.sandbox.ledger import read_ledger
from tests.providers.rogue import says
from tests.providers.twins import PASSWORD, listening, opened, sandbox_at, smtp_config, submission
from tests.support.certificates import certificate
from tests.support.eventually import eventually_async

if TYPE_CHECKING:
    from pathlib import Path

    from processor.core.outcome import Outcome


async def outcome_from(serve: Any, **settings: Any) -> Outcome:
    async with listening(serve) as port, opened(smtp_config(port, **settings)) as adapter:
        (outcome,) = await adapter.send([submission("ann@example.org")])
        return outcome


async def test_a_polite_server_is_spoken_to_command_by_command() -> None:
    seen: list[bytes] = []

    assert await outcome_from(says(seen)) == Accepted(code="250")
    assert [line[:9] for line in seen[:4]] == [b"EHLO loca", b"MAIL FROM", b"RCPT TO:<", b"DATA\r\n"]


@pytest.mark.parametrize("verb", ["EHLO", "MAIL", "RCPT", "DATA"])
async def test_hanging_up_at_any_command_is_certainly_not_sent(verb: str) -> None:
    seen: list[bytes] = []

    outcome = await outcome_from(says(seen, **{verb: b""}))

    assert isinstance(outcome, Deferred)
    assert outcome.stage is (Stage.GREETING if verb == "EHLO" else Stage.PREPARE)
    assert not any(line.startswith(b"From:") for line in seen)


async def test_hanging_up_at_the_dot_is_unknown() -> None:
    assert await outcome_from(says([], dot=b"")) == Unknown(Reason.ANSWER_MISSING)


@pytest.mark.parametrize(
    "reply",
    [
        b"600 what\r\n",
        b"25O ok\r\n",
        b"250 ok\r\n",
        b"\r\n",
        b"\x1b[31m\r\n",
        b"250-a\r\n354 b\r\n",
        b"x" * 100_000,
        b"399 x\r\n",
    ],
)
async def test_an_unlisted_answer_before_the_dot_is_temporary(reply: bytes) -> None:
    seen: list[bytes] = []

    outcome = await outcome_from(says(seen, DATA=reply))

    assert isinstance(outcome, Deferred)
    assert outcome.reason is Reason.ANSWER_UNLISTED
    assert not any(b"canary" in line for line in seen)


@pytest.mark.parametrize("reply", [b"600 what\r\n", b"25O ok\r\n", b"354 again\r\n", b"251 ok\r\n", b"x" * 100_000])
async def test_an_unlisted_answer_to_the_dot_is_unknown(reply: bytes) -> None:
    outcome = await outcome_from(says([], dot=reply))

    assert isinstance(outcome, Unknown)
    assert outcome.reason is Reason.ANSWER_UNLISTED


async def test_an_answer_that_comes_before_the_dot_is_none() -> None:
    outcome = await outcome_from(says([], DATA=b"354 go\r\n250 already\r\n"))

    assert outcome == Deferred(Reason.CONNECTION_BROKEN, stage=Stage.PREPARE)


async def test_an_answer_that_comes_in_the_middle_of_a_large_mail_is_none() -> None:
    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"220 rogue\r\n")
        for reply in (b"250 hello\r\n", b"250 ok\r\n", b"250 ok\r\n", b"354 go\r\n"):
            await reader.readline()
            writer.write(reply)
        await reader.readline()
        writer.write(b"250 already\r\n")
        await reader.read()

    async with listening(serve) as port, opened(smtp_config(port)) as adapter:
        (outcome,) = await adapter.send([submission("ann@example.org", text="x\n" * 10_000_000)])

    assert outcome == Deferred(Reason.CONNECTION_BROKEN, stage=Stage.PREPARE)


async def test_a_server_that_stops_reading_a_large_mail_has_certainly_not_got_it() -> None:
    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"220 rogue\r\n")
        for reply in (b"250 hello\r\n", b"250 ok\r\n", b"250 ok\r\n", b"354 go\r\n"):
            await reader.readline()
            writer.write(reply)
        await asyncio.Event().wait()

    async with listening(serve) as port, opened(smtp_config(port, data_timeout_ms=100)) as adapter:
        (outcome,) = await adapter.send([submission("ann@example.org", text="x\n" * 10_000_000)])

    assert outcome == Deferred(Reason.CONNECTION_BROKEN, stage=Stage.PREPARE)


@pytest.mark.parametrize("step", ["MAIL", "RCPT", "DATA", "."])
async def test_a_silent_server_is_left_in_time_at_every_step(step: str) -> None:
    never = asyncio.Event()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"220 rogue\r\n")
        while line := await reader.readline():
            if line.startswith(step.encode()):
                await never.wait()
            writer.write(b"354 go\r\n" if line.startswith(b"DATA") else b"250 ok\r\n")
            if line.startswith(b"DATA"):
                await never.wait()

    async with listening(serve) as port:
        config = smtp_config(port, command_timeout_ms=50, answer_timeout_ms=50)
        async with opened(config) as adapter:
            (outcome,) = await adapter.send([submission("ann@example.org")])

    if step == ".":
        assert outcome == Unknown(Reason.ANSWER_MISSING)
    else:
        assert outcome == Deferred(Reason.CONNECTION_BROKEN, stage=Stage.PREPARE)


async def test_an_endless_reply_is_cut() -> None:
    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"220 rogue\r\n")
        await reader.readline()
        while True:
            writer.write(b"250-more\r\n" * 1_000)
            await writer.drain()

    outcome = await outcome_from(serve)

    assert isinstance(outcome, Deferred)


async def test_words_of_the_server_are_not_kept() -> None:
    outcome = await outcome_from(says([], dot=b"550 5.1.1 ann@example.org \x1b[31m unknown here\r\n"))

    assert outcome == Rejected(Reason.PROVIDER_REJECTED, "550 5.1.1")


@pytest.mark.parametrize(
    ("reply", "expected"),
    [
        (b"421 4.7.0 slow down\r\n", Throttled(code="421 4.7.0")),
        (b"450 4.7.1 greylisted\r\n", Throttled(code="450 4.7.1")),
        (b"450 4.2.1 mailbox busy\r\n", Deferred(Reason.PROVIDER_DEFERRED, "450 4.2.1")),
        (b"452 4.2.2 full\r\n", Deferred(Reason.PROVIDER_DEFERRED, "452 4.2.2")),
        (b"458 never heard of\r\n", Deferred(Reason.PROVIDER_DEFERRED, "458")),
        (b"530 5.7.0 log in\r\n", Deferred(Reason.AUTHENTICATION_FAILED, "530 5.7.0")),
        (b"550 4.1.1 classes disagree\r\n", Rejected(Reason.PROVIDER_REJECTED, "550")),
        (b"550-5.7.1 first\r\n550 5.7.1 second\r\n", Rejected(Reason.PROVIDER_REJECTED, "550 5.7.1")),
    ],
)
async def test_a_refusal_means_what_the_tables_say(reply: bytes, expected: Outcome) -> None:
    assert await outcome_from(says([], RCPT=reply)) == expected


async def test_a_server_that_will_not_serve_says_nothing_about_the_message() -> None:
    outcome = await outcome_from(says([], greeting=b"554 5.3.2 not today\r\n"))

    assert outcome == Deferred(Reason.PROVIDER_UNAVAILABLE, "554 5.3.2")


async def test_a_silent_server_is_left_in_time() -> None:
    outcome = await outcome_from(says([], greeting=b""), greeting_timeout_ms=50)

    assert outcome == Deferred(Reason.PROVIDER_UNAVAILABLE, stage=Stage.GREETING)


async def test_a_kept_session_that_the_server_closed_costs_no_attempt() -> None:
    connections: list[list[bytes]] = []

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        connections.append([])
        await says(connections[-1], hangs_up_on_second=b"MAIL")(reader, writer)

    async with listening(serve) as port, opened(smtp_config(port)) as adapter:
        for _ in range(3):
            (outcome,) = await adapter.send([submission("ann@example.org")])
            assert outcome == Accepted(code="250")
    assert len(connections) == 3


async def test_the_mails_of_a_batch_do_not_wait_for_one_another() -> None:
    together = asyncio.Barrier(3)

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"220 slow\r\n")
        for reply in (b"250 slow\r\n", b"250 ok\r\n", b"250 ok\r\n", b"354 go\r\n"):
            await reader.readline()
            writer.write(reply)
        await reader.readuntil(b"\r\n.\r\n")
        await together.wait()  # no mail is answered before all are here
        writer.write(b"250 ok\r\n")
        await reader.read()

    async with listening(serve) as port, opened(smtp_config(port)) as adapter:
        outcomes = await adapter.send([submission("ann@example.org", message_id=f"m-{n}") for n in range(3)])

    assert outcomes == [Accepted(code="250")] * 3


@pytest.mark.parametrize("verb", [b"EHLO", b"RCPT"])
async def test_a_mail_that_is_recalled_before_it_can_be_handed_over_is_not(verb: bytes) -> None:
    seen = list[bytes]()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"220 here\r\n")
        while line := await reader.readline():
            seen.append(line)
            writer.write(b"354 go\r\n" if line.startswith(b"DATA") else b"250 ok\r\n")

    def is_stopped() -> bool:
        return any(line.startswith(verb) for line in seen)

    async with listening(serve) as port, opened(smtp_config(port)) as adapter:
        recalled = submission("ann@example.org")._replace(is_stopped=is_stopped)
        assert await adapter.send([recalled]) == [TOO_LATE]

    assert not any(line.startswith((b"From:", b"Subject:")) for line in seen)
    assert any(line.startswith(b"MAIL") for line in seen) is (verb == b"RCPT")


@pytest.mark.parametrize("verb", [b"EHLO", b"RCPT"])
async def test_a_mail_whose_time_is_over_before_it_can_be_handed_over_is_not(verb: bytes) -> None:
    until_s, seen = monotonic() + 1.0, list[bytes]()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"220 slow\r\n")
        while line := await reader.readline():
            seen.append(line)
            if line.startswith(verb):
                await eventually_async(lambda: monotonic() > until_s, within_s=5)
            writer.write(b"354 go\r\n" if line.startswith(b"DATA") else b"250 ok\r\n")

    async with listening(serve) as port, opened(smtp_config(port)) as adapter:
        late = submission("ann@example.org")._replace(until_s=until_s)
        assert await adapter.send([late]) == [TOO_LATE]

    assert not any(line.startswith((b"From:", b"Subject:")) for line in seen)
    assert any(line.startswith(b"MAIL") for line in seen) is (verb == b"RCPT")


async def test_a_large_mail_whose_time_is_over_while_it_is_carried_is_not_finished() -> None:
    until_s, seen = monotonic() + 2.0, bytearray()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"220 slow\r\n")
        while line := await reader.readline():
            if line.startswith(b"DATA"):
                writer.write(b"354 go\r\n")
                await eventually_async(lambda: monotonic() > until_s, within_s=5)  # it reads nothing until then
                with suppress(ConnectionError):
                    while some := await reader.read(1 << 20):
                        seen.extend(some)
                return
            writer.write(b"250 ok\r\n")

    async with listening(serve) as port, opened(smtp_config(port)) as adapter:
        large = submission("ann@example.org", text="a line of text\n" * 400_000)._replace(until_s=until_s)
        assert await adapter.send([large]) == [TOO_LATE]

    assert len(seen) > 65_536
    assert not seen.endswith(b"\r\n.\r\n")


QUICK: dict[str, Any] = {"connect_timeout_ms": 250, "greeting_timeout_ms": 250, "command_timeout_ms": 250}
QUICK_S = 2.0  # that such a mail has until DATA is agreed to; each answer has a quarter of a second


class Slow:
    """A server that draws out each answer to RCPT, once so many mails were taken."""

    def __init__(self, *, after: int = 0, drips: bool = False) -> None:
        self.connections = 0
        self.seen: list[bytes] = []
        self._quick = after
        self._drips = drips

    async def __call__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        writer.write(b"220 slow\r\n")
        while line := await reader.readline():
            self.seen.append(line)
            if line.startswith(b"RCPT") and not self._quick:
                await self._drawn_out(writer)
            writer.write(b"354 go\r\n" if line.startswith(b"DATA") else b"250 ok\r\n")
            if line.startswith(b"DATA"):
                await reader.readuntil(b"\r\n.\r\n")
                writer.write(b"250 ok\r\n")
                self._quick -= 1

    async def _drawn_out(self, writer: asyncio.StreamWriter) -> None:
        for _ in range(200 if self._drips else 1):
            await asyncio.sleep(0.06)
            writer.write(b"250-\r\n" if self._drips else b"")
            await writer.drain()


async def test_a_server_that_takes_its_time_for_each_recipient_is_left_before_it_is_given_the_mail() -> None:
    server = Slow()
    cc = tuple(f"c{n}@example.org" for n in range(60))

    async with listening(server) as port, opened(smtp_config(port, **QUICK)) as adapter:
        began_s = monotonic()
        outcomes = await adapter.send([submission("ann@example.org", cc=cc)])

    assert outcomes == [Deferred(Reason.CONNECTION_BROKEN, stage=Stage.PREPARE)]
    assert monotonic() - began_s >= QUICK_S  # not before: it may be in good faith
    assert not any(line.startswith(b"DATA") for line in server.seen)


async def test_a_server_that_is_slow_for_its_recipients_and_in_time_is_given_the_mail() -> None:
    async with listening(Slow()) as port, opened(smtp_config(port, **QUICK)) as adapter:
        cc = tuple(f"c{n}@example.org" for n in range(5))
        assert await adapter.send([submission("ann@example.org", cc=cc)]) == [Accepted(code="250")]


async def test_an_answer_that_drips_is_left_in_time() -> None:
    server, began_s = Slow(drips=True), monotonic()

    outcome = await outcome_from(server, **QUICK)

    assert monotonic() - began_s < 5  # it goes on for 12
    assert outcome == Deferred(Reason.CONNECTION_BROKEN, stage=Stage.PREPARE)
    assert not any(line.startswith(b"DATA") for line in server.seen)


async def test_a_mail_that_a_kept_session_took_all_the_time_of_is_not_begun_on_another() -> None:
    server = Slow(after=1)
    cc = tuple(f"c{n}@example.org" for n in range(60))

    async with listening(server) as port, opened(smtp_config(port, **QUICK)) as adapter:
        outcomes = [*await adapter.send([submission("ann@example.org")])]
        outcomes += await adapter.send([submission("ann@example.org", cc=cc)])

    assert outcomes == [Accepted(code="250"), Deferred(Reason.CONNECTION_BROKEN, stage=Stage.PREPARE)]
    assert server.connections == 1


async def test_a_session_is_replaced_after_its_uses(tmp_path: Path) -> None:
    greetings: list[bytes] = []
    polite = says(greetings)

    async with listening(polite) as port, opened(smtp_config(port, uses_per_connection=2)) as adapter:
        for _ in range(4):
            await adapter.send([submission("ann@example.org")])

    assert sum(line.startswith(b"EHLO") for line in greetings) == 2


# Logging in.


@pytest.mark.parametrize("offer", [b"AUTH PLAIN LOGIN", b"AUTH LOGIN", b"AUTH=LOGIN"])
async def test_a_login_is_made_once_per_session(offer: bytes) -> None:
    seen: list[bytes] = []
    server = says(seen, EHLO=b"250-rogue\r\n250 " + offer + b"\r\n", AUTH=b"235 welcome\r\n")
    assert await outcome_from(server, username="app", password="x") == Accepted(code="250")
    assert sum(line.startswith(b"AUTH") for line in seen) == 1


async def test_the_right_credentials_let_mails_through(tmp_path: Path) -> None:
    async with (
        sandbox_at(tmp_path, username="app", password=PASSWORD) as sandbox,
        opened(smtp_config(sandbox.smtp_port, username="app", password=PASSWORD)) as adapter,
    ):
        (outcome,) = await adapter.send([submission("ann@example.org")])

    assert isinstance(outcome, Accepted)


async def test_wrong_credentials_are_deferred_as_such(tmp_path: Path) -> None:
    async with sandbox_at(tmp_path, username="app", password=PASSWORD) as sandbox:
        config = smtp_config(sandbox.smtp_port, username="app", password="wrong")
        async with opened(config) as adapter:
            (outcome,) = await adapter.send([submission("ann@example.org")])

    assert outcome == Deferred(Reason.AUTHENTICATION_FAILED, "535 5.7.8")
    assert not read_ledger(sandbox.ledger_path)


# TLS.


async def test_starttls_carries_the_mail(tmp_path: Path) -> None:
    pem = certificate(tmp_path)
    async with sandbox_at(tmp_path, tls_certificate=pem) as sandbox:
        config = smtp_config(sandbox.smtp_port, tls="starttls", ca_file=str(pem), greeting_timeout_ms=5_000)
        async with opened(config) as adapter:
            (outcome,) = await adapter.send([submission("ann@example.org")])

    assert isinstance(outcome, Accepted)


async def test_a_certificate_for_another_name_sends_nothing(tmp_path: Path) -> None:
    pem = certificate(tmp_path, host="127.0.0.9")
    async with sandbox_at(tmp_path, tls_certificate=pem) as sandbox:
        config = smtp_config(sandbox.smtp_port, tls="starttls", ca_file=str(pem), greeting_timeout_ms=5_000)
        async with opened(config) as adapter:
            (outcome,) = await adapter.send([submission("ann@example.org")])

    assert outcome == Deferred(Reason.PROVIDER_UNAVAILABLE, stage=Stage.GREETING)
    assert not read_ledger(sandbox.ledger_path)


async def test_a_stripped_starttls_sends_nothing() -> None:
    seen: list[bytes] = []

    outcome = await outcome_from(says(seen), tls="starttls", username="app", password=PASSWORD)

    assert outcome == Deferred(Reason.PROVIDER_UNAVAILABLE, stage=Stage.GREETING)
    assert [line[:4] for line in seen] == [b"EHLO"]


async def test_replies_injected_before_the_handshake_end_the_session() -> None:
    seen: list[bytes] = []
    server = says(seen, EHLO=b"250-rogue\r\n250 STARTTLS\r\n", STAR=b"220 go\r\n250 injected\r\n")

    outcome = await outcome_from(server, tls="starttls")

    assert outcome == Deferred(Reason.PROVIDER_UNAVAILABLE, stage=Stage.GREETING)
    assert [line[:4] for line in seen] == [b"EHLO", b"STAR"]


async def test_implicit_tls_encrypts_from_the_first_byte(tmp_path: Path) -> None:
    pem = certificate(tmp_path)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(pem)
    polite = says([])
    server = await asyncio.start_server(polite, "127.0.0.1", 0, ssl=context)
    async with server:
        config = smtp_config(server.sockets[0].getsockname()[1], tls="implicit", ca_file=str(pem))
        async with opened(config) as adapter:
            (outcome,) = await adapter.send([submission("ann@example.org")])

    assert outcome == Accepted(code="250")
