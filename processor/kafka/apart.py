"""Calls that may never return, made in a thread that can be left behind."""

import threading
from collections.abc import Callable
from queue import Empty, SimpleQueue
from time import monotonic
from typing import Final

_FIRST_S: Final = 0.5  # a call is given this long before anybody asks
_NEXT_S: Final = 0.05


class Stuck(Exception):
    """A call has not returned in many times the time it was given."""


class Apart:
    """
    A daemon thread that makes one call after the other for a caller who waits, but not for ever.

    librdkafka's `send_offsets_to_transaction` never returns, whatever its time-out, where the broker that
    it remembers as the group's coordinator left the cluster's metadata since: at each restart of a broker
    (librdkafka issue 5511, still open with 2.16.0; five of five producers under way here, and an idle one, 2026-11-26).
    """

    def __init__(self, name: str) -> None:
        """Start the thread."""
        self._calls: SimpleQueue[Callable[[], object] | None] = SimpleQueue()
        self._ends: SimpleQueue[BaseException | None] = SimpleQueue()
        self._under_way = False
        threading.Thread(target=self._work, name=name, daemon=True).start()

    def call(self, function: Callable[[], object], *, patience_s: float, meanwhile: Callable[[], object]) -> None:
        """
        Call *function* and return, or raise what it raised; *meanwhile* is called again and again if it takes long.

        Raises `Stuck` after *patience_s*. From then on nobody may use this object, nor what *function* holds.
        Raises `RuntimeError` for a call that *meanwhile* makes: each would take the other's end for its own.
        """
        if self._under_way:
            raise RuntimeError("another call is under way")
        self._under_way = True
        self._calls.put(function)
        raised = self._end(monotonic() + patience_s, meanwhile)
        self._under_way = False
        try:
            if raised is not None:
                raise raised
        finally:
            raised = None  # its traceback holds this frame: the two would keep what *function* holds until a collection

    def _end(self, deadline_s: float, meanwhile: Callable[[], object]) -> BaseException | None:
        wait_s = _FIRST_S
        while True:
            try:
                return self._ends.get(timeout=wait_s)
            except Empty:
                if monotonic() > deadline_s:
                    raise Stuck from None
            meanwhile()
            wait_s = _NEXT_S

    def leave(self) -> None:
        """Let the thread end once its call returns, if it ever does."""
        self._calls.put(None)

    def _work(self) -> None:
        while (function := self._calls.get()) is not None:
            try:
                function()
            except BaseException as error:  # noqa: BLE001 - raised again where somebody waits for it
                # Without its traceback: that holds this frame, and where nobody waits any more the two would keep each
                # other, and what *function* holds, until a collection.
                self._ends.put(error.with_traceback(None))
            else:
                self._ends.put(None)
            del function  # it holds a producer, which may be let go meanwhile
