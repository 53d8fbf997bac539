"""What measurements of the whole processor stand on tells when calls were, and whether a process stopped in order."""

from __future__ import annotations

import sys
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest
from prometheus_client import generate_latest

from bench.works import Unclean, began_ms, owned, stop_cleanly, taken_ms
from processor.metrics import PARTITIONS_ASSIGNED, REGISTRY
from processor.sandbox.child import Child
from processor.sandbox.ledger import Entry

if TYPE_CHECKING:
    from pathlib import Path

CALL = Entry(1_500, 1_000, "http-sms", "otp-1", 1, (), True, "250", "", 10)


def test_a_message_is_accepted_when_it_was_there_whole_and_has_begun_before() -> None:
    assert taken_ms([CALL], "otp") == {"otp-1": 1_500}
    assert began_ms([CALL], "otp") == {"otp-1": 1_000}


def test_a_call_that_was_refused_is_no_acceptance() -> None:
    again = replace(CALL, at_ms=9_500, first_byte_ms=9_000, attempt=2)

    assert taken_ms([replace(CALL, accepted=False), again], "otp") == {"otp-1": 9_500}
    assert began_ms([replace(CALL, accepted=False), again], "otp") == {"otp-1": 1_000}


def test_calls_of_other_messages_are_left_out() -> None:
    others = [replace(CALL, message_id=each) for each in (None, "otp2-1", "SMS-1")]

    assert not taken_ms(others, "otp")
    assert not began_ms(others, "otp")


def process(folder: Path, on_term: str) -> Child:
    """Return a process that does *on_term* when it is asked to stop, and is ready for that."""
    wait = "import signal, sys, time\nsignal.signal(signal.SIGTERM, stop)\nprint('ready', flush=True)\ntime.sleep(60)"
    child = Child([sys.executable, "-c", f"def stop(*_):\n    {on_term}\n{wait}"], folder=folder)
    child.wait_until(lambda: "ready" in child.last_lines(), within_s=30, what="a process")
    return child


def test_a_process_that_stops_in_order_is_stopped(tmp_path: Path) -> None:
    stop_cleanly(process(tmp_path, "sys.exit(0)"), "a process")


def test_a_stop_that_failed_is_not_passed_over(tmp_path: Path) -> None:
    with pytest.raises(Unclean, match="ended with 3"):
        stop_cleanly(process(tmp_path, "sys.exit(3)"), "a process")


def test_a_process_that_had_to_be_killed_did_not_stop_in_order(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("processor.sandbox.child.STOP_WITHIN_S", 0.5)

    with pytest.raises(Unclean, match="ended with -9"):
        stop_cleanly(process(tmp_path, "pass"), "a process")


def test_a_process_that_could_not_leave_its_group_did_not_stop_in_order(tmp_path: Path) -> None:
    with pytest.raises(Unclean, match="did not leave its group"):
        stop_cleanly(process(tmp_path, "print('group.stayed', flush=True) or sys.exit(0)"), "a process")


def test_partitions_are_read_off_the_page_of_metrics_for_each_loop() -> None:
    PARTITIONS_ASSIGNED.labels("dispatch").set(3)
    PARTITIONS_ASSIGNED.labels("dispatch.express").set(2)
    page = generate_latest(REGISTRY).decode()

    assert owned(page, "dispatch") == 3
    assert owned(page, "dispatch.express") == 2
    assert owned(page, "nobody") == 0
