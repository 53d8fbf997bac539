"""The stage's loop: granian in an event loop of its own, in a thread of the process."""

import asyncio
import resource
import socket
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import uvloop
from granian.constants import HTTPModes, Interfaces
from granian.http import HTTP1Settings
from granian.log import LogLevels
from granian.server.embed import Server

from processor.codec.events import EventCodec
from processor.core.events import DeliveryEvent
from processor.core.tokens import Keys, Sealer
from processor.core.words import Reason
from processor.kafka.connection import Connection
from processor.kafka.reliable import Reliable
from processor.kafka.topics import Names
from processor.logs import logger
from processor.metrics import Health
from processor.stages.tracking.acts import Acts, Memory
from processor.stages.tracking.buffer import Buffer
from processor.stages.tracking.embedded import serving
from processor.stages.tracking.follower import Followed, Follower
from processor.stages.tracking.front import Front, Webhooks
from processor.stages.tracking.http import STAGE, Application
from processor.stages.tracking.outlet import Outlet

log = logger()

HEAD_BYTES_MAX: Final = 16_384
"""Of the request line and all headers; more is answered 431."""

CONNECTIONS_MAX: Final = 16_384
_FILES: Final = 65_536
_BACKLOG: Final = 1_024
_BEAT_S: Final = 0.1
LINGER_MS: Final = 15
"""Events are gathered for so long: a request to Kafka costs as much as answering a dozen clicks."""

# granian's own lines go the way of every library's: who and where, never the text.
_LOGGING: Final = {
    "formatters": {},
    "handlers": {},
    "loggers": {"_granian": {"propagate": True}, "granian.access": {"propagate": True}},
}


class PortTaken(Exception):
    """Somebody else listens on the configured port."""


@dataclass(frozen=True, slots=True)
class Listening:
    """Where the stage is reached, and its limits."""

    host: str
    port: int
    keys: Keys
    human_after_ms: int
    buffer_path: Path
    buffer_bytes_max: int
    body_bytes_max: int
    header_timeout_ms: int
    body_timeout_ms: int
    stop_grace_s: float


class TrackingLoop:
    """Serves until it is asked to stop; `joined` once it is reached."""

    def __init__(
        self,
        listening: Listening,
        *,
        connection: Connection,
        names: Names,
        partitions: Mapping[str, int],
        codec: EventCodec,
        health: Health,
        instance: str,
        webhooks: Callable[[Reliable], Webhooks | None] = lambda _: None,
    ) -> None:
        """Choose the port and open the buffer; raises `PortTaken` and `BufferTaken`."""
        self.port = free(listening.host, listening.port)
        self._listening = listening
        self._connection = connection
        self._names = names
        self._partitions = {topic: partitions[topic] for topic in (names.engagement, names.delivery)}
        self._codec = codec
        self._health = health
        self._memory = Memory()
        self._acts = Acts(instance, self._memory, human_after_ms=listening.human_after_ms, started_ns=time.time_ns())
        self._webhooks = webhooks
        self._buffer = Buffer(listening.buffer_path, listening.buffer_bytes_max)
        self._serving = False
        self._seen = False  # Kafka has answered since the start

    @property
    def joined(self) -> bool:
        """Tell whether requests are answered."""
        return self._serving

    def run(self, stopping: threading.Event) -> None:
        """Serve until *stopping*; then accept no more, finish what was asked, and close."""
        allow_files()
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            runner.run(self._serve(stopping))

    async def _serve(self, stopping: threading.Event) -> None:
        reliable = Reliable(self._connection, linger_ms=LINGER_MS)
        outlet = Outlet(reliable, self._buffer)
        follower = self._follower(asyncio.get_running_loop())
        front = self._front(outlet, reliable)
        server = self._server(front)
        served = asyncio.ensure_future(serving(server))
        draining = asyncio.create_task(outlet.drain())
        log.info("tracking.listening", stage=STAGE, port=self.port)
        self._serving = True
        try:
            await self._until(stopping, front, served, draining)
        finally:
            self._serving = False
            await self._stop(server, served)
            draining.cancel()
            with suppress(asyncio.CancelledError):
                await draining
            follower.close()
            await asyncio.to_thread(reliable.close)
            await self._buffer.close()
            front.tell()
            self._health.stopped(STAGE)

    async def _until(self, stopping: threading.Event, front: Front, *tasks: asyncio.Task[None]) -> None:
        while not stopping.is_set():
            self._health.beat(STAGE)
            front.tell()
            self._seen = self._seen or self._health.ready()[0]
            done, _ = await asyncio.wait(tasks, timeout=_BEAT_S, return_when=asyncio.FIRST_COMPLETED)
            for task in done:
                task.result()
                raise RuntimeError("the server has ended by itself")

    async def _stop(self, server: Server, serving: "asyncio.Task[None]") -> None:
        if serving.done():
            return
        server.stop()  # type: ignore[no-untyped-call]
        _, late = await asyncio.wait([serving], timeout=self._listening.stop_grace_s)
        for task in late:
            task.cancel()
            log.warning("tracking.cut_off", stage=STAGE)

    def _follower(self, loop: asyncio.AbstractEventLoop) -> Follower:
        def take(events: Sequence[Followed]) -> None:
            with suppress(RuntimeError):  # the loop has ended
                loop.call_soon_threadsafe(self._learn, events)

        return Follower(self._connection, self._partitions, self._codec, take, self._acts.mark)

    def _learn(self, events: Sequence[Followed]) -> None:
        for event in events:
            if isinstance(event, DeliveryEvent):
                if event.reason is not Reason.OTHER_CONTENT:  # that says nothing of the message
                    self._memory.reached(event.message_id, event.status)
            else:
                self._memory.saw(event)

    def _front(self, outlet: Outlet, reliable: Reliable) -> Front:
        return Front(
            Sealer(self._listening.keys),
            self._acts,
            outlet,
            self._codec,
            self._names,
            body_bytes_max=self._listening.body_bytes_max,
            ready=self._ready,
            healthy=lambda: not self._health.stuck(),
            webhooks=self._webhooks(reliable),
        )

    def _ready(self) -> bool:
        """Tell whether to send requests here: while Kafka is away redirects work, until the buffer is full."""
        return self._seen and not self._buffer.full

    def _server(self, front: Front) -> Server:
        listening = self._listening
        return Server(
            Application(front, body_timeout_s=listening.body_timeout_ms / 1_000),
            address=listening.host,
            port=self.port,
            interface=Interfaces.RSGI,
            http=HTTPModes.http1,
            websockets=False,
            backlog=_BACKLOG,
            backpressure=CONNECTIONS_MAX,
            http1_settings=HTTP1Settings(
                header_read_timeout=listening.header_timeout_ms, max_buffer_size=HEAD_BYTES_MAX
            ),
            log_level=LogLevels.error,
            log_dictconfig=_LOGGING,
        )


def free(host: str, port: int) -> int:
    """
    Return *port*, or a free one for 0; raises `PortTaken`.

    Asked here, for granian shares its port with whoever else shares it (SO_REUSEPORT), and two instances
    would not notice each other.
    """
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(family, socket.SOCK_STREAM) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError:
            raise PortTaken(str(port)) from None
        return int(probe.getsockname()[1])


def allow_files() -> None:
    """Let this process have a socket for each of thousands of slow clients, as far as the system allows."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = _FILES if hard == resource.RLIM_INFINITY else min(_FILES, hard)
    if soft != resource.RLIM_INFINITY and soft < wanted:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))
