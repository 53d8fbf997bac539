"""Short message centres that misbehave: whatever they do, an outcome that is certain where it can be."""

from __future__ import annotations

import asyncio
from time import monotonic
from typing import TYPE_CHECKING, Any

import pytest
import uvloop

from processor.core.message import Attachment
from processor.core.outcome import Accepted, Deferred, Rejected, Stage, Throttled, Unknown
from processor.core.plan import Form
from processor.core.words import Reason
from processor.providers.adapter import TOO_LATE
from processor.providers.smpp import link
from processor.providers.smpp.adapter import SmppAdapter
from processor.providers.smpp.backoff import Ended, wait_ms
from processor.providers.smpp.pdu import PDU_BYTES_MAX, Malformed, take_pdus
from processor.providers.smpp.session import Session
from tests.providers.smsc_peer import ENQUIRE, SUBMIT, UNBIND, UNBIND_RESP, Connection, Peer, against, raw
from tests.providers.twins import PASSWORD, listening, opened, sandbox_at, smpp_config, submission
from tests.support.certificates import certificate
from tests.support.eventually import eventually_async

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from processor.core.outcome import Outcome
    from processor.sandbox.smsc_stream import Pdu

ANN = "+40722000111"
PERHAPS = Unknown(Reason.ANSWER_MISSING, stage=Stage.HAND_OVER)


def silent(connection: Connection, pdu: Pdu) -> None:
    """Answer nothing."""


def cut(connection: Connection, pdu: Pdu) -> None:
    connection.cut()


def status(code: int) -> Any:
    return lambda connection, pdu: connection.answer(pdu, code)


async def one(adapter: SmppAdapter, to: str = ANN, **content: Any) -> Outcome:
    (outcome,) = await adapter.send([submission(to, **content)])
    return outcome


def refused(field: str, reason: Reason = Reason.INVALID_RECIPIENT) -> Rejected:
    return Rejected(reason, stage=Stage.CONNECT, field_name=field)


def sent_soon(adapter: SmppAdapter, count: int) -> list[asyncio.Task[Sequence[Outcome]]]:
    return [asyncio.create_task(adapter.send([submission(ANN, message_id=f"m-{n}")])) for n in range(count)]


# What is sent.


async def test_a_text_whose_time_is_over_while_the_window_is_full_is_not_submitted() -> None:
    peer = Peer({SUBMIT: silent})
    async with against(peer, window_size=1) as adapter:
        first = asyncio.create_task(adapter.send([submission(ANN)]))
        await eventually_async(lambda: len(peer.submits) == 1, within_s=5)
        late = submission(ANN, message_id="m-2")._replace(until_s=monotonic() + 0.1)
        assert await adapter.send([late]) == [TOO_LATE]
        assert await adapter.send([late]) == [TOO_LATE]  # by then before it has asked for a place
        assert await first == [PERHAPS]

    assert len(peer.submits) == 1


async def test_a_text_that_is_recalled_while_it_waits_for_a_place_leaves_it_to_the_next() -> None:
    held: list[tuple[Connection, Pdu]] = []
    peer = Peer({SUBMIT: lambda connection, pdu: held.append((connection, pdu))})
    async with against(peer, window_size=1, answer_timeout_ms=10_000) as adapter:
        first = asyncio.create_task(one(adapter))
        await eventually_async(lambda: held, within_s=5)
        waiting = submission(ANN)._replace(is_stopped=lambda: len(held) > 0 and held[0][1].sequence in answered)
        answered: set[int] = set()
        recalled = asyncio.create_task(adapter.send([waiting]))
        await asyncio.sleep(0)
        next_one = asyncio.create_task(one(adapter))
        await asyncio.sleep(0)
        answered.add(held[0][1].sequence)
        held[0][0].answer(held[0][1])
        assert isinstance(await first, Accepted)
        assert await recalled == [TOO_LATE]
        await eventually_async(lambda: len(held) == 2, within_s=5)
        held[1][0].answer(held[1][1])
        assert isinstance(await next_one, Accepted)


async def test_a_message_goes_out_as_configured() -> None:
    peer = Peer()
    settings: dict[str, Any] = {"source_addr": "BANK", "system_type": "t", "password": PASSWORD, "service_type": "CMT"}
    async with against(peer, **settings) as adapter:
        outcome = await one(adapter, text="Hello €", message_id="m-7", attempt=3)

    assert outcome == Accepted("id-1", "0x00000000", segments=1, encoding="gsm7")
    assert peer.binds[0].body == b"app\0" + PASSWORD.encode() + b"\0t\0\x34\0\0\0"
    (submit,) = peer.submits
    assert (submit.source_addr, submit.source_addr_ton, submit.source_addr_npi) == ("BANK", 5, 0)
    assert (submit.destination_addr, submit.dest_addr_ton, submit.dest_addr_npi) == ("40722000111", 1, 1)
    assert (submit.short_message, submit.data_coding, submit.esm_class) == (b"Hello \x1be", 0, 0)
    assert (submit.service_type, submit.registered_delivery) == ("CMT", 1)
    assert [(tlv.tag, tlv.value) for tlv in submit.tlvs] == [(0x1400, b"3:m-7")]


async def test_a_long_text_goes_in_parts_that_a_header_joins_and_asks_for_a_receipt_of_each() -> None:
    peer = Peer()
    async with against(peer) as adapter:
        outcome = await one(adapter, text="ț" * 150)

    assert isinstance(outcome, Accepted)
    assert (outcome.segments, outcome.encoding) == (3, "ucs2")
    assert outcome.part_ids == ("id-1",) * 3
    headers = [submit.short_message[:6] for submit in peer.submits]
    assert [(header[:3], header[4:]) for header in headers] == [(b"\5\0\3", bytes((3, part))) for part in (1, 2, 3)]
    assert len({header[3] for header in headers}) == 1
    assert [(s.esm_class, s.data_coding, s.registered_delivery) for s in peer.submits] == [(0x40, 8, 1)] * 3
    assert b"".join(s.short_message[6:] for s in peer.submits).decode("utf-16-be") == "ț" * 150


async def test_a_text_that_looks_like_a_header_is_none() -> None:
    peer = Peer()
    async with against(peer) as adapter:
        await one(adapter, text="Ԁ\u0300\u0301")  # in UCS-2: 05 00 03 00 03 01

    (submit,) = peer.submits
    assert submit.short_message.startswith(b"\5\0\3")
    assert submit.esm_class == 0


async def test_a_long_text_goes_whole_where_the_centre_cuts_it() -> None:
    peer = Peer()
    async with against(peer, payload="message_payload") as adapter:
        outcome = await one(adapter, text="a" * 1_000)

    assert isinstance(outcome, Accepted)
    assert outcome.segments == 7
    (submit,) = peer.submits
    assert (submit.short_message, submit.esm_class) == (b"", 0)
    assert (submit.tlvs[0].tag, submit.tlvs[0].value) == (0x0424, b"a" * 1_000)


@pytest.mark.parametrize("text", ["a" * 307, "ț" * 135])
async def test_more_segments_than_the_channel_allows_are_refused_unsent(text: str) -> None:
    peer = Peer()
    async with against(peer) as adapter:
        asked = submission(ANN, text=text)._replace(form=Form(segments_max=2))
        (outcome,) = await adapter.send([asked])

    assert outcome == Rejected(Reason.TOO_MANY_SEGMENTS, stage=Stage.CONNECT, field_name="text")
    assert not peer.connections


async def test_what_a_text_message_cannot_carry_is_refused_unsent() -> None:
    peer = Peer()
    attachment = Attachment("contract.pdf", "application/pdf", b"%PDF")
    async with against(peer) as adapter:
        assert await one(adapter, attachments=(attachment,)) == refused("attachments", Reason.INVALID_CONTENT)
        assert await one(adapter, cc=("+40722000112",)) == refused("cc")
        assert await one(adapter, bcc=("+40722000112",)) == refused("bcc")
        assert await one(adapter, text="") == refused("text", Reason.INVALID_CONTENT)
        assert await one(adapter, text=None, html="<p>Hello</p>") == refused("text", Reason.INVALID_CONTENT)
    assert not peer.connections


async def test_a_host_that_is_no_name_is_certainly_not_sent() -> None:
    async with opened(smpp_config(1, host="a" * 70)) as adapter:
        (outcome,) = await adapter.send([submission(ANN)])

    assert outcome == Deferred(Reason.PROVIDER_UNAVAILABLE, stage=Stage.CONNECT)


async def test_numbers_are_read_by_the_country_of_the_channel_and_only_allowed_countries_are_sent_to() -> None:
    peer = Peer()
    async with against(peer, countries=(40,)) as adapter:
        asked = submission("0722000111")._replace(form=Form(country="RO"))
        (outcome,) = await adapter.send([asked])
        elsewhere = await one(adapter, "+447700900123")

    assert isinstance(outcome, Accepted)
    assert [submit.destination_addr for submit in peer.submits] == ["40722000111"]
    assert elsewhere == refused("to")


# What is answered.


@pytest.mark.parametrize(
    ("code", "outcome"),
    [
        (0x58, Throttled(code="0x00000058")),
        (0x14, Throttled(code="0x00000014")),
        (0x08, Deferred(Reason.PROVIDER_DEFERRED, "0x00000008")),
        (0x0A, Deferred(Reason.PROVIDER_UNAVAILABLE, "0x0000000A")),
        (0x0B, Rejected(Reason.PROVIDER_REJECTED, "0x0000000B")),
        (0x0E, Deferred(Reason.AUTHENTICATION_FAILED, "0x0000000E")),
        (0x0401, Unknown(Reason.ANSWER_UNLISTED, "0x00000401")),
        (0xFFFFFFFF, Unknown(Reason.ANSWER_UNLISTED, "0xFFFFFFFF")),
    ],
)
async def test_each_status_has_its_outcome(code: int, outcome: Outcome) -> None:
    async with against(Peer({SUBMIT: status(code)})) as adapter:
        assert await one(adapter) == outcome


async def test_configured_codes_win_over_the_table() -> None:
    async with against(Peer({SUBMIT: status(0x0401)}), codes={0x0401: "throttled"}) as adapter:
        assert await one(adapter) == Throttled(code="0x00000401")
    async with against(Peer({SUBMIT: status(0x0B)}), codes={0x0B: "accepted"}) as adapter:
        assert isinstance(await one(adapter), Accepted)


async def test_a_nack_of_a_submit_is_its_answer() -> None:
    def nack(connection: Connection, pdu: Pdu) -> None:
        connection.send(raw(0x80000000, 0x03, pdu.sequence))

    async with against(Peer({SUBMIT: nack})) as adapter:
        assert await one(adapter) == Deferred(Reason.PROVIDER_UNAVAILABLE, "0x00000003")


async def test_a_nack_that_tells_no_status_is_no_acceptance() -> None:
    def nack(connection: Connection, pdu: Pdu) -> None:
        connection.send(raw(0x80000000, 0, pdu.sequence))

    async with against(Peer({SUBMIT: nack})) as adapter:
        assert await one(adapter) == Unknown(Reason.ANSWER_UNLISTED, "0x00000000")
    async with against(Peer({0x09: nack})) as adapter:
        assert await one(adapter) == Deferred(Reason.PROVIDER_UNAVAILABLE, stage=Stage.GREETING)


@pytest.mark.parametrize("body", [b"", b"\0", b"x" * 65 + b"\0", b"\x1b[31m\0", b"\xff\0"])
async def test_an_id_that_cannot_be_kept_is_none(body: bytes) -> None:
    async with against(Peer({SUBMIT: lambda connection, pdu: connection.answer(pdu, 0, body)})) as adapter:
        assert await one(adapter) == Accepted(None, "0x00000000", 1, "gsm7")


async def test_parameters_after_an_id_are_not_part_of_it() -> None:
    body = b"5a\0\x04\x28\0\1\0"
    async with against(Peer({SUBMIT: lambda connection, pdu: connection.answer(pdu, 0, body)})) as adapter:
        assert await one(adapter) == Accepted("5a", "0x00000000", 1, "gsm7")


# Parts of which one fails.


async def test_a_message_whose_first_part_is_refused_is_not_sent() -> None:
    peer = Peer({SUBMIT: status(0x58)})
    async with against(peer) as adapter:
        assert await one(adapter, text="a" * 400) == Throttled(code="0x00000058")
    assert len(peer.submits) == 1


@pytest.mark.parametrize("code", [0x58, 0x0B, 0x08, 0x0401])
async def test_a_message_whose_later_part_is_refused_is_perhaps_sent_and_nothing_is_sent_again(code: int) -> None:
    def second_refused(connection: Connection, pdu: Pdu) -> None:
        connection.answer(pdu, code if len(connection.said(SUBMIT)) == 2 else 0)

    peer = Peer({SUBMIT: second_refused})
    async with against(peer) as adapter:
        assert await one(adapter, text="a" * 400) == Unknown(Reason.ANSWER_MISSING, f"0x{code:08X}")
    assert len(peer.submits) == 2


@pytest.mark.parametrize("code", [0x58, 0x14])
async def test_a_later_part_that_the_centre_asks_to_send_more_slowly_goes_once_more_and_no_other_part_does(
    code: int,
) -> None:
    def second_slower(connection: Connection, pdu: Pdu) -> None:
        connection.answer(pdu, code if len(connection.said(SUBMIT)) == 2 else 0)

    peer = Peer({SUBMIT: second_slower})
    async with against(peer, answer_timeout_ms=10_000) as adapter:
        accepted = await one(adapter, text="a" * 400)
    assert accepted == Accepted("id-1", "0x00000000", 3, "gsm7", part_ids=("id-1",) * 3)
    assert [submit.short_message[5] for submit in peer.submits] == [1, 2, 2, 3]


async def test_a_message_whose_later_part_finds_no_link_is_perhaps_sent() -> None:
    def answered_and_cut(connection: Connection, pdu: Pdu) -> None:
        connection.answer(pdu)
        connection.send(raw(0, sequence=1)[:3] + b"\0" + raw(0)[4:])  # a length of 0: the client hangs up

    peer = Peer({SUBMIT: answered_and_cut})
    async with against(peer) as adapter:
        assert await one(adapter, text="a" * 400) == PERHAPS
    assert len(peer.submits) == 1


# Answers that do not come.


async def test_a_line_cut_after_the_submit_is_perhaps_sent_and_the_next_message_finds_a_new_bind() -> None:
    peer = Peer()
    async with against(peer) as adapter:
        assert isinstance(await one(adapter), Accepted)
        peer.on[SUBMIT] = cut
        assert await one(adapter) == PERHAPS
        del peer.on[SUBMIT]
        assert isinstance(await one(adapter), Accepted)

    assert (len(peer.binds), peer.bound_most) == (2, 1)


async def test_a_late_answer_is_nobody_elses() -> None:
    held: list[tuple[Connection, Pdu]] = []
    peer = Peer({SUBMIT: lambda connection, pdu: held.append((connection, pdu))})
    async with against(peer, answer_timeout_ms=200) as adapter:
        assert await one(adapter) == PERHAPS
        call = asyncio.create_task(one(adapter))
        await eventually_async(lambda: len(held) == 2, within_s=5)
        for connection, pdu in held:
            connection.answer(pdu, 0, f"id-{pdu.sequence}\0".encode())
        outcome = await call

    assert isinstance(outcome, Accepted)
    assert outcome.provider_message_id == f"id-{held[1][1].sequence}"
    assert len(peer.binds) == 1


async def test_a_submit_without_an_answer_keeps_its_place_and_a_window_of_such_is_hung_up_on() -> None:
    peer = Peer({SUBMIT: silent})
    async with against(peer, window_size=3, answer_timeout_ms=200) as adapter:
        two = await asyncio.gather(*sent_soon(adapter, 2))
        assert [outcome for (outcome,) in two] == [PERHAPS] * 2
        assert not peer.last.ended
        assert await one(adapter) == PERHAPS
        await eventually_async(lambda: peer.connections[0].ended, within_s=5)
        assert len(peer.connections[0].said(SUBMIT)) == 3


async def test_a_submit_that_will_not_be_answered_any_more_leaves_its_place(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(link, "FORGOTTEN_S", 0.1)
    peer = Peer({SUBMIT: silent})
    async with against(peer, window_size=2, answer_timeout_ms=100) as adapter:
        assert await one(adapter) == PERHAPS
        session = await adapter._pool.session()
        assert isinstance(session, Session)
        assert session.link.unanswered == 1
        await eventually_async(lambda: session.link.unanswered == 0, within_s=5)
        del peer.on[SUBMIT]
        assert isinstance(await one(adapter), Accepted)
    assert len(peer.binds) == 1


async def test_the_window_keeps_its_bound() -> None:
    held: list[tuple[Connection, Pdu]] = []
    peer = Peer({SUBMIT: lambda connection, pdu: held.append((connection, pdu))})
    async with against(peer, window_size=5, answer_timeout_ms=20_000) as adapter:
        calls = sent_soon(adapter, 40)
        answered = 0
        while answered < 40:
            await eventually_async(lambda: len(held) == min(answered + 5, 40), within_s=5)  # noqa: B023 - awaited here
            connection, pdu = held[answered]
            answered += 1
            connection.answer(pdu)
            # An exchange each way: whatever the answer let out has come when this one's answer has.
            connection.send(raw(ENQUIRE, sequence=answered))
            await eventually_async(lambda: len(connection.said(ENQUIRE | 0x80000000)) == answered, within_s=5)  # noqa: B023
            assert len(held) <= answered + 5
        outcomes = [outcome for (outcome,) in await asyncio.gather(*calls)]

    assert all(isinstance(outcome, Accepted) for outcome in outcomes)


async def test_who_waits_for_a_place_comes_before_who_has_just_had_one() -> None:
    held: list[tuple[Connection, Pdu]] = []
    peer = Peer({SUBMIT: lambda connection, pdu: held.append((connection, pdu))})
    sent: list[str] = []

    async def sends(adapter: SmppAdapter, *numbers: str) -> None:
        for each in numbers:
            assert isinstance(await one(adapter, each), Accepted)
            sent.append(each)

    async with against(peer, window_size=1, answer_timeout_ms=10_000) as adapter:
        busy = asyncio.create_task(sends(adapter, "+40722000001", "+40722000002", "+40722000003"))
        await eventually_async(lambda: held, within_s=5)
        waiting = [asyncio.create_task(sends(adapter, f"+4072200010{number}")) for number in range(4)]
        for number in range(7):
            await eventually_async(lambda: len(held) == number + 1, within_s=5)  # noqa: B023 - awaited here
            held[number][0].answer(held[number][1])
        await asyncio.gather(busy, *waiting)

    assert sent[:6] == ["+40722000001", *(f"+4072200010{number}" for number in range(4)), "+40722000002"]


async def test_a_text_that_is_begun_waits_for_no_more_than_one_other_at_each_part() -> None:
    held: list[tuple[Connection, Pdu]] = []
    peer = Peer({SUBMIT: lambda connection, pdu: held.append((connection, pdu))})
    async with against(peer, window_size=1, answer_timeout_ms=10_000) as adapter:
        long = asyncio.create_task(one(adapter, text="x" * 400))  # three parts
        await eventually_async(lambda: held, within_s=5)
        others = [asyncio.create_task(one(adapter)) for _ in range(6)]
        for number in range(5):
            await eventually_async(lambda: len(held) == number + 1, within_s=5)  # noqa: B023 - awaited here
            held[number][0].answer(held[number][1])
        assert isinstance(await long, Accepted)
        for number in range(5, 9):
            await eventually_async(lambda: len(held) == number + 1, within_s=5)  # noqa: B023 - awaited here
            held[number][0].answer(held[number][1])
        assert all(isinstance(each, Accepted) for each in await asyncio.gather(*others))


async def test_a_window_that_stays_full_throttles() -> None:
    peer = Peer({SUBMIT: silent})
    async with against(peer, window_size=2, answer_timeout_ms=60_000) as adapter:
        calls = sent_soon(adapter, 2)
        await eventually_async(lambda: len(peer.submits) == 2, within_s=5)
        impatient = SmppAdapter.__new__(SmppAdapter)
        impatient._config = smpp_config(1, answer_timeout_ms=100)
        impatient._pool = adapter._pool
        assert await one(impatient) == Throttled(stage=Stage.PREPARE)
        for call in calls:
            call.cancel()
        await asyncio.gather(*calls, return_exceptions=True)
    assert len(peer.submits) == 2


async def test_a_cancelled_call_keeps_its_place_until_it_is_answered() -> None:
    held: list[tuple[Connection, Pdu]] = []
    peer = Peer({SUBMIT: lambda connection, pdu: held.append((connection, pdu))})
    async with against(peer, window_size=1, answer_timeout_ms=10_000) as adapter:
        first = asyncio.create_task(one(adapter))
        await eventually_async(lambda: len(held) == 1, within_s=5)
        first.cancel()
        second = asyncio.create_task(one(adapter))
        await asyncio.gather(first, return_exceptions=True)
        assert len(held) == 1
        held[0][0].answer(held[0][1])
        await eventually_async(lambda: len(held) == 2, within_s=5)
        held[1][0].answer(held[1][1])
        assert isinstance(await second, Accepted)


async def test_a_place_that_comes_free_for_a_caller_who_leaves_is_the_next_ones() -> None:
    held: list[tuple[Connection, Pdu]] = []
    peer = Peer({SUBMIT: lambda connection, pdu: held.append((connection, pdu))})
    async with against(peer, window_size=1, answer_timeout_ms=10_000) as adapter:
        first, leaving, third = (asyncio.create_task(one(adapter)) for _ in range(3))
        await eventually_async(lambda: held, within_s=5)
        session = await adapter._pool.session()
        assert isinstance(session, Session)
        session.link.data_received(raw(0x80000004, sequence=held[0][1].sequence))  # in one step with what follows
        leaving.cancel()
        assert isinstance(await first, Accepted)
        await eventually_async(lambda: len(held) == 2, within_s=5)
        held[1][0].answer(held[1][1])
        assert isinstance(await third, Accepted)


# Links that end.


async def test_what_waits_for_room_when_a_link_ends_goes_out_on_the_next() -> None:
    held: list[tuple[Connection, Pdu]] = []
    peer = Peer({SUBMIT: lambda connection, pdu: held.append((connection, pdu))})
    async with against(peer, window_size=1, answer_timeout_ms=10_000) as adapter:
        peer.on.pop(SUBMIT)
        await one(adapter)  # a bind that has worked is followed by another at once
        peer.on[SUBMIT] = lambda connection, pdu: held.append((connection, pdu))
        first, second = (asyncio.create_task(one(adapter)) for _ in range(2))
        await eventually_async(lambda: held, within_s=5)
        peer.last.cut()
        assert await first == PERHAPS
        await eventually_async(lambda: len(held) == 2, within_s=5)
        held[1][0].answer(held[1][1])
        assert isinstance(await second, Accepted)
    assert len(peer.submits) == 3


async def test_a_centre_that_hangs_up_on_every_bind_is_not_stormed() -> None:
    def welcome_and_cut(connection: Connection, pdu: Pdu) -> None:
        connection.answer(pdu, 0, b"x\0")
        connection.writer.close()

    peer = Peer({9: welcome_and_cut})
    async with against(peer) as adapter:
        outcomes = [await one(adapter) for _ in range(20)]
    assert not any(isinstance(outcome, Accepted) for outcome in outcomes)
    assert (len(peer.binds) <= 3, peer.bound_most) == (True, 1)


async def test_a_centre_that_refuses_every_submit_and_hangs_up_is_not_stormed() -> None:
    def refuse_and_cut(connection: Connection, pdu: Pdu) -> None:
        connection.answer(pdu, 0x08)  # ESME_RSYSERR
        connection.writer.close()

    peer = Peer({SUBMIT: refuse_and_cut})
    async with against(peer) as adapter:
        outcomes = [await one(adapter) for _ in range(20)]
    assert not any(isinstance(outcome, Accepted) for outcome in outcomes)
    assert len(peer.binds) <= 3


async def test_an_unbind_is_answered_after_the_answers_that_are_owed_and_followed_by_a_new_bind() -> None:
    held: list[tuple[Connection, Pdu]] = []
    peer = Peer({SUBMIT: lambda connection, pdu: held.append((connection, pdu))})
    async with against(peer, answer_timeout_ms=10_000) as adapter:
        first = asyncio.create_task(one(adapter))
        await eventually_async(lambda: held, within_s=5)
        peer.connections[0].send(raw(UNBIND, sequence=77) + raw(ENQUIRE, sequence=78))
        await eventually_async(lambda: peer.connections[0].said(ENQUIRE | 0x80000000), within_s=5)
        assert not peer.said(UNBIND_RESP)
        second = asyncio.create_task(one(adapter))
        held[0][0].answer(held[0][1])
        assert isinstance(await first, Accepted)
        await eventually_async(lambda: len(held) == 2, within_s=5)
        assert held[1][0] is peer.connections[1]
        held[1][0].answer(held[1][1])
        assert isinstance(await second, Accepted)

    assert [pdu.sequence for pdu in peer.connections[0].said(UNBIND_RESP)] == [77]
    assert len(peer.binds) == 2


@pytest.mark.parametrize("length", [0, 15, 65_537, 2**31, 2**32 - 1])
async def test_a_length_that_no_pdu_has_ends_the_link_and_a_new_one_is_bound(length: int) -> None:
    peer = Peer()
    async with against(peer) as adapter:
        assert isinstance(await one(adapter), Accepted)
        peer.connections[0].send(length.to_bytes(4, "big") + b"\x80\0\0\4" + b"\0" * 8)
        await eventually_async(lambda: peer.connections[0].ended and len(peer.binds) == 2, within_s=5)
        assert isinstance(await one(adapter), Accepted)
    assert peer.bound_most == 1


async def test_half_a_pdu_is_waited_for() -> None:
    def in_halves(connection: Connection, pdu: Pdu) -> None:
        answer = raw(0x80000004, 0, pdu.sequence, b"id-1\0")
        connection.send(answer[:9])
        asyncio.get_running_loop().call_later(0.05, connection.send, answer[9:])

    async with against(Peer({SUBMIT: in_halves})) as adapter:
        assert isinstance(await one(adapter), Accepted)


def test_no_more_than_a_pdu_is_kept_and_answers_before_nonsense_count() -> None:
    buffer = bytearray(raw(0x80000004, body=b"id\0") * 3 + PDU_BYTES_MAX.to_bytes(4, "big") + b"\0" * 60_000)

    assert len(list(take_pdus(buffer))) == 3
    assert len(buffer) == 60_004 <= PDU_BYTES_MAX

    buffer = bytearray(raw(0x80000004) + b"\0" * 100_000)
    taken: list[Any] = []
    with pytest.raises(Malformed):
        taken.extend(take_pdus(buffer))
    assert len(taken) <= 1


async def test_a_nack_of_nothing_ends_the_link() -> None:
    peer = Peer()
    async with against(peer) as adapter:
        await one(adapter)
        peer.last.send(raw(0x80000000, 0x02, 0))
        await eventually_async(lambda: len(peer.binds) == 2, within_s=5)


async def test_a_silent_link_is_asked_after_and_one_that_stays_silent_is_replaced() -> None:
    peer = Peer()
    async with against(peer, enquire_link_ms=100, enquire_timeout_ms=200) as adapter:
        await one(adapter)
        await eventually_async(lambda: len(peer.said(ENQUIRE)) >= 2, within_s=5)
        assert len(peer.connections) == 1
        peer.on[ENQUIRE] = silent
        await eventually_async(lambda: len(peer.binds) == 2, within_s=5)
    assert peer.bound_most == 1


async def test_requests_of_the_centre_are_answered_known_or_not() -> None:
    peer = Peer()
    async with against(peer) as adapter:
        await one(adapter)
        peer.last.send(raw(ENQUIRE, sequence=5) + raw(0x0103, sequence=6) + raw(0x0102, sequence=7))
        peer.last.send(raw(ENQUIRE, sequence=8))
        await eventually_async(lambda: len(peer.last.said(ENQUIRE | 0x80000000)) == 2, within_s=5)

    assert [(pdu.status, pdu.sequence) for pdu in peer.said(0x80000000)] == [(3, 6)]


async def test_a_centre_that_asks_and_never_reads_is_hung_up_on() -> None:
    ended = asyncio.Event()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        header = await reader.readexactly(16)
        await reader.readexactly(int.from_bytes(header[:4], "big") - 16)
        writer.write(raw(0x80000009, 0, 1, b"x\0"))
        try:
            while True:
                writer.write(raw(ENQUIRE) * 1_000)
                await writer.drain()
        finally:
            ended.set()

    async with listening(serve) as port:
        adapter = SmppAdapter(smpp_config(port, answer_timeout_ms=20_000))
        call = asyncio.create_task(one(adapter))
        async with asyncio.timeout(20):
            await ended.wait()
        call.cancel()
        await asyncio.gather(call, return_exceptions=True)
        await adapter.close()


async def test_sequence_numbers_begin_again_and_skip_what_is_unanswered() -> None:
    peer = Peer()
    async with against(peer) as adapter:
        await one(adapter)
        session = await adapter._pool.session()
        assert isinstance(session, Session)
        session.link._sequence = 0x7FFFFFFE  # looks inside: it would take years
        for _ in range(3):
            assert isinstance(await one(adapter), Accepted)

    assert [pdu.sequence for pdu in peer.said(SUBMIT)][1:] == [0x7FFFFFFF, 1, 2]


async def test_closing_unbinds() -> None:
    peer = Peer()
    async with against(peer) as adapter:
        await one(adapter)

    assert len(peer.said(UNBIND)) == 1
    assert await one(adapter) == Deferred(Reason.PROVIDER_UNAVAILABLE, stage=Stage.CONNECT)


# Binds that are refused.


async def test_a_wrong_password_is_told_to_all_and_tried_once_a_minute_whatever_the_number_of_binds() -> None:
    peer = Peer({9: status(0x0E)})
    expected = Deferred(Reason.AUTHENTICATION_FAILED, "0x0000000E")
    async with against(peer, connections=3) as adapter:
        outcomes = [outcome for (outcome,) in await asyncio.gather(*sent_soon(adapter, 10))]
        assert outcomes == [expected] * 10
        assert await one(adapter) == expected

    assert len(peer.binds) == 1


@pytest.mark.parametrize(
    ("code", "outcome"),
    [
        (0x0D, Deferred(Reason.AUTHENTICATION_FAILED, "0x0000000D")),
        (0x0F, Deferred(Reason.AUTHENTICATION_FAILED, "0x0000000F")),
        (0x05, Deferred(Reason.PROVIDER_UNAVAILABLE, "0x00000005")),
        (0x08, Deferred(Reason.PROVIDER_UNAVAILABLE, "0x00000008")),
        (0x0B, Deferred(Reason.PROVIDER_UNAVAILABLE, "0x0000000B")),
        (0x0401, Deferred(Reason.PROVIDER_UNAVAILABLE, "0x00000401")),
        (0x58, Throttled(code="0x00000058")),
    ],
)
async def test_a_refused_bind_is_never_more_than_temporary(code: int, outcome: Outcome) -> None:
    async with against(Peer({9: status(code)})) as adapter:
        assert await one(adapter) == outcome


async def test_a_bind_without_an_answer_is_certainly_not_sent() -> None:
    async with against(Peer({9: silent}), bind_timeout_ms=200) as adapter:
        assert await one(adapter) == Deferred(Reason.PROVIDER_UNAVAILABLE, stage=Stage.GREETING)


def test_waits_grow_to_a_minute_and_a_refused_login_waits_a_minute_at_once() -> None:
    assert wait_ms(Ended(0), jitter=0.5) == 0
    assert [wait_ms(Ended(failures), jitter=0.0) for failures in (1, 2, 3, 7, 1_000)] == [
        500,
        1_000,
        2_000,
        30_000,
        30_000,
    ]
    assert [wait_ms(Ended(failures), jitter=0.999_999) for failures in (1, 2, 7)] == [999, 1_999, 59_999]
    assert wait_ms(Ended(1, is_refused=True), jitter=0.0) == 60_000


async def test_one_bind_is_enough_where_another_is_refused() -> None:
    def first_refused(connection: Connection, pdu: Pdu) -> None:
        connection.answer(pdu, 0x05 if len(peer.binds) == 1 else 0)

    peer = Peer({9: first_refused})
    async with against(peer, connections=2) as adapter:
        assert isinstance(await one(adapter), Accepted)
    assert len(peer.binds) == 2


@pytest.mark.parametrize("runner", [asyncio.run, uvloop.run])
def test_what_is_submitted_in_the_turn_in_which_the_centre_hangs_up_is_not_sent(runner: Callable[..., Any]) -> None:
    async def submitted() -> tuple[object, int]:
        loop, received = asyncio.get_running_loop(), bytearray()
        ends: asyncio.Future[asyncio.Task[object]] = loop.create_future()

        class Probe(link.Link):
            """Submits as a caller does who is woken when the end has been read, and before it is told."""

            def eof_received(self) -> None:
                ends.set_result(loop.create_task(self.submit(raw(4, 0, 0), until_s=loop.time() + 5, answer_s=5)))

        async def hangs_up(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            writer.write_eof()
            received.extend(await reader.read())

        async with listening(hangs_up) as port:
            await loop.create_connection(lambda: Probe(window=10, on_deliver=lambda _: None), "127.0.0.1", port)
            outcome = await (await ends)
        return outcome, len(received)

    assert runner(submitted()) == (link.NOT_SENT, 0)


async def test_a_transmitter_sends_while_its_receiver_is_refused() -> None:
    peer = Peer({1: status(0x08)})
    async with against(peer, bind="transmitter_receiver") as adapter:
        assert isinstance(await one(adapter), Accepted)
        await eventually_async(lambda: {pdu.command_id for pdu in peer.binds} == {1, 2}, within_s=5)


# TLS.


async def test_tls_with_an_authority_of_ones_own_carries_the_message(tmp_path: Path) -> None:
    pem = certificate(tmp_path)
    async with sandbox_at(tmp_path, tls_certificate=pem, smsc_tls=True) as sandbox:
        adapter = SmppAdapter(smpp_config(sandbox.smsc_port, tls="implicit", ca_file=str(pem)))
        outcome = await one(adapter)
        await adapter.close()

    assert isinstance(outcome, Accepted)


@pytest.mark.parametrize("host", ["127.0.0.1", "127.0.0.9"])
async def test_a_certificate_that_is_not_trusted_or_for_another_name_binds_nothing(tmp_path: Path, host: str) -> None:
    pem = certificate(tmp_path, host=host)
    ca_file = None if host == "127.0.0.1" else str(pem)
    async with sandbox_at(tmp_path, tls_certificate=pem, smsc_tls=True) as sandbox:
        adapter = SmppAdapter(smpp_config(sandbox.smsc_port, tls="implicit", ca_file=ca_file))
        outcome = await one(adapter)
        await adapter.close()

    assert outcome == Deferred(Reason.PROVIDER_UNAVAILABLE, stage=Stage.CONNECT)


@pytest.mark.parametrize(
    ("settings", "named"),
    [
        ({"tls": "starttls"}, "tls: "),
        ({"bind": "receiver"}, "bind: "),
        ({"payload": "sar"}, "payload: "),
        ({"system_id": ""}, "system_id: "),
        ({"system_id": "a" * 16}, "system_id: "),
        ({"source_addr": "Bäck"}, "source_addr: "),
        ({"source_addr": "a\0b"}, "source_addr: "),
        ({"codes": {0x58: "explode"}}, "codes.0x00000058: "),
    ],
)
def test_a_configuration_that_cannot_work_is_refused_by_name(settings: dict[str, Any], named: str) -> None:
    with pytest.raises(ValueError, match=named):
        SmppAdapter(smpp_config(1, **settings))
