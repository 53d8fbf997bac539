"""Asks the registry for schemas beside the calls: who waits for one keeps nobody else waiting."""

from asyncio import Future, ensure_future
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Final

from processor.codec.framing import prefix_of
from processor.codec.outbound import OutboundCodec
from processor.stages.dispatch.event_loop import EventLoop

Then = Callable[[BaseException | None], None]
"""What to do once the registry has answered: None; or has not, or we have a defect there."""

_THREADS: Final = 1  # readers are made by one thread


class Schemas:
    """Schemas that are not known yet; used in the event loop's thread only."""

    def __init__(self, event_loop: EventLoop, codec: OutboundCodec) -> None:
        """Learn for *codec*; nobody is asked before the first schema that it does not know."""
        self._events = event_loop
        self._codec = codec
        self._thread = ThreadPoolExecutor(_THREADS, thread_name_prefix="schemas")
        self._asked: dict[bytes, list[Then]] = {}

    def lacks(self, value: bytes | None) -> bool:
        """Tell whether to read *value* now would wait for the registry."""
        return not self._codec.knows(value)

    def ask(self, value: bytes | None, then: Then) -> None:
        """Ask for the schema of *value*, which is lacking; *then* is called in the event loop."""
        prefix = prefix_of(value)
        waiting = self._asked.setdefault(prefix, [])
        waiting.append(then)
        if len(waiting) == 1:
            asked = ensure_future(self._events.loop.run_in_executor(self._thread, self._codec.learn, value))
            asked.add_done_callback(partial(self._answered, prefix))

    def _answered(self, prefix: bytes, asked: Future[None]) -> None:
        error = asked.exception()
        for then in self._asked.pop(prefix):
            then(error)
