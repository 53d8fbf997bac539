"""One connection to a short message centre: PDUs go out, answers find who waits for them."""

from __future__ import annotations

import asyncio
from collections import deque
from contextlib import suppress
from typing import TYPE_CHECKING, Final, NamedTuple, cast

from processor.core.outcome import Stage
from processor.providers.adapter import Broken, never
from processor.providers.smpp.codes import RINVCMDID
from processor.providers.smpp.pdu import (
    RESPONSE,
    SEQUENCE_MAX,
    Command,
    Malformed,
    Pdu,
    numbered,
    plain,
    take_pdus,
)

if TYPE_CHECKING:
    from collections.abc import Callable

UNREAD_BYTES_MAX: Final = 262_144  # of our answers, before a centre that asks and never reads is cut off
FORGOTTEN_S: Final = 300.0  # after its time-out: a centre that has not answered by then will not
DRAIN_MS_MAX: Final = 5_000  # for answers that a centre still owes when it unbinds

NOT_SENT: Final = Broken(Stage.PREPARE)
PERHAPS_SENT: Final = Broken(Stage.HAND_OVER)


class Open(NamedTuple):
    """A submit_sm that has left, and holds a place in the window until it is answered."""

    answer: asyncio.Future[Pdu | Broken]
    timer: asyncio.TimerHandle


class Link(asyncio.Protocol):
    """
    A connection with a window: never more than so many submits are without an answer.

    A submit whose time is up, or whose caller has left, keeps its place until its answer comes, or none can be
    expected any more; a centre that has let all places lapse is hung up on.
    """

    def __init__(self, *, window: int, on_deliver: Callable[[Pdu], None]) -> None:
        self.ended: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self.has_taken = False  # a submit
        self.heard_at_s = 0.0  # the event loop's clock
        self._loop = asyncio.get_running_loop()
        self._window = window
        self._on_deliver = on_deliver
        self._transport: asyncio.Transport | None = None
        self._received = bytearray()
        self._sequence = 0
        self._open: dict[int, Open] = {}
        self._asked: dict[int, asyncio.Future[Pdu | None]] = {}
        self._waiting: deque[asyncio.Future[None]] = deque()
        self._promised = 0  # places that are those of who was woken, and has not run yet
        self._is_paused = False
        self._unbound_by: Pdu | None = None

    @property
    def is_usable(self) -> bool:
        """Whether another submit may go out: what is written to a transport that is closing goes nowhere, untold."""
        is_closing = self._transport is not None and self._transport.is_closing()
        return self._unbound_by is None and not self.ended.done() and not is_closing

    @property
    def unanswered(self) -> int:
        """How many submits are without an answer."""
        return len(self._open)

    async def submit(
        self,
        pdu: bytes,
        *,
        until_s: float,
        answer_s: float,
        goes_on: bool = False,
        is_over: Callable[[], bool] = never,
    ) -> Pdu | Broken | None:
        """
        Send a submit_sm and return its answer; None if it had no place in the window by *until_s*, or *is_over* then.

        Who waits for a place is served in turn; what *goes_on*, with a later part of a text that is begun, comes next.
        *answer_s* seconds are given to the answer. Broken tells whether the PDU had left.
        """
        if self.is_usable and not self._has_room(goes_on=goes_on) and not await self._room(until_s, goes_on=goes_on):
            return None
        if not self.is_usable:
            return NOT_SENT
        if is_over():
            self._wake()  # the place is the next one's
            return None
        sequence = self._next_sequence()
        answer: asyncio.Future[Pdu | Broken] = self._loop.create_future()
        self._open[sequence] = Open(answer, self._loop.call_later(answer_s, self._lapsed, sequence))
        self._write(numbered(pdu, sequence))
        return await answer

    async def ask(self, pdu: bytes, *, within_s: float) -> Pdu | None:
        """Send any other request and return its answer; None if the line breaks, or none comes *within_s*."""
        if self.ended.done():
            return None
        sequence = self._next_sequence()
        answer: asyncio.Future[Pdu | None] = self._loop.create_future()
        self._asked[sequence] = answer
        self._write(numbered(pdu, sequence))
        try:
            async with asyncio.timeout(within_s):
                return await answer
        except TimeoutError:
            return None
        finally:
            self._asked.pop(sequence, None)

    def respond(self, request: Pdu, status: int, body: bytes = b"") -> None:
        """Answer a request of the centre's, if it is still there."""
        self._reply(plain(request.command_id | RESPONSE, status=status, sequence=request.sequence, body=body))

    def close(self) -> None:
        """End it once what was written has gone out."""
        self._end()
        if self._transport is not None:
            self._transport.close()

    def abort(self) -> None:
        """End it at once."""
        self._end()
        if self._transport is not None:
            self._transport.abort()

    # What the event loop calls.

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Keep the transport."""
        self._transport = cast("asyncio.Transport", transport)
        self.heard_at_s = self._loop.time()

    def data_received(self, data: bytes) -> None:
        """Take whole PDUs; of one that is not whole, at most its bound is kept."""
        self.heard_at_s = self._loop.time()
        self._received += data
        try:
            for pdu in take_pdus(self._received):
                if not self.ended.done():
                    self._take(pdu)
        except Malformed:
            self.abort()

    def connection_lost(self, exc: Exception | None) -> None:
        """Tell everybody who waits."""
        self._end()

    def pause_writing(self) -> None:
        """Let submits wait: what is not written is certainly not sent."""
        self._is_paused = True

    def resume_writing(self) -> None:
        """Let them go on."""
        self._is_paused = False
        self._wake()

    # PDUs that came.

    def _take(self, pdu: Pdu) -> None:
        match pdu.command_id:
            case Command.SUBMIT_SM_RESP:
                self._answered(pdu)
            case Command.DELIVER_SM:
                self._on_deliver(pdu)
            case Command.ENQUIRE_LINK:
                self.respond(pdu, 0)
            case Command.UNBIND:
                self._unbound_by = pdu
                self._loop.call_later(DRAIN_MS_MAX / 1000, self._drained)
                self._wake(everybody=True)
            case Command.GENERIC_NACK:
                self._refused(pdu)
            case Command.ALERT_NOTIFICATION:
                pass  # §4.12.1: has no response
            case command_id if command_id & RESPONSE:
                self._told(pdu)
            case _:
                self._reply(plain(Command.GENERIC_NACK, status=RINVCMDID, sequence=pdu.sequence))  # §4.3.1
        if self._unbound_by is not None and not any(not each.answer.done() for each in self._open.values()):
            self._drained()

    def _answered(self, pdu: Pdu) -> None:
        """Give an answer to who waits for it, and the place to the next; one that nobody waits for came late."""
        place = self._open.pop(pdu.sequence, None)
        if place is None:
            return
        self.has_taken = self.has_taken or pdu.status == 0
        place.timer.cancel()
        if not place.answer.done():
            place.answer.set_result(pdu)
        self._wake()

    def _told(self, pdu: Pdu) -> None:
        answer = self._asked.get(pdu.sequence)
        if answer is not None and not answer.done():
            answer.set_result(pdu)

    def _refused(self, pdu: Pdu) -> None:
        """§4.3: a header that the centre could not read; about none of ours, it has lost its place in the stream."""
        if pdu.sequence in self._open:
            self._answered(pdu)
        elif pdu.sequence in self._asked:
            self._told(pdu)
        else:
            self.abort()

    # Ends.

    def _drained(self) -> None:
        """Answer the centre's unbind and hang up: every answer that it owed is here, or its time is over."""
        if self._unbound_by is not None and not self.ended.done():
            self.respond(self._unbound_by, 0)
            self.close()

    def _lapsed(self, sequence: int) -> None:
        answer = self._open[sequence].answer
        if not answer.done():
            answer.set_result(PERHAPS_SENT)
        self._open[sequence] = Open(answer, self._loop.call_later(FORGOTTEN_S, self._forgotten, sequence))
        if len(self._open) >= self._window and all(each.answer.done() for each in self._open.values()):
            self.abort()

    def _forgotten(self, sequence: int) -> None:
        self._open.pop(sequence, None)
        self._wake()

    def _end(self) -> None:
        if not self.ended.done():
            self.ended.set_result(None)
        for place in self._open.values():
            place.timer.cancel()
            if not place.answer.done():
                place.answer.set_result(PERHAPS_SENT)
        self._open.clear()
        for answer in self._asked.values():
            if not answer.done():
                answer.set_result(None)
        self._wake(everybody=True)

    # The window.

    def _has_room(self, *, goes_on: bool) -> bool:
        return (goes_on or not self._waiting) and self._places > 0 and not self._is_paused

    @property
    def _places(self) -> int:
        return self._window - len(self._open) - self._promised

    async def _room(self, until_s: float, *, goes_on: bool) -> bool:
        """Wait for a place, which is the caller's if it takes it at once, or for the end; False when the time is up."""
        waiter: asyncio.Future[None] = self._loop.create_future()
        (self._waiting.appendleft if goes_on else self._waiting.append)(waiter)
        is_woken = False
        try:
            async with asyncio.timeout_at(until_s):
                await waiter
            is_woken = True
        except TimeoutError:
            pass
        finally:
            if waiter.done() and not waiter.cancelled():
                self._promised -= 1
            if not is_woken:
                with suppress(ValueError):
                    self._waiting.remove(waiter)
                self._wake()  # woken and cancelled at once: the place is the next one's
        return is_woken

    def _wake(self, *, everybody: bool = False) -> None:
        while self._waiting and (everybody or (self._places > 0 and not self._is_paused)):
            waiter = self._waiting.popleft()
            if not waiter.done():
                waiter.set_result(None)
                self._promised += 1

    def _next_sequence(self) -> int:
        """§3.2: 1 to 0x7FFFFFFF, then again; never one whose answer is still to come."""
        while True:
            self._sequence = self._sequence % SEQUENCE_MAX + 1
            if self._sequence not in self._open and self._sequence not in self._asked:
                return self._sequence

    def _reply(self, pdu: bytes) -> None:
        if self._transport is None or self.ended.done():
            return
        if self._transport.get_write_buffer_size() > UNREAD_BYTES_MAX:
            self.abort()
            return
        self._transport.write(pdu)

    def _write(self, pdu: bytes) -> None:
        if self._transport is not None:
            self._transport.write(pdu)
