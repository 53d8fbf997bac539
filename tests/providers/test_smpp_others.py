"""Our centre against a client, and our adapter against centres, that are not ours: lest both share one mistake."""

from __future__ import annotations

import asyncio
import os
from hashlib import sha256
from typing import TYPE_CHECKING

import pytest
import smpp34

from processor.core.outcome import Accepted, Deferred
from processor.core.report import id_key
from processor.core.words import Reason
from processor.providers.smpp.adapter import SmppAdapter
from processor.providers.smpp.receipt import Receipt, State
from processor.sandbox.ledger import read_ledger
from processor.sandbox.ports import free_port
from processor.sandbox.service import NotAvailable
from tests.providers.twins import sandbox_at, smpp_config, submission
from tests.support.eventually import eventually_async
from tests.support.jsmpp import PASSWORD, SYSTEM_ID, Simulator, simulator

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

ANN = "+40722000111"


@pytest.fixture(scope="module")
def jsmpp() -> Iterator[Simulator]:
    try:
        with simulator() as running:
            yield running
    except NotAvailable as reason:
        if os.environ.get("CI"):
            raise
        pytest.skip(str(reason))


# Another's centre.


async def test_jsmpp_takes_our_messages_and_its_receipts_in_decimal_know_ids_it_gave_in_hexadecimal(
    jsmpp: Simulator,
) -> None:
    receipts: list[Receipt] = []

    async def keep(receipt: Receipt) -> None:
        receipts.append(receipt)

    config = smpp_config(
        jsmpp.port, system_id=SYSTEM_ID, password=PASSWORD, answer_timeout_ms=10_000, receipt_ids="decimal"
    )
    adapter = SmppAdapter(config, receipts=keep)
    try:
        texts = ["Hello €", "Bună ziua, țară", "long " * 100]
        outcomes = await adapter.send([submission(ANN, text=text) for text in texts])
        await eventually_async(lambda: len(receipts) >= 6, within_s=30, what=lambda: receipts)
    finally:
        await adapter.close()

    taken = [outcome for outcome in outcomes if isinstance(outcome, Accepted)]
    assert [(outcome.segments, outcome.encoding) for outcome in taken] == [(1, "gsm7"), (1, "ucs2"), (4, "gsm7")]
    ids = [part for each in taken for part in each.part_ids or [each.provider_message_id or ""]]
    for key in map(id_key, ids):
        assert [receipt.state for receipt in receipts if key in receipt.id_keys] == [State.DELIVERED]
    assert len(ids) == 6
    assert all(receipt.provider_message_id.isdecimal() for receipt in receipts)


async def test_jsmpp_refuses_a_wrong_password(jsmpp: Simulator) -> None:
    adapter = SmppAdapter(smpp_config(jsmpp.port, system_id=SYSTEM_ID, password="wrong"))
    try:
        (outcome,) = await adapter.send([submission(ANN)])
    finally:
        await adapter.close()

    assert outcome == Deferred(Reason.AUTHENTICATION_FAILED, "0x0000000E")


async def test_smpp34s_server_reads_what_we_sent() -> None:
    port = free_port()
    server = smpp34.Server("127.0.0.1", port)
    await server.start()
    adapter = SmppAdapter(smpp_config(port, answer_timeout_ms=5_000))
    read: list[smpp34.SubmitSmEvent] = []

    async def serve() -> None:
        while len(read) < 2:
            event = await server.next()
            if isinstance(event, smpp34.SubmitSmEvent):
                read.append(event)
                event.accept(f"id-{len(read)}")

    try:
        serving = asyncio.create_task(serve())
        (outcome,) = await adapter.send([submission(ANN, text="ț" * 100)])
        await serving
    finally:
        await adapter.close()
        await server.stop()

    assert outcome == Accepted("id-2", "0x00000000", 2, "ucs2", ("id-1", "id-2"))
    assert b"".join(event.short_message[6:] for event in read).decode("utf-16-be") == "ț" * 100


# Another's client.


async def test_smpp34s_client_can_use_the_sandbox(tmp_path: Path) -> None:
    async with sandbox_at(tmp_path, username="app", password="s3cret") as sandbox:
        client = smpp34.Client("127.0.0.1", sandbox.smsc_port, "app", "s3cret", bind_type="TRX")
        async with asyncio.timeout(10):
            session = await client.connect()
            taken = await session.submit_sm("40722000111", b"hello", source_addr="Bank", registered_delivery=1)
            receipt = await session.next()
            refused = await session.submit_sm("40722000550", b"hello", source_addr="Bank")
            reference = smpp34.Tlv(0x1400, b"4:m-1")
            for part in (2, 1):  # out of order
                text = bytes((5, 0, 3, 9, 2, part)) + b"part %d \x1be" % part
                await session.submit_sm("40722000111", text, source_addr="Bank", esm_class=0x40, tlvs=[reference])
            await session.unbind()
            await client.stop()

    assert (taken.command_status, refused.command_status) == (0, 0x0B)
    assert isinstance(receipt, smpp34.DeliverSmEvent)
    assert receipt.short_message.startswith(f"id:{taken.message_id} ".encode())
    assert (receipt.source_addr, receipt.destination_addr, receipt.esm_class) == ("40722000111", "Bank", 0x04)
    first, second, third = read_ledger(sandbox.ledger_path)
    assert (first.protocol, first.recipients, first.accepted, first.segments) == ("smpp", (ANN,), True, 1)
    assert (second.accepted, second.code) == (False, "0x0000000B")
    assert (third.message_id, third.attempt, third.segments) == ("m-1", 4, 2)
    assert third.sha256 == sha256("part 1 €part 2 €".encode()).hexdigest()
