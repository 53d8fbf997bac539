"""Providers that fail for a while: they are left alone, nothing is lost, and channels that may turn elsewhere do."""

from __future__ import annotations

import socket
import time
from collections import Counter
from typing import TYPE_CHECKING, Any

import pytest

from processor.core.message import Attachment
from processor.core.words import Reason, Status
from tests.support.eventually import eventually
from tests.support.plant import PASSWORD, message, plant
from tests.support.sandboxed import Sandboxed

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

    from processor.sandbox.broker import Broker
    from tests.support.plant import Plant

SLOTS = 8
BREAKER = {"share": 0.5, "calls_min": 4, "pause": "500ms", "pause_max": "1s"}


@pytest.fixture(scope="module")
def closed_port() -> Iterator[int]:
    """A port at which nobody listens, and that nobody else gets meanwhile."""
    with socket.socket() as held:
        held.bind(("127.0.0.1", 0))
        yield held.getsockname()[1]


@pytest.fixture(scope="module")
def locked(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Sandboxed]:
    """A mail server that wants another password than the one configured."""
    made = Sandboxed(tmp_path_factory.mktemp("locked") / "ledger.jsonl", username="app", password="another")
    yield made
    made.close()


@pytest.fixture(scope="module")
def ward(
    kafka: Broker, tmp_path_factory: pytest.TempPathFactory, closed_port: int, locked: Sandboxed
) -> Iterator[Plant]:
    """A plant with quick breakers; `Turning` may turn from a mail server that is away to the one that works."""
    mail = {"adapter": "smtp", "bus_provider": "Mails", "bus_channel": "EMAIL", "host": "127.0.0.1", "tls": "off"}
    away = mail | {"port": closed_port, "from_address": "service@example.com", "breaker": BREAKER}
    login = {"username": "app", "password": {"env": "CANARY_TOKEN"}}
    channel = {"action": "EMAIL", "bus_channel": "EMAIL", "bus_provider": "Mails"}
    changes: dict[str, Any] = {
        "channels": {
            "Turning": channel | {"provider": "Away", "failover": ["Mail"], "retry": {"max_attempts": 0}},
            "Locked": channel | {"provider": "Locked"},
            "Proper": channel
            | {
                "provider": "Mail",
                "extended_properties": {"required": ["customer"], "properties": {"customer": {"pattern": "^[0-9]+$"}}},
            },
        },
        "providers": {
            "Away": away,
            "Locked": away | login | {"port": locked.smtp_port, "concurrency": SLOTS},
            "Mail": {"breaker": BREAKER, "concurrency": SLOTS},
            "TextOTP": {"breaker": BREAKER},
        },
    }
    folder = tmp_path_factory.mktemp("ward")
    (folder / "statements").mkdir()
    changes["attachments"] = {"file_roots": [str(folder / "statements")]}
    with plant(kafka.bootstrap, folder, changes=changes) as made:
        yield made


def test_a_failing_provider_is_left_alone_and_no_attempt_is_spent_until_it_is_back(ward: Plant) -> None:
    ward.sandbox.script({"default": "drop-before-dot"})
    ward.ask(message(f"ill-{number}", to="someone@example.com") for number in range(60))
    eventually(
        lambda: ward.metric("dispatch", "comm_breaker_open", provider="Mail") == 1,
        within_s=15,
        what="an open breaker",
    )
    opened = ward.processes["dispatch/0"]
    ward.ask(message(f"late-{number}", to="someone@example.com") for number in range(20))
    ward.sandbox.script({})
    ward.drained(within_s=30)

    ledgers = ward.check()
    ends = Counter(each.status for each in ledgers.delivery if each.message_id.startswith(("ill-", "late-")))
    charged = [each for each in ledgers.retry if each.message_id.startswith(("ill-", "late-")) and each.charged]
    assert ends == {Status.SENT: 80}
    assert len(charged) <= 2 * SLOTS  # what was under way when it opened, and not a probe more
    assert all(each.charged == 1 for each in charged)
    assert [line["reason"] for line in ward.lines("dispatch") if line["event"] == "breaker.opened"] == [
        "connection_broken"
    ]
    assert not opened.ended()


def test_a_channel_that_may_turns_to_its_next_provider_and_each_is_called_once(ward: Plant) -> None:
    ward.ask(message(f"turns-{number}", "Turning", to="someone@example.com") for number in range(50))
    ward.drained(within_s=30)

    ledgers = ward.check()
    ends = [each for each in ledgers.delivery if each.message_id.startswith("turns-")]
    failed = [each for each in ledgers.retry if each.message_id.startswith("turns-")]
    assert {(each.status, each.provider) for each in ends} == {(Status.SENT, "Mail")}
    assert {(each.provider, each.reason) for each in failed} == {("Away", Reason.PROVIDER_UNAVAILABLE)}
    assert max(Counter(each.message_id for each in failed).values()) == 1
    assert ward.metric("dispatch", "comm_failovers_total", provider="Away", to="Mail") == 50


def test_a_refused_password_opens_the_breaker_with_one_line_and_not_one_for_each_message(
    ward: Plant, locked: Sandboxed
) -> None:
    soon_ms = time.time_ns() // 1_000_000 + 5_000
    ward.ask(message(f"locked-{number}", "Locked", to="someone@example.com", end_at_ms=soon_ms) for number in range(60))
    ward.drained(within_s=40)

    ledgers = ward.check()
    ends = Counter(each.status for each in ledgers.delivery if each.message_id.startswith("locked-"))
    failed = [each for each in ledgers.retry if each.message_id.startswith("locked-")]
    assert ends == {Status.EXPIRED: 60}
    assert {each.reason for each in failed} == {Reason.AUTHENTICATION_FAILED}
    assert sum(each.charged for each in failed) <= 1  # the answer that opened it
    told = [(line["event"], line.get("reason")) for line in ward.lines("dispatch") if _is_about_locked(line)]
    assert sorted(told, key=str) == [("breaker.opened", "authentication_failed"), ("login.refused", None)]
    assert not locked.entries()
    assert PASSWORD not in ward.output()


def _is_about_locked(line: Mapping[str, Any]) -> bool:
    return line.get("provider") == "Locked" or line["event"] == "login.refused"


def test_properties_that_do_not_fit_their_channel_reject_the_message_and_nothing_else(ward: Plant) -> None:
    ward.ask(
        [
            message("proper-1", "Proper", to="someone@example.com", properties={"customer": "canary-customer"}),
            message("proper-2", "Proper", to="someone@example.com", properties={"customer": "123456"}),
        ]
    )
    ward.drained(within_s=20)

    ends = {each.message_id: each for each in ward.check().delivery if each.message_id.startswith("proper-")}
    assert (ends["proper-1"].status, ends["proper-1"].reason) == (Status.REJECTED, Reason.INVALID_PROPERTIES)
    assert ends["proper-1"].field_name == "properties.customer"
    assert ends["proper-2"].status is Status.SENT
    assert "canary-customer" not in ward.output()


def test_recipients_that_are_refused_are_named_the_others_get_one_mail_each(ward: Plant) -> None:
    cc = ("rcpt-550@example.com", "rcpt-450-1x@example.com", "ann@example.com")
    ward.ask([message("partly-1", to="someone@example.com", cc=cc)])
    ward.drained(within_s=20)

    ledgers = ward.check()
    (end,) = [each for each in ledgers.delivery if each.message_id == "partly-1"]
    (again,) = [each for each in ledgers.retry if each.message_id == "partly-1"]
    assert (end.status, end.attempt) == (Status.SENT, 2)
    assert again.recipients_refused == (1,)  # to is 0, then cc
    mailed = Counter(
        to for entry in ledgers.provider if entry.accepted and entry.message_id == "partly-1" for to in entry.recipients
    )
    assert mailed == {"someone@example.com": 1, "rcpt-450-1x@example.com": 1, "ann@example.com": 1}


def test_a_provider_that_throttles_is_called_more_slowly_and_no_attempt_is_charged(ward: Plant) -> None:
    ward.sandbox.script({"default": "throttle-421-1x"})
    ward.ask(message(f"fast-{number}", to="someone@example.com") for number in range(10))
    eventually(
        lambda: ward.metric("dispatch", "comm_pace_limit_calls_per_second", provider="Mail", loop="dispatch") > 0,
        within_s=15,
        what="a slower pace",
    )
    ward.drained(within_s=60)
    ward.sandbox.script({})

    ledgers = ward.check()
    assert {each.status for each in ledgers.delivery if each.message_id.startswith("fast-")} == {Status.SENT}
    assert {each.charged for each in ledgers.retry if each.message_id.startswith("fast-")} == {0}


def test_attachments_by_reference_go_out_with_their_content_or_say_why_not(ward: Plant) -> None:
    folder = ward.folder / "statements"
    (folder / "june.pdf").write_bytes(b"%PDF-1.7 " + bytes(2_000))
    (ward.folder / "secret.pdf").write_bytes(b"canary-file")

    def attached(path: Path) -> Attachment:
        return Attachment("june.pdf", "application/pdf", url=path.as_uri())

    one_try: dict[str, Any] = {"to": "someone@example.com", "retry_max_attempts": 0}
    ward.ask(
        [
            message("attached-1", attachments=[attached(folder / "june.pdf")], **one_try),
            message("attached-2", attachments=[attached(folder / "july.pdf")], **one_try),
            message("attached-3", attachments=[attached(ward.folder / "secret.pdf")], **one_try),
        ]
    )
    ward.drained(within_s=20)

    ledgers = ward.check()
    ends = {each.message_id: each for each in ledgers.delivery if each.message_id.startswith("attached-")}
    (sent,) = [entry for entry in ledgers.provider if entry.message_id == "attached-1"]
    assert ends["attached-1"].status is Status.SENT
    assert sent.size_bytes > 2_600  # 2,000 bytes in base64
    assert (ends["attached-2"].status, ends["attached-2"].reason) == (Status.FAILED, Reason.RETRIES_EXHAUSTED)
    assert (ends["attached-3"].status, ends["attached-3"].reason) == (Status.REJECTED, Reason.ATTACHMENT_REFUSED)
    assert "canary-file" not in ward.output()
