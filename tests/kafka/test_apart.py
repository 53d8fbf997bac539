"""A call that never returns holds nobody up, and one that returns is as good as a call of one's own."""

from __future__ import annotations

import gc
import threading
import time
import weakref
from typing import TYPE_CHECKING

import pytest

from processor.kafka.apart import Apart, Stuck
from tests.support.eventually import eventually

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture
def apart() -> Apart:
    return Apart("test")


def test_a_call_is_made_in_another_thread_and_awaited(apart: Apart) -> None:
    seen: list[int] = []

    apart.call(lambda: seen.append(threading.get_ident()), patience_s=5, meanwhile=lambda: None)

    assert len(seen) == 1
    assert seen != [threading.get_ident()]
    apart.leave()


def test_what_a_call_raises_is_raised_where_it_was_asked_for(apart: Apart) -> None:
    def fails() -> None:
        raise LookupError("as it was")

    for _ in range(2):  # and the next call works
        with pytest.raises(LookupError, match="as it was"):
            apart.call(fails, patience_s=5, meanwhile=lambda: None)
    apart.leave()


def test_who_waits_for_a_slow_call_goes_on_with_something_else(apart: Apart) -> None:
    done, polled = threading.Event(), 0

    def poll() -> None:
        nonlocal polled
        polled += 1
        if polled == 3:
            done.set()

    apart.call(done.wait, patience_s=20, meanwhile=poll)

    assert polled == 3
    apart.leave()


def test_a_call_inside_a_call_is_a_defect_that_is_told(apart: Apart) -> None:
    done = threading.Event()

    def again() -> None:
        with pytest.raises(RuntimeError, match="under way"):
            apart.call(lambda: None, patience_s=5, meanwhile=lambda: None)
        done.set()

    apart.call(done.wait, patience_s=20, meanwhile=again)
    apart.leave()


def test_a_call_that_never_returns_is_left_behind(apart: Apart) -> None:
    never = threading.Event()
    began_s = time.monotonic()

    with pytest.raises(Stuck):
        apart.call(never.wait, patience_s=0.6, meanwhile=lambda: None)

    assert time.monotonic() - began_s < 5
    apart.leave()
    never.set()  # so that its thread ends with the test


def test_a_call_that_was_left_behind_and_fails_later_keeps_nothing(apart: Apart, uncollected: None) -> None:
    class Held:
        def fail(self) -> None:
            late.wait(20)
            raise LookupError

    late, held = threading.Event(), Held()
    gone = weakref.ref(held)
    with pytest.raises(Stuck):
        apart.call(held.fail, patience_s=0.1, meanwhile=lambda: None)
    apart.leave()

    del apart, held
    late.set()

    eventually(lambda: gone() is None, within_s=5)


@pytest.fixture
def uncollected() -> Iterator[None]:
    gc.disable()
    yield
    gc.enable()
