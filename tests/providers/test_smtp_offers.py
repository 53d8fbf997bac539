"""What a server offers decides how a mail goes, and whether it can go at all."""

from __future__ import annotations

import asyncio
import email
import email.policy
from typing import TYPE_CHECKING, Any

import pytest
import structlog

from processor.core.outcome import Accepted, Deferred, Rejected, Stage, Throttled
from processor.core.words import Reason
from processor.providers.catalogue import open_adapter
from processor.sandbox.ledger import read_ledger
from tests.providers.rogue import says
from tests.providers.twins import PASSWORD, listening, opened, sandbox_at, smtp_config, submission
from tests.support.certificates import certificate

if TYPE_CHECKING:
    from pathlib import Path

    from processor.core.outcome import Outcome


def offers(*keywords: str) -> bytes:
    return b"".join(b"250-%b\r\n" % keyword.encode() for keyword in ("rogue", *keywords)) + b"250 HELP\r\n"


async def outcomes_from(serve: Any, *batch: Any, **settings: Any) -> list[Outcome]:
    async with listening(serve) as port, opened(smtp_config(port, **settings)) as adapter:
        one_by_one = [await adapter.send([each]) for each in batch or [submission("ann@example.org")]]
    return [outcome for (outcome,) in one_by_one]


# SIZE (RFC 1870).


async def test_the_size_is_announced_without_the_stuffed_dots() -> None:
    seen: list[bytes] = []

    await outcomes_from(says(seen, EHLO=offers("SIZE")), submission("ann@example.org", text=".\n.\n"))

    (announced,) = [line for line in seen if line.startswith(b"MAIL")]
    (content,) = [line for line in seen if line.startswith(b"From:")]
    assert b"\r\n..\r\n..\r\n" in content
    assert announced == b"MAIL FROM:<service@example.com> SIZE=%d\r\n" % (len(content) - 2 - 3)


async def test_a_mail_larger_than_the_server_takes_is_rejected_unsent_and_the_next_one_goes() -> None:
    seen: list[bytes] = []

    found = await outcomes_from(
        says(seen, EHLO=offers("SIZE 2000")),
        submission("ann@example.org", text="long\n" * 1_000),
        submission("ann@example.org"),
    )

    assert found == [Rejected(Reason.TOO_LARGE, stage=Stage.PREPARE), Accepted(code="250")]
    assert [line[:4] for line in seen if line[:4] in {b"EHLO", b"MAIL"}] == [b"EHLO", b"MAIL"]


@pytest.mark.parametrize("limit", ["SIZE 0", "SIZE", "SIZE much", "SIZE " + "9" * 400])
async def test_a_limit_that_is_none_limits_nothing(limit: str) -> None:
    assert await outcomes_from(says([], EHLO=offers(limit))) == [Accepted(code="250")]


# 8BITMIME (RFC 6152).


async def test_text_goes_as_it_is_where_the_server_takes_it() -> None:
    seen: list[bytes] = []
    two = [submission("ann@example.org", text="Grüße\n", html="<b>ü</b>")] * 2

    assert await outcomes_from(says(seen, EHLO=offers("8BITMIME")), *two) == [Accepted(code="250")] * 2

    envelopes = [line for line in seen if line.startswith(b"MAIL")]
    first, second = [line.removesuffix(b".\r\n") for line in seen if line.startswith(b"From:")]
    assert b"BODY=8BITMIME" not in envelopes[0]  # nothing is known of a server before it was asked
    assert first.isascii()
    assert envelopes[1].endswith(b" BODY=8BITMIME\r\n")
    assert "Grüße".encode() in second
    for content in (first, second):
        plain, html = email.message_from_bytes(content, policy=email.policy.default).iter_parts()
        assert plain.get_content().split() == ["Grüße"]
        assert html.get_content().split() == ["<b>ü</b>"]


async def test_a_line_that_is_too_long_is_encoded_all_the_same() -> None:
    seen: list[bytes] = []
    two = [submission("ann@example.org", text="ü" * 500)] * 2

    await outcomes_from(says(seen, EHLO=offers("8BITMIME")), *two)

    assert all(line.isascii() for line in seen)


async def test_a_server_that_no_longer_offers_it_gets_the_mail_encoded() -> None:
    seen: list[bytes] = []
    connections = 0

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal connections
        connections += 1
        hello = offers("8BITMIME") if connections == 1 else offers()
        await says(seen, EHLO=hello, hangs_up_on_second=b"MAIL" if connections == 1 else b"-")(reader, writer)

    two = [submission("ann@example.org", text="ü")] * 2
    assert await outcomes_from(serve, *two) == [Accepted(code="250")] * 2

    assert [b"BODY" in line for line in seen if line.startswith(b"MAIL")] == [False, True, False]
    assert all(line.isascii() for line in seen if line.startswith(b"From:"))


# SMTPUTF8 (RFC 6531) and international domains (RFC 5890).


async def test_an_international_domain_goes_in_a_labels_to_any_server() -> None:
    seen: list[bytes] = []

    found = await outcomes_from(says(seen), submission("ann@Bücher.example", cc=("bob@xn--bcher-kva.example",)))

    assert found == [Accepted(code="250")]
    assert [line for line in seen if line.startswith(b"RCPT")] == [
        b"RCPT TO:<ann@xn--bcher-kva.example>\r\n",
        b"RCPT TO:<bob@xn--bcher-kva.example>\r\n",
    ]
    (content,) = [line for line in seen if line.startswith(b"From:")]
    assert b"\r\nTo: ann@xn--bcher-kva.example\r\n" in content


async def test_a_local_part_beyond_ascii_goes_where_the_server_takes_it() -> None:
    seen: list[bytes] = []

    found = await outcomes_from(says(seen, EHLO=offers("8BITMIME", "SMTPUTF8")), submission("jürgen@bücher.example"))

    assert found == [Accepted(code="250")]
    assert b"MAIL FROM:<service@example.com> SMTPUTF8\r\n" in seen
    assert "RCPT TO:<jürgen@xn--bcher-kva.example>\r\n".encode() in seen
    (content,) = [line for line in seen if line.startswith(b"From:")]
    assert "\r\nTo: jürgen@xn--bcher-kva.example\r\n".encode() in content


@pytest.mark.parametrize("keywords", [(), ("8BITMIME",), ("SMTPUTF8",)])
async def test_a_local_part_beyond_ascii_is_rejected_unsent_where_it_does_not(keywords: tuple[str, ...]) -> None:
    seen: list[bytes] = []

    found = await outcomes_from(
        says(seen, EHLO=offers(*keywords)), submission("jürgen@example.org"), submission("ann@example.org")
    )

    assert found == [Rejected(Reason.INVALID_RECIPIENT, stage=Stage.PREPARE), Accepted(code="250")]
    assert sum(line.startswith(b"MAIL") for line in seen) == 1


async def test_a_blind_copy_that_needs_it_stays_out_of_the_headers(tmp_path: Path) -> None:
    async with sandbox_at(tmp_path) as sandbox, opened(smtp_config(sandbox.smtp_port)) as adapter:
        (outcome,) = await adapter.send([submission("ann@example.org", bcc=("jürgen@example.org",))])

    assert isinstance(outcome, Accepted)
    (entry,) = read_ledger(sandbox.ledger_path)
    assert entry.recipients == ("ann@example.org", "jürgen@example.org")


# 421 (RFC 5321 §3.8).


@pytest.mark.parametrize("verb", ["EHLO", "MAIL", "RCPT", "DATA"])
@pytest.mark.parametrize("pipelining", [True, False])
async def test_421_closes_the_connection_and_costs_no_attempt_at_any_command(verb: str, pipelining: bool) -> None:
    seen: list[bytes] = []
    replies = {"EHLO": offers("PIPELINING") if pipelining else offers(), verb: b"421 4.3.2 going down\r\n"}

    found = await outcomes_from(says(seen, **replies), submission("a@example.org"), submission("b@example.org"))

    assert found == [Throttled(code="421 4.3.2")] * 2
    assert sum(line.startswith(b"EHLO") for line in seen) == 2
    assert not any(line.startswith(b"From:") for line in seen)


async def test_421_at_the_dot_and_in_the_greeting_costs_no_attempt_either() -> None:
    assert await outcomes_from(says([], dot=b"421 later\r\n")) == [Throttled(code="421")]
    assert await outcomes_from(says([], greeting=b"421 4.7.0 busy\r\n")) == [Throttled(code="421 4.7.0")]


async def test_a_refusal_just_before_the_server_hangs_up_is_heard() -> None:
    server = says([], EHLO=offers("PIPELINING"), MAIL=b"550 5.7.1 not from you\r\n", RCPT=b"")

    assert await outcomes_from(server) == [Rejected(Reason.PROVIDER_REJECTED, "550 5.7.1")]


async def test_454_is_a_failed_login_or_tls_and_no_request_to_slow_down() -> None:
    login = says([], EHLO=offers("AUTH PLAIN"), AUTH=b"454 4.7.0 not now\r\n")
    tls = says([], EHLO=offers("STARTTLS"), STAR=b"454 4.7.0 not now\r\n")

    assert await outcomes_from(login, username="app", password=PASSWORD) == [
        Deferred(Reason.AUTHENTICATION_FAILED, "454 4.7.0")
    ]
    assert await outcomes_from(tls, tls="starttls") == [Deferred(Reason.PROVIDER_UNAVAILABLE, "454 4.7.0")]


# Codes of one's own.


@pytest.mark.parametrize(
    ("codes", "reply", "expected"),
    [
        ({"451": "throttled"}, b"451 4.3.0 later\r\n", Throttled(code="451 4.3.0")),
        ({"4.7.1": "deferred"}, b"450 4.7.1 grey\r\n", Deferred(Reason.PROVIDER_DEFERRED, "450 4.7.1")),
        ({"450": "rejected"}, b"450 4.7.1 grey\r\n", Throttled(code="450 4.7.1")),
        ({"5.1.1": "unavailable"}, b"550 5.1.1 who\r\n", Deferred(Reason.PROVIDER_UNAVAILABLE, "550 5.1.1")),
        ({"550": "authentication"}, b"550 no\r\n", Deferred(Reason.AUTHENTICATION_FAILED, "550")),
    ],
)
async def test_what_codes_say_wins_over_the_tables(codes: dict[str, str], reply: bytes, expected: Outcome) -> None:
    assert await outcomes_from(says([], RCPT=reply), codes=codes) == [expected]


@pytest.mark.parametrize("codes", [{"250": "rejected"}, {"4.7": "deferred"}, {"450": "accepted"}, {"450 ": "deferred"}])
def test_codes_that_are_no_refusals_or_mean_nothing_are_refused(codes: dict[str, str]) -> None:
    with pytest.raises(ValueError, match="codes"):
        open_adapter("smtp", smtp_config(25, codes=codes))


# Opportunistic TLS.


async def test_opportunistic_encrypts_where_it_can_and_checks_the_certificate(tmp_path: Path) -> None:
    right, wrong = certificate(tmp_path), certificate(tmp_path, host="127.0.0.9")
    found: list[Outcome] = []
    for pem in (right, wrong):
        async with sandbox_at(tmp_path, tls_certificate=pem) as sandbox:
            config = smtp_config(sandbox.smtp_port, tls="opportunistic", ca_file=str(pem))
            async with opened(config) as adapter:
                found += await adapter.send([submission("ann@example.org")])

    assert isinstance(found[0], Accepted)
    assert found[1] == Deferred(Reason.PROVIDER_UNAVAILABLE, stage=Stage.GREETING)


async def test_opportunistic_goes_on_in_plain_text_where_no_tls_is_offered() -> None:
    assert await outcomes_from(says([]), tls="opportunistic") == [Accepted(code="250")]


# A login that is refused (FAULTS S21).


async def test_a_refused_login_is_tried_once_and_told_once_however_many_messages_wait() -> None:
    seen: list[bytes] = []
    server = says(seen, EHLO=offers("AUTH PLAIN"), AUTH=b"535 5.7.8 no\r\n")

    with structlog.testing.capture_logs() as lines:
        async with listening(server) as port:
            config = smtp_config(port, username="app", password=PASSWORD)
            async with opened(config) as adapter:
                waiting = [adapter.send([submission("ann@example.org")] * 3) for _ in range(20)]
                found = [outcome for outcomes in await asyncio.gather(*waiting) for outcome in outcomes]

    assert found == [Deferred(Reason.AUTHENTICATION_FAILED, "535 5.7.8")] * 60
    assert sum(line.startswith(b"EHLO") for line in seen) == 1
    assert lines == [{"event": "login.refused", "log_level": "error", "host": "127.0.0.1", "reply_code": "535"}]


async def test_a_login_is_tried_again_after_the_pause_and_then_all_goes_on() -> None:
    seen: list[bytes] = []
    logins = 0

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal logins
        logins += 1
        answer = b"535 5.7.8 no\r\n" if logins == 1 else b"235 yes\r\n"
        await says(seen, EHLO=offers("AUTH PLAIN"), AUTH=answer)(reader, writer)

    async with listening(serve) as port:
        config = smtp_config(port, username="app", password=PASSWORD, login_pause_ms=1)
        async with opened(config) as adapter:
            (first,) = await adapter.send([submission("ann@example.org")])
            while not isinstance((await adapter.send([submission("ann@example.org")]))[0], Accepted):
                pass  # until the pause of a millisecond is over

    assert isinstance(first, Deferred)
    assert logins == 2


async def test_a_silent_server_makes_nobody_wait_for_the_others_first_logins() -> None:
    connections: list[object] = []

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        connections.append(writer)
        await reader.read()

    async with listening(serve) as port:
        config = smtp_config(port, username="app", password=PASSWORD, greeting_timeout_ms=100)
        async with opened(config) as adapter:
            waiting = [adapter.send([submission("ann@example.org")]) for _ in range(20)]
            found = [outcome for (outcome,) in await asyncio.gather(*waiting)]

    assert found == [Deferred(Reason.PROVIDER_UNAVAILABLE, stage=Stage.GREETING)] * 20
    assert len(connections) == 1


async def test_a_kept_session_serves_on_while_logins_are_refused() -> None:
    seen: list[bytes] = []
    logins = 0

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal logins
        logins += 1
        answer = b"235 yes\r\n" if logins == 1 else b"535 5.7.8 no\r\n"
        await says(seen, EHLO=offers("AUTH PLAIN"), AUTH=answer)(reader, writer)

    async with listening(serve) as port, opened(smtp_config(port, username="app", password=PASSWORD)) as adapter:
        await adapter.send([submission("ann@example.org")])
        both = await asyncio.gather(*(adapter.send([submission("ann@example.org")]) for _ in range(2)))
        (after,) = await adapter.send([submission("ann@example.org")])

    assert sorted(type(outcome).__name__ for (outcome,) in both) == ["Accepted", "Deferred"]
    assert isinstance(after, Accepted)
    assert logins == 2
