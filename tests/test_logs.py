"""A log line tells what happened and nothing of what was sent, whoever writes it and however."""

from __future__ import annotations

import io
import json
import logging
import subprocess
import sys
import textwrap
import threading
from typing import TYPE_CHECKING, Any

import pytest
import structlog

from processor import logs
from processor.core.words import Lane, Reason

if TYPE_CHECKING:
    from collections.abc import Iterator

CANARIES = (
    "canary body 1",
    "482913",
    "jane.canary@example.com",
    "+40700000001",
    "canary;password=hunter2",
    "line one\r\nlevel=info event=forged.line",
    "\x1b[2J\x1b[31mcanary",
    "%s %(canary)s {canary}",
    "canary\u2028two",
    "\u202ecanary",
    "canary\x00",
    "c" * 10_000,
)


@pytest.fixture
def stream() -> Iterator[io.StringIO]:
    """What a configured process would write; everything that `configure` routes is put back afterwards."""
    root, hooks = logging.getLogger(), (sys.excepthook, sys.unraisablehook)
    before = (root.handlers[:], root.level, logging.raiseExceptions)
    thread_hook = threading.excepthook
    yield io.StringIO()
    root.handlers, logging.raiseExceptions = before[0], before[2]
    root.setLevel(before[1])
    sys.excepthook, sys.unraisablehook = hooks
    threading.excepthook = thread_hook
    logging.captureWarnings(capture=False)
    structlog.reset_defaults()


def fail(canary: str) -> None:
    raise RuntimeError(canary) from KeyError(canary)


def lines(stream: io.StringIO) -> list[dict[str, Any]]:
    return [json.loads(line) for line in stream.getvalue().splitlines()]


class TestCanaries:
    @pytest.mark.parametrize("format_", ["json", "console"])
    @pytest.mark.parametrize("canary", CANARIES, ids=range(len(CANARIES)))
    def test_none_gets_out_by_any_field_name_argument_error_or_library(
        self, stream: io.StringIO, canary: str, format_: str
    ) -> None:
        logs.configure(format=format_, stream=stream)
        log = logs.logger()

        log.info(canary)
        log.info("x %s", canary)
        log.info("record.failed", **dict.fromkeys(set(logs.FIELDS) - {"message_id", "slot"}, canary))
        log.info("record.failed", body=canary, **{"to": canary, canary: 1})
        log.bind(password=canary).error("record.failed", topic=b"canary", offset=[canary], error=ValueError(canary))
        try:
            fail(canary)
        except RuntimeError:
            log.exception("record.failed", stack_info=True)
            logging.getLogger("aiohttp.server").exception(canary, extra={"canary": canary})
        logging.getLogger("rdkafka").error("%s [%s] %s", canary, canary, canary)
        logging.getLogger(canary).error("%d", canary)

        written = stream.getvalue()
        assert len(written.splitlines()) == 9
        assert "canary" not in written.lower()
        assert canary not in written
        assert "cccc" not in written
        assert not set(written) - set(map(chr, range(32, 127))) - {"\n"}

    def test_none_gets_out_of_a_process_that_fails(self) -> None:
        program = """
            import threading, warnings
            from processor import logs
            logs.configure()
            class Canary:
                def __del__(self):
                    raise ValueError("canary")
            Canary()
            warnings.warn("canary")
            thread = threading.Thread(target=lambda: {}["canary"])
            thread.start()
            thread.join()
            raise ValueError("canary")
        """
        ended = subprocess.run(
            [sys.executable, "-c", textwrap.dedent(program)], capture_output=True, check=False, text=True
        )

        assert ended.returncode == 1
        assert ended.stderr == ""
        assert "canary" not in ended.stdout
        told = [json.loads(line) for line in ended.stdout.splitlines()]
        assert [(line["event"], line.get("error")) for line in told] == [
            ("process.failed", "ValueError"),
            ("library.logged", None),
            ("process.failed", "KeyError"),
            ("process.failed", "ValueError"),
        ]


class TestLines:
    def test_an_event_is_one_object_with_its_facts(self, stream: io.StringIO) -> None:
        logs.configure(stream=stream)

        logs.logger().info(
            "attempt.ended",
            provider="GatewaySMS",
            lane=Lane.EXPRESS,
            reason=Reason.ACCEPTED,
            attempt=2,
            message_id="m:1",
            at="comm.outbound/0@15",
            why=Reason.IN_DOUBT,
        )

        (line,) = lines(stream)
        assert line.pop("time").endswith("Z")
        assert line == {
            "level": "info",
            "event": "attempt.ended",
            "provider": "GatewaySMS",
            "lane": "express",
            "reason": "accepted",
            "attempt": 2,
            "message_id": "m:1",
            "at": "comm.outbound/0@15",
            "why": "in_doubt",
        }

    def test_an_error_is_told_by_class_and_place(self, stream: io.StringIO) -> None:
        logs.configure(stream=stream)

        try:
            fail("secret")
        except RuntimeError:
            logs.logger().exception("record.failed", partition=3)

        (line,) = lines(stream)
        assert (line["error"], line["partition"]) == ("RuntimeError", 3)
        assert line["at"].startswith("test_logs.py:")
        assert line["at"].endswith(":fail")

    def test_fields_off_the_list_are_dropped_and_counted(self, stream: io.StringIO) -> None:
        counted: list[int] = []
        logs.configure(stream=stream, on_dropped=counted.append)

        logs.logger().info("tick.committed", records=5, body="x", to="y")

        (line,) = lines(stream)
        assert (line["records"], line["dropped"], counted) == (5, 2, [2])

    def test_lines_below_the_level_are_left_out(self, stream: io.StringIO) -> None:
        logs.configure(stream=stream, level="warning")

        logs.logger().info("tick.committed")
        logs.logger().warning("kafka.away")

        assert [line["event"] for line in lines(stream)] == ["kafka.away"]

    def test_a_librdkafka_line_keeps_its_facility(self, stream: io.StringIO) -> None:
        logs.configure(stream=stream)

        logging.getLogger("librdkafka").error("%s [%s] %s", "TXNERR", "client-1", "text")

        assert lines(stream)[0]["facility"] == "TXNERR"

    def test_a_line_for_people_has_its_facts_as_pairs(self, stream: io.StringIO) -> None:
        logs.configure(stream=stream, format="console")

        logs.logger().info("tick.committed", loop="dispatch.express", records=5)

        assert stream.getvalue().endswith(" level=info event=tick.committed loop=dispatch.express records=5\n")
