"""What dispatch may rely on, whatever the adapter: one suite, passed by each with its sandbox twin."""

from __future__ import annotations

import asyncio
import socket
from typing import TYPE_CHECKING, Any

import pytest
import pytest_asyncio

from processor.core.outcome import Accepted, Deferred, Rejected, Stage, Throttled, Unknown
from processor.core.words import Reason
from processor.providers.attachments.adapter import WithAttachments
from processor.providers.attachments.config import AttachmentsConfig
from processor.sandbox.behaviour import parse_rule
from tests.providers.twins import (
    BODY,
    PASSWORD,
    Twin,
    http_config,
    listening,
    opened,
    sandbox_at,
    smpp_config,
    smtp_config,
    submission,
)
from tests.support.eventually import eventually_async

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

    from processor.providers.catalogue import AdapterConfig
    from processor.providers.http.config import HttpConfig
    from processor.providers.smpp.config import SmppConfig
    from processor.providers.smtp.config import SmtpConfig

HOSTILE_RECIPIENTS = [
    "",
    "plain",
    "a@b,c@d",
    "x:;",
    "a@b> SIZE=1",
    "a@b\r\nRCPT TO:<x@y>",
    "a@b\nX: y",
    "a@b\x00",
    "a@b\u2028",
    "a@b\u202e",
    "Ann <a@b>",
    "a@b@c",
    "a@-b",
    "a..b@c",
    f"{'a' * 65}@b",
    f"a@{'b.' * 130}c",
    "a@b\ud800",
]

HOSTILE_LINES = ["a\r\nBcc: x@y.example", "a\nb", "a\x00", "a\u2028b", "a\u0085b", "a\x1b[31m", "half \ud800"]


FAILURES = ["bounce-550", "rcpt-550", "defer-451", "throttle-421", "drop-before-dot", "drop-after-dot", "slow-9s"]


class ProviderContract:
    """Every adapter's promises."""

    twin: Twin
    port: int  # of the twin's server

    def config(self, port: int, *, host: str = "127.0.0.1", **settings: Any) -> AdapterConfig:
        """The adapter's configuration against a server on *port*."""
        raise NotImplementedError

    def to(self, name: str) -> str:
        """The recipient that asks the twin for what *name* says."""
        return f"{name}@example.org"

    async def test_what_the_provider_takes_is_accepted_with_its_code_and_recorded_once(self) -> None:
        outcome = await self.twin.send(submission(self.to("ann"), message_id="m:7", attempt=3))

        assert isinstance(outcome, Accepted)
        assert outcome.code
        (entry,) = self.twin.ledger
        assert (entry.message_id, entry.attempt, entry.recipients) == ("m:7", 3, (self.to("ann"),))
        assert entry.accepted

    async def test_each_of_a_batch_has_its_own_outcome_in_order(self) -> None:
        names = ["ann", "bounce-550", "no address", "bob"]
        batch = [submission(self.to(name), message_id=f"m-{index}") for index, name in enumerate(names)]

        outcomes = await self.twin.adapter.send(batch)

        assert [type(outcome) for outcome in outcomes] == [Accepted, Rejected, Rejected, Accepted]
        assert [entry.message_id for entry in self.twin.accepted] == ["m-0", "m-3"]

    async def test_a_permanent_refusal_is_rejected(self) -> None:
        outcome = await self.twin.send(submission(self.to("bounce-550")))

        assert isinstance(outcome, Rejected)
        assert outcome.reason is Reason.PROVIDER_REJECTED
        assert not self.twin.accepted

    async def test_a_temporary_refusal_is_deferred_and_a_later_attempt_can_pass(self) -> None:
        first, second, third = [
            await self.twin.send(submission(self.to("defer-451-2x"), attempt=attempt)) for attempt in (1, 2, 3)
        ]

        assert isinstance(first, Deferred)
        assert isinstance(second, Deferred)
        assert isinstance(third, Accepted)
        assert [entry.attempt for entry in self.twin.accepted] == [3]

    async def test_a_request_to_slow_down_is_throttled(self) -> None:
        outcome = await self.twin.send(submission(self.to("throttle-421")))

        assert isinstance(outcome, Throttled)
        assert not self.twin.accepted

    async def test_a_refused_connection_is_certainly_not_sent(self) -> None:
        with socket.socket() as taken:  # bound but not listening: nobody else gets this port meanwhile
            taken.bind(("127.0.0.1", 0))
            async with opened(self.config(taken.getsockname()[1])) as adapter:
                (outcome,) = await adapter.send([submission(self.to("ann"))])

        assert outcome == Deferred(Reason.PROVIDER_UNAVAILABLE, stage=Stage.CONNECT)

    @pytest.mark.parametrize("host", ["nowhere.invalid", "a" * 70])
    async def test_a_host_that_does_not_exist_is_certainly_not_sent(self, host: str) -> None:
        async with opened(self.config(25, host=host)) as adapter:
            (outcome,) = await adapter.send([submission(self.to("ann"))])

        assert outcome == Deferred(Reason.PROVIDER_UNAVAILABLE, stage=Stage.CONNECT)

    async def test_a_line_cut_after_hand_over_is_unknown_with_one_entry(self) -> None:
        outcome = await self.twin.send(submission(self.to("drop-after-dot")))

        assert outcome == Unknown(Reason.ANSWER_MISSING, stage=Stage.HAND_OVER)
        assert len(self.twin.ledger) == 1

    async def test_an_answer_beyond_the_time_out_is_unknown_with_one_entry(self) -> None:
        outcome = await self.twin.send(submission(self.to("slow-9s")))

        assert outcome == Unknown(Reason.ANSWER_MISSING, stage=Stage.HAND_OVER)
        assert len(self.twin.ledger) == 1

    async def test_an_adapter_sends_on_after_every_kind_of_failure(self) -> None:
        for name in (
            "bounce-550",
            "rcpt-550",
            "defer-451",
            "throttle-421",
            "drop-before-dot",
            "drop-after-dot",
            "slow-9s",
        ):
            await self.twin.send(submission(self.to(name), message_id=name))

            outcome = await self.twin.send(submission(self.to("ann"), message_id=f"after-{name}"))

            assert isinstance(outcome, Accepted), name

    async def test_many_calls_at_once_are_each_recorded_once(self) -> None:
        batches = [[submission(self.to("ann"), message_id=f"m-{number}")] for number in range(100)]

        async with opened(self.config(self.port, answer_timeout_ms=30_000, connect_timeout_ms=30_000)) as adapter:
            outcomes = await asyncio.gather(*map(adapter.send, batches))

        assert all(isinstance(outcome, Accepted) for (outcome,) in outcomes)
        assert sorted(entry.message_id or "" for entry in self.twin.ledger) == sorted(f"m-{n}" for n in range(100))

    async def test_a_cancelled_call_leaves_nothing_behind_for_the_next(self) -> None:
        call = asyncio.create_task(self.twin.send(submission(self.to("slow-100ms"), message_id="cancelled")))
        await eventually_async(lambda: self.twin.ledger, within_s=5)
        call.cancel()
        with pytest.raises(asyncio.CancelledError):
            await call

        assert isinstance(await self.twin.send(submission(self.to("ann"))), Accepted)

    @pytest.mark.parametrize("recipient", HOSTILE_RECIPIENTS)
    async def test_what_is_not_one_address_never_reaches_a_socket(self, recipient: str) -> None:
        connections: list[object] = []

        async def count(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            connections.append(writer)

        async with listening(count) as port, opened(self.config(port)) as adapter:
            for field in ("to", "cc", "bcc"):
                content: dict[str, Any] = {} if field == "to" else {field: (self.to("ok"), recipient)}
                to = recipient if field == "to" else self.to("ann")
                (outcome,) = await adapter.send([submission(to, **content)])
                assert outcome == Rejected(Reason.INVALID_RECIPIENT, stage=Stage.CONNECT, field_name=field)
        assert not connections

    @pytest.mark.parametrize("line", HOSTILE_LINES)
    async def test_a_subject_that_is_not_one_clean_line_never_reaches_a_socket(self, line: str) -> None:
        outcome = await self.twin.send(submission(self.to("ann"), subject=line))

        assert outcome == Rejected(Reason.INVALID_CONTENT, stage=Stage.CONNECT, field_name="subject")
        assert not self.twin.ledger

    @pytest.mark.parametrize("body", ["nul \x00", "half \ud800"])
    async def test_a_body_that_cannot_be_written_never_reaches_a_socket(self, body: str) -> None:
        for field in ("text", "html"):
            content: dict[str, Any] = {field: body}
            outcome = await self.twin.send(submission(self.to("ann"), **content))
            assert outcome == Rejected(Reason.INVALID_CONTENT, stage=Stage.CONNECT, field_name=field)
        assert not self.twin.ledger

    async def test_a_message_without_content_is_rejected(self) -> None:
        outcome = await self.twin.send(submission(self.to("ann"), text=None))

        assert outcome == Rejected(Reason.INVALID_CONTENT, stage=Stage.CONNECT, field_name="text")

    async def test_nothing_secret_is_in_a_repr(self) -> None:
        config = self.config(25, password=PASSWORD)
        asked = submission(self.to("canary-recipient"), subject="canary-subject")
        outcomes = [
            await self.twin.send(submission(self.to(name), subject="canary-subject"))
            for name in ("canary-recipient", "bounce-550+canary-recipient", "drop-after-dot+canary-recipient")
        ]

        shown = repr([config, asked, outcomes])

        for secret in (PASSWORD, BODY, "canary-recipient", self.to("canary-recipient"), "canary-subject"):
            assert secret not in shown

    async def test_closing_twice_is_allowed(self) -> None:
        await self.twin.adapter.close()
        await self.twin.adapter.close()


class TestSmtp(ProviderContract):
    @pytest_asyncio.fixture(autouse=True)
    async def _twin(self, tmp_path: Path) -> AsyncIterator[None]:
        async with sandbox_at(tmp_path) as sandbox, opened(self.config(sandbox.smtp_port)) as adapter:
            self.port = sandbox.smtp_port
            self.twin = Twin(adapter, sandbox)
            yield

    def config(self, port: int, *, host: str = "127.0.0.1", **settings: Any) -> SmtpConfig:
        return smtp_config(port, host=host, **settings)

    async def test_a_line_cut_before_the_dot_is_certainly_not_sent(self) -> None:
        outcome = await self.twin.send(submission(self.to("drop-before-dot")))

        assert outcome == Deferred(Reason.CONNECTION_BROKEN, stage=Stage.PREPARE)
        assert not self.twin.ledger


class TestHttp(ProviderContract):
    @pytest_asyncio.fixture(autouse=True)
    async def _twin(self, tmp_path: Path) -> AsyncIterator[None]:
        async with sandbox_at(tmp_path) as sandbox, opened(self.config(sandbox.http_port)) as adapter:
            self.port = sandbox.http_port
            self.twin = Twin(adapter, sandbox)
            yield

    def config(self, port: int, *, host: str = "127.0.0.1", **settings: Any) -> HttpConfig:
        return http_config(f"http://{host}:{port}/email", **settings)

    async def test_what_some_recipients_have_already_is_not_sent_to_all_again(self) -> None:
        left = submission(self.to("ann"), cc=(self.to("bob"),))._replace(attempt=2, recipients=(1,))

        outcomes = await self.twin.adapter.send([left, submission(self.to("eva"), message_id="m-2")])

        assert outcomes[0] == Rejected(Reason.INVALID_RECIPIENT, stage=Stage.CONNECT, field_name="to")
        assert [entry.message_id for entry in self.twin.accepted] == ["m-2"]

    async def test_a_line_cut_before_the_request_is_certainly_not_sent(self) -> None:
        # A handshake with a server that speaks no TLS: the last moment at which HTTP can be certain.
        async with opened(http_config(f"https://127.0.0.1:{self.twin.sandbox.http_port}/email")) as adapter:
            (outcome,) = await adapter.send([submission(self.to("ann"))])

        assert outcome == Deferred(Reason.PROVIDER_UNAVAILABLE, stage=Stage.CONNECT)
        assert not self.twin.ledger


class TestHttpBulk(TestHttp):
    """The same promises where several messages go in one call."""

    def config(self, port: int, *, host: str = "127.0.0.1", **settings: Any) -> HttpConfig:
        single = http_config("http://unused.invalid")
        return http_config(
            f"http://{host}:{port}/email",
            body={"messages": "{{ items }}"},
            item=single.body,
            results="results",
            result_reference="message_id",
            code="status",
            codes={word: word for word in ("accepted", "rejected", "deferred", "throttled")},
            **settings,
        )


class TestSmpp(ProviderContract):
    @pytest_asyncio.fixture(autouse=True)
    async def _twin(self, tmp_path: Path) -> AsyncIterator[None]:
        self.numbers: dict[str, str] = {}
        async with sandbox_at(tmp_path) as sandbox, opened(self.config(sandbox.smsc_port)) as adapter:
            self.port = sandbox.smsc_port
            self.twin = Twin(adapter, sandbox)
            yield

    def config(self, port: int, *, host: str = "127.0.0.1", **settings: Any) -> SmppConfig:
        return smpp_config(port, host=host, **settings)

    def to(self, name: str) -> str:
        """A number that the twin's script takes for what *name* says; a name that is no number stays one."""
        if " " in name:
            return name
        self.numbers.setdefault(name, f"+40722{len(self.numbers):06}")
        rules = {number: rule for each, number in self.numbers.items() if parse_rule(rule := each.partition("+")[0])}
        self.twin.sandbox.behaviour.replace(rules)
        return self.numbers[name]

    async def test_a_line_cut_before_the_submit_is_certainly_not_sent(self) -> None:
        async def hang_up(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            await reader.read(16)

        async with listening(hang_up) as port, opened(self.config(port)) as adapter:
            (outcome,) = await adapter.send([submission(self.to("ann"))])

        assert outcome == Deferred(Reason.PROVIDER_UNAVAILABLE, stage=Stage.GREETING)


class TestSmppTransmitterAndReceiver(TestSmpp):
    """The same promises over two binds, and whole texts."""

    def config(self, port: int, *, host: str = "127.0.0.1", **settings: Any) -> SmppConfig:
        pair = {"bind": "transmitter_receiver", "payload": "message_payload", "connections": 2}
        return smpp_config(port, host=host, **pair | settings)


class TestHttpWithAttachments(TestHttp):
    """The same promises where attachments are fetched first."""

    @pytest_asyncio.fixture(autouse=True)
    async def _twin(self, tmp_path: Path) -> AsyncIterator[None]:
        async with sandbox_at(tmp_path) as sandbox, opened(self.config(sandbox.http_port)) as adapter:
            self.port = sandbox.http_port
            self.twin = Twin(WithAttachments(adapter, AttachmentsConfig()), sandbox)
            yield
