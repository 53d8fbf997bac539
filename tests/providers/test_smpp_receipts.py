"""Delivery receipts: read in every form that centres write, and acknowledged only once they are safe."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

import pytest
import smpp34
from hypothesis import given
from hypothesis import strategies as st

from processor.core.outcome import Accepted
from processor.core.report import id_key
from processor.providers.smpp import session
from processor.providers.smpp.adapter import SmppAdapter
from processor.providers.smpp.receipt import Receipt, State, id_keys, is_receipt, parse
from processor.sandbox.ledger import read_ledger
from tests.providers.smsc_peer import DELIVER, DELIVER_RESP, Peer, against
from tests.providers.test_smpp_session import one
from tests.providers.twins import opened, sandbox_at, smpp_config, submission
from tests.support.eventually import eventually_async

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

USUAL = (
    b"id:513c9f53 sub:001 dlvrd:001 submit date:2511261200 done date:2511261201 stat:DELIVRD err:000 Text:canary id:9"
)


def delivered(text: bytes = USUAL, *, esm_class: int = 0x04, sequence: int = 5, **more: Any) -> smpp34.DeliverSm:
    return smpp34.DeliverSm("40722000111", "BANK", text, esm_class=esm_class, sequence_number=sequence, **more)


def read(text: bytes = USUAL, **more: Any) -> Receipt | None:
    sent = smpp34.decode(delivered(text, **more).encode())
    assert isinstance(sent, smpp34.DeliverSm)
    return parse(sent)


def test_the_usual_text_is_read() -> None:
    assert read() == Receipt(
        "513c9f53",
        ("513c9f53",),
        State.DELIVERED,
        error="000",
        done_at="2511261201",
        recipient="40722000111",
    )


@pytest.mark.parametrize(
    ("text", "provider_message_id", "state"),
    [
        (b"ID:7 STAT:UNDELIV", "7", State.UNDELIVERABLE),
        (b"id: 7 stat: EXPIRED err: 1A", "7", State.EXPIRED),
        (b"stat:REJECTD id:7", "7", State.REJECTED),
        (
            b"id:7 sub:001 dlvrd:000 submit date:20251126120000 done date:20251126120100 stat:DELETED",
            "7",
            State.DELETED,
        ),
        (b"id:7 stat:ACCEPTD Text:", "7", State.ACCEPTED),
        (b"id:7 stat:UNKNOWN", "7", State.UNKNOWN),
        (b"id:7 stat:ENROUTE", "7", State.ENROUTE),
        (b"id:7 stat:DELIVERED", "7", State.DELIVERED),
        (b"id:7 stat:FAILED", "7", State.UNDELIVERABLE),
        (b"id:7 stat:WHATEVER", "7", State.UNKNOWN),
        (b"id:7", "7", State.UNKNOWN),
        (b"id:7a-b.c_d stat:DELIVRD", "7a-b.c_d", State.DELIVERED),
        (b"id:0000000007 stat:DELIVRD text:id:8 stat:EXPIRED", "0000000007", State.DELIVERED),
    ],
)
def test_variants_of_the_text_are_read(text: bytes, provider_message_id: str, state: State) -> None:
    receipt = read(text)

    assert receipt is not None
    assert (receipt.provider_message_id, receipt.state) == (provider_message_id, state)


@pytest.mark.parametrize(
    "text", [b"", b"stat:DELIVRD", b"Text:id:7 stat:DELIVRD", b"id: stat:DELIVRD ", b"id:" + b"7" * 65, b"\xff\x00"]
)
def test_a_receipt_that_names_no_message_is_none(text: bytes) -> None:
    assert read(text) is None


def test_parameters_win_over_the_text() -> None:
    tlvs = [smpp34.Tlv(0x001E, b"abc\0"), smpp34.Tlv(0x0427, b"\x05"), smpp34.Tlv(0x0423, b"\x03\x00\x0b")]

    receipt = read(b"id:7 stat:DELIVRD", tlvs=tlvs)
    alone = read(b"", esm_class=0, tlvs=tlvs)

    assert receipt is not None
    assert (receipt.provider_message_id, receipt.state, receipt.error) == ("abc", State.UNDELIVERABLE, "11")
    assert alone == receipt


def test_the_text_may_be_in_ucs2_and_in_the_payload() -> None:
    text = USUAL.decode().encode("utf-16-be")

    receipt = read(b"", data_coding=8, tlvs=[smpp34.Tlv(0x0424, text)])

    assert receipt == read()


@pytest.mark.parametrize(
    ("text", "data_coding"),
    [
        (b"id:7 stat:DELIVRD text:", 8),
        ("id:7 stat:DELIVRD text:".encode("utf-16-be"), 0),
        ("\ufeffid:7 stat:DELIVRD text:\u0416\u0169".encode("utf-16-be"), 8),
        (b"stat:DELIVRD id:7\0", 0),
    ],
)
def test_the_text_is_read_whatever_its_coding_says_and_with_a_nul_at_its_end(text: bytes, data_coding: int) -> None:
    receipt = read(text, data_coding=data_coding)

    assert receipt is not None
    assert (receipt.provider_message_id, receipt.state) == ("7", State.DELIVERED)


@pytest.mark.parametrize(
    ("esm_class", "is_one"), [(0x04, True), (0x20, True), (0x44, True), (0x00, False), (0x08, False)]
)
def test_only_what_the_centre_marks_is_a_receipt(esm_class: int, is_one: bool) -> None:
    assert is_receipt(delivered(esm_class=esm_class)) is is_one


@pytest.mark.parametrize(
    ("answered", "receipted"),
    [
        ("513c9f53", "1362927443"),
        ("1362927443", "513C9F53"),
        ("0513c9f53", "513c9f53"),
        ("00007", "7"),
        ("7", "0000000007"),
        ("0a", "10"),
        ("a-1", "A-1"),
        ("0", "00"),
    ],
)
def test_an_id_is_known_again_in_hexadecimal_in_decimal_and_whatever_its_zeros(answered: str, receipted: str) -> None:
    assert id_key(answered) in id_keys(receipted)


@given(st.text(st.characters(min_codepoint=33, max_codepoint=126), min_size=1, max_size=64))
def test_an_id_that_is_repeated_as_it_was_is_known_again_first(given_id: str) -> None:
    assert id_keys(given_id)[0] == id_key(given_id)


@given(st.integers(0, 2**64 - 1), st.integers(0, 20))
def test_any_number_is_known_again_in_either_form(number: int, zeros: int) -> None:
    decimal, hexadecimal = str(number).rjust(zeros, "0"), f"{number:x}".rjust(zeros, "0")

    assert id_key(hexadecimal) in id_keys(decimal)
    assert id_key(decimal) in id_keys(hexadecimal)


@given(st.integers(0, 2**64 - 1), st.integers(0, 20))
def test_of_a_centre_whose_receipts_are_known_to_be_written_otherwise_one_id_is_meant(number: int, zeros: int) -> None:
    decimal, hexadecimal = str(number).rjust(zeros, "0"), f"{number:x}".rjust(zeros, "0")

    assert id_keys(decimal, "decimal") == (id_key(hexadecimal),)
    assert id_keys(hexadecimal, "hexadecimal") == (id_key(decimal),)
    assert id_keys(decimal, "same") == (id_key(decimal),)


@pytest.mark.parametrize("written", ["same", "decimal", "hexadecimal"])
def test_an_id_that_is_no_number_is_itself_however_numbers_are_written(written: str) -> None:
    assert id_keys("A-1:x", written) == ("a-1:x",)


def test_a_repr_shows_no_recipient() -> None:
    assert "40722000111" not in repr(read())


# Acknowledgements.


class Inbox:
    """What receipts are given to; it takes none before it is told to."""

    def __init__(self) -> None:
        self.receipts: list[Receipt] = []
        self.may_return = asyncio.Event()
        self.error: Exception | None = None

    async def __call__(self, receipt: Receipt) -> None:
        self.receipts.append(receipt)
        await self.may_return.wait()
        if self.error is not None:
            raise self.error


async def answered(inbox: Inbox, sent: bytes) -> list[tuple[int, int, bytes]]:
    """What a deliver_sm is answered once *inbox* returns; nothing before that."""
    peer = Peer()
    async with against(peer, receipts=inbox) as adapter:
        await one(adapter)
        peer.last.send(sent)
        if not inbox.may_return.is_set():
            await eventually_async(lambda: inbox.receipts, within_s=5)
            assert isinstance(await one(adapter), Accepted)  # receipts keep nothing else waiting
            assert not peer.said(DELIVER_RESP)
            inbox.may_return.set()
        await eventually_async(lambda: peer.said(DELIVER_RESP), within_s=5)
        return [(pdu.status, pdu.sequence, pdu.body) for pdu in peer.said(DELIVER_RESP)]


async def test_a_receipt_is_acknowledged_only_after_it_was_taken() -> None:
    inbox = Inbox()

    assert await answered(inbox, delivered().encode()) == [(0, 5, b"\0")]
    assert [receipt.provider_message_id for receipt in inbox.receipts] == ["513c9f53"]


async def test_a_receipt_that_could_not_be_taken_is_asked_for_again() -> None:
    inbox = Inbox()
    inbox.error = RuntimeError("canary")

    assert await answered(inbox, delivered().encode()) == [(0x64, 5, b"\0")]


@pytest.mark.parametrize(
    ("sent", "status"),
    [
        (delivered(b"Hello World", esm_class=0).encode(), 0),
        (delivered(b"id:1 stat:DELIVRD", esm_class=0).encode(), 0),
        (delivered(b"no id here").encode(), 0x66),
    ],
)
async def test_what_is_no_receipt_is_answered_and_passed_to_nobody(sent: bytes, status: int) -> None:
    inbox = Inbox()
    inbox.may_return.set()

    assert await answered(inbox, sent) == [(status, 5, b"\0")]
    assert not inbox.receipts


async def test_a_deliver_that_cannot_be_read_is_refused_for_good() -> None:
    inbox = Inbox()
    inbox.may_return.set()
    whole = delivered().encode()[16:40]
    broken = (16 + len(whole)).to_bytes(4, "big") + DELIVER.to_bytes(4, "big") + b"\0\0\0\0\0\0\0\5" + whole

    assert await answered(inbox, broken) == [(0x66, 5, b"\0")]
    assert not inbox.receipts


async def test_receipts_beyond_a_bound_are_left_to_the_centre(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(session, "RECEIPTS_MAX", 3)
    inbox, peer = Inbox(), Peer()
    async with against(peer, receipts=inbox) as adapter:
        await one(adapter)
        for sequence in range(1, 11):
            peer.last.send(delivered(sequence=sequence).encode())
        await eventually_async(lambda: len(peer.said(DELIVER_RESP)) == 7, within_s=5)
        inbox.may_return.set()
        await eventually_async(lambda: len(peer.said(DELIVER_RESP)) == 10, within_s=5)

    assert [pdu.status for pdu in peer.said(DELIVER_RESP)] == [0x64] * 7 + [0] * 3


# Against the sandbox.


@asynccontextmanager
async def against_sandbox(port: int, inbox: Inbox, **settings: Any) -> AsyncIterator[SmppAdapter]:
    adapter = SmppAdapter(smpp_config(port, **settings), receipts=inbox)
    try:
        yield adapter
    finally:
        await adapter.close()


@pytest.mark.parametrize("bind", ["transceiver", "transmitter_receiver"])
async def test_each_part_of_a_message_has_one_receipt_that_knows_it(tmp_path: Path, bind: str) -> None:
    inbox = Inbox()
    inbox.may_return.set()
    async with sandbox_at(tmp_path) as sandbox, against_sandbox(sandbox.smsc_port, inbox, bind=bind) as adapter:
        texts = ["short", "long " * 100, "lung și ț " * 30]
        batch = [submission("+40722000111", message_id=f"m-{n}", text=text) for n, text in enumerate(texts)]
        outcomes = await adapter.send(batch)
        await eventually_async(lambda: len(inbox.receipts) == 10 and not len(sandbox.smsc.receipts), within_s=5)

    taken = [outcome for outcome in outcomes if isinstance(outcome, Accepted)]
    assert [len(each.part_ids) for each in taken] == [0, 4, 5]
    ids = [part for each in taken for part in each.part_ids or [str(each.provider_message_id)]]
    assert sorted(receipt.provider_message_id for receipt in inbox.receipts) == sorted(ids)
    assert {receipt.state for receipt in inbox.receipts} == {State.DELIVERED}
    assert [entry.segments for entry in read_ledger(sandbox.ledger_path)] == [1, 4, 5]


async def test_a_receipt_that_was_not_acknowledged_comes_again_at_a_later_bind(tmp_path: Path) -> None:
    first, second = Inbox(), Inbox()
    second.may_return.set()
    async with sandbox_at(tmp_path) as sandbox:
        async with against_sandbox(sandbox.smsc_port, first) as adapter:
            await one(adapter)
            await eventually_async(lambda: first.receipts, within_s=5)
        assert len(sandbox.smsc.receipts) == 1
        async with against_sandbox(sandbox.smsc_port, second) as adapter:
            adapter.open()
            await eventually_async(lambda: second.receipts, within_s=5)
            await eventually_async(lambda: not len(sandbox.smsc.receipts), within_s=5)

    assert second.receipts == first.receipts


async def test_an_adapter_that_is_given_no_inbox_acknowledges(tmp_path: Path) -> None:
    async with sandbox_at(tmp_path) as sandbox, opened(smpp_config(sandbox.smsc_port)) as adapter:
        await adapter.send([submission("+40722000111")])
        await eventually_async(lambda: not len(sandbox.smsc.receipts), within_s=5)
