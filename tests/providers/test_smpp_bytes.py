"""The bytes of SMPP: whatever comes, in whatever pieces."""

from __future__ import annotations

import asyncio
import contextlib

from hypothesis import given
from hypothesis import strategies as st

from processor.core.outcome import Accepted
from processor.core.words import Reason
from processor.providers.meaning import Meaning
from processor.providers.smpp.codes import STATUSES, bind_refusal, refusal
from processor.providers.smpp.link import Link
from processor.providers.smpp.pdu import PDU_BYTES_MAX, Malformed, Pdu, take_pdus
from tests.providers.smsc_peer import raw

pdus = st.builds(
    raw, st.integers(0, 2**32 - 1), st.integers(0, 2**32 - 1), st.integers(0, 2**32 - 1), st.binary(max_size=300)
)


@given(st.lists(pdus, max_size=8), st.data())
def test_pdus_are_the_same_however_they_are_cut(sent: list[bytes], data: st.DataObject) -> None:
    stream, buffer = b"".join(sent), bytearray()
    taken: list[Pdu] = []
    while stream:
        length = data.draw(st.integers(1, len(stream)))
        buffer += stream[:length]
        stream = stream[length:]
        taken += take_pdus(buffer)

    assert [pdu.raw for pdu in taken] == sent
    assert not buffer


@given(st.lists(st.binary(max_size=200), max_size=10))
def test_any_bytes_are_taken_or_refused_and_little_is_kept(chunks: list[bytes]) -> None:
    buffer = bytearray()
    with contextlib.suppress(Malformed):
        for chunk in chunks:
            buffer += chunk
            list(take_pdus(buffer))
    assert len(buffer) <= PDU_BYTES_MAX


@given(st.lists(st.one_of(pdus, st.binary(max_size=64)), max_size=12))
def test_a_link_survives_whatever_a_centre_sends(chunks: list[bytes]) -> None:
    async def fed() -> list[Pdu]:
        delivered: list[Pdu] = []
        link = Link(window=2, on_deliver=delivered.append)
        for chunk in chunks:
            link.data_received(chunk)
        link.abort()
        return delivered

    assert all(pdu.command_id == 0x05 for pdu in asyncio.run(fed()))


@given(st.integers(1, 2**32 - 1))
def test_no_status_but_0_is_accepted_and_no_bind_is_refused_for_good(status: int) -> None:
    assert not isinstance(refusal(status, {}), Accepted)
    assert bind_refusal(status, {}).reason in {
        Reason.AUTHENTICATION_FAILED,
        Reason.PROVIDER_UNAVAILABLE,
        Reason.PROVIDER_THROTTLED,
    }


def test_only_success_is_listed_as_accepted() -> None:
    assert [status for status, meaning in STATUSES.items() if meaning is Meaning.ACCEPTED] == [0]
