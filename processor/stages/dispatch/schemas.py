"""Asks the registry for schemas beside the calls, so that who waits for one keeps nobody else waiting."""

import threading
from collections.abc import Callable
from contextlib import suppress
from queue import SimpleQueue

from processor.codec.framing import prefix_of
from processor.codec.outbound import OutboundCodec
from processor.stages.dispatch.event_loop import EventLoop

Then = Callable[[BaseException | None], None]
"""What to do once the registry has answered (None), or has not; or we have a defect there."""


class Schemas:
    """
    Schemas that are not known yet; used in the event loop's thread only.

    The registry is asked in a daemon thread: an answer that does not come keeps no process from leaving.
    """

    def __init__(self, event_loop: EventLoop, codec: OutboundCodec) -> None:
        """Learn for *codec*, which nobody else lets ask; no thread is there before the first question."""
        self._events = event_loop
        self._codec = codec
        self._questions: SimpleQueue[bytes | None] = SimpleQueue()
        self._asked: dict[bytes, list[Then]] = {}
        self._thread: threading.Thread | None = None

    def may_ask(self, value: bytes | None) -> bool:
        """Tell whether the registry may know more of *value* than we do, and is not known to be away."""
        return not self._codec.knows(value)

    def ask(self, value: bytes | None, then: Then) -> None:
        """Ask for the schema of *value*; *then* is called in the event loop."""
        waiting = self._asked.setdefault(prefix_of(value), [])
        waiting.append(then)
        if len(waiting) == 1:
            self._questions.put(value)
        if self._thread is None:
            self._thread = threading.Thread(target=self._work, name="schemas", daemon=True)
            self._thread.start()

    def _work(self) -> None:
        while True:
            value, error = self._questions.get(), None
            try:
                self._codec.learn(value)
            except Exception as raised:  # noqa: BLE001 - told to whoever waits
                error = raised
            with suppress(RuntimeError):  # the event loop is closed: nobody waits any more
                self._events.soon(self._answered, prefix_of(value), error)

    def _answered(self, prefix: bytes, error: BaseException | None) -> None:
        for then in self._asked.pop(prefix):
            then(error)
