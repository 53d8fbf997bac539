"""A bind: opened once, asked after while it is silent, its receipts answered only when they are safe."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Final, NamedTuple

import smpp34

from processor.core.outcome import Stage
from processor.providers.adapter import Broken
from processor.providers.smpp.codes import RINVCMDID, ROK, RX_R_APPN, RX_T_APPN
from processor.providers.smpp.link import Link
from processor.providers.smpp.pdu import RESPONSE, Command, Pdu, bind, plain
from processor.providers.smpp.receipt import is_receipt, parse

if TYPE_CHECKING:
    import ssl
    from collections.abc import Awaitable

    from processor.providers.names import Lookups
    from processor.providers.smpp.config import SmppConfig
    from processor.providers.smpp.receipt import Receipts

RECEIPTS_MAX: Final = 1_000  # that one bind hands over at once; the centre keeps the others
GOODBYE_S: Final = 2.0


class Refused(NamedTuple):
    """A bind that the centre answered with this status."""

    status: int


class Session:
    """A bound link."""

    def __init__(self, config: SmppConfig, receipts: Receipts) -> None:
        self._config = config
        self._receipts = receipts
        self._tasks: set[asyncio.Task[None]] = set()
        self.link = Link(window=config.window_size, on_deliver=self._on_deliver)

    @classmethod
    async def open(
        cls,
        config: SmppConfig,
        role: Command,
        tls: ssl.SSLContext | None,
        receipts: Receipts,
        lookups: Lookups,
    ) -> Session | Refused | Broken:
        """Connect and bind; what keeps it from that is a value."""
        session = cls(config, receipts)
        link = session.link
        try:
            async with asyncio.timeout(config.connect_timeout_ms / 1000):
                connected = await lookups.connected(config.host, config.port)
                await asyncio.get_running_loop().create_connection(
                    lambda: link, sock=connected, ssl=tls, server_hostname=config.host if tls else None
                )
            answer = await link.ask(bind(role, config), within_s=config.bind_timeout_ms / 1000)
        except (OSError, UnicodeError):  # refused, unreachable, not resolved, TLS, time-out; no name at all
            link.abort()
            return Broken(Stage.CONNECT)
        except asyncio.CancelledError:
            link.abort()
            raise
        if answer is None or answer.status != ROK:
            link.abort()
            return Broken(Stage.GREETING) if answer is None else Refused(answer.status)
        if answer.command_id != role | RESPONSE:  # a nack without a status, or an answer to what nobody asked
            link.abort()
            return Broken(Stage.GREETING)
        session._spawn(session._watch())
        return session

    async def unbind(self) -> None:
        """Say goodbye and hang up; answers that come before the goodbye's own are taken."""
        await self.link.ask(plain(Command.UNBIND), within_s=GOODBYE_S)
        self.link.close()
        await self.over()

    async def over(self) -> None:
        """Wait until the link has ended; nothing of it runs on."""
        try:
            await asyncio.shield(self.link.ended)
        finally:
            for task in self._tasks:
                task.cancel()

    async def _watch(self) -> None:
        """Ask after a link that has been silent; end one that stays silent."""
        loop = asyncio.get_running_loop()
        rest_s = self._config.enquire_link_ms / 1000
        while True:
            await asyncio.sleep(self.link.heard_at_s + rest_s - loop.time())
            if loop.time() - self.link.heard_at_s < rest_s:
                continue
            await self.link.ask(plain(Command.ENQUIRE_LINK), within_s=self._config.enquire_timeout_ms / 1000)
            if loop.time() - self.link.heard_at_s >= rest_s:
                self.link.abort()
                return

    # What the centre delivers.

    def _on_deliver(self, pdu: Pdu) -> None:
        if len(self._tasks) > RECEIPTS_MAX:
            self.link.respond(pdu, RX_T_APPN, b"\0")
        else:
            self._spawn(self._delivered(pdu))

    async def _delivered(self, pdu: Pdu) -> None:
        status = RX_T_APPN  # also where the link, or this process, ends meanwhile
        try:
            status = await self._handed_over(pdu)
        finally:
            self.link.respond(pdu, status, b"\0")  # §4.6.2: an empty message id

    async def _handed_over(self, pdu: Pdu) -> int:
        """Return the status that the centre is to be answered."""
        try:
            deliver = smpp34.decode(pdu.raw)
        except smpp34.SmppError:
            return RX_R_APPN
        if not isinstance(deliver, smpp34.DeliverSm):
            return RINVCMDID
        if not is_receipt(deliver):
            return ROK  # somebody wrote to us: nothing here reads that, and refused it would come again and again
        receipt = parse(deliver, self._config.receipt_ids)
        if receipt is None:
            return RX_R_APPN
        try:
            await self._receipts(receipt)
        except Exception:  # noqa: BLE001 - who takes receipts tells what went wrong; here it means: send it again
            return RX_T_APPN
        return ROK

    def _spawn(self, work: Awaitable[None]) -> None:
        task = asyncio.ensure_future(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
