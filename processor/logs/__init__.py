"""
Events as one line each, on standard output, with nothing secret in them.

An event is a fixed name (`record.failed`) and fields from an allow-list (`fields.py`). What is not
on it is dropped and counted. Of an error a line tells class and place, never its text, which may
hold a body or an address. Libraries' own log texts are treated likewise.
"""

import logging
import re
import sys
import threading
from collections.abc import Callable
from types import TracebackType
from typing import Any, Final, TextIO, cast

import orjson
import structlog
from structlog.typing import EventDict, FilteringBoundLogger, WrappedLogger

from processor.logs.fields import FIELDS, REFUSED, error_name, place
from processor.logs.library import LibraryHandler

__all__ = ["FIELDS", "REFUSED", "configure", "logger", "place"]

EVENT_NAME: Final = re.compile(r"[a-z][a-z0-9_]{0,31}(\.[a-z][a-z0-9_]{0,31}){1,2}")
UNNAMED: Final = "event.unnamed"
"""Stands for an event whose name is not a fixed one: it may have been built from content."""

LEVELS: Final = {"debug": 10, "info": 20, "warning": 30, "error": 40}
LIBRARY_LEVEL: Final = logging.WARNING


def logger() -> FilteringBoundLogger:
    """Return the logger: `log.info("tick.committed", loop=…, records=…)`."""
    return cast("FilteringBoundLogger", structlog.get_logger())


def configure(
    *,
    level: str = "info",
    format: str = "json",  # noqa: A002 - the setting's name
    stream: TextIO | None = None,
    on_dropped: Callable[[int], object] | None = None,
) -> None:
    """
    Send every log line of this process, libraries' and uncaught errors' too, to *stream* (standard output).

    *level*: debug, info, warning, error. *format*: json or console (key=value). *on_dropped* is told
    how many fields of a line were not on the allow-list.
    """
    structlog.configure(
        processors=[
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True, key="time"),
            _only_class_and_place,
            _named,
            _Allowed(on_dropped),
            _json if format == "json" else structlog.processors.LogfmtRenderer(key_order=["time", "level", "event"]),
        ],
        wrapper_class=structlog.make_filtering_bound_logger(LEVELS[level]),
        logger_factory=structlog.PrintLoggerFactory(stream or sys.stdout),
        cache_logger_on_first_use=False,  # a module's logger follows a later `configure`
    )
    _route_libraries()
    _route_uncaught()


def _only_class_and_place(_logger: WrappedLogger, _method: str, line: EventDict) -> EventDict:
    """Replace an error and its traceback by class and place."""
    given = line.pop("exc_info", None)
    line.pop("stack_info", None)
    error = sys.exc_info()[1] if given is True else given[1] if isinstance(given, tuple) else given
    if isinstance(error, BaseException):
        line.update(error=error_name(error), at=place(error.__traceback__))
    return line


def _named(_logger: WrappedLogger, _method: str, line: EventDict) -> EventDict:
    name = line.get("event")
    if not (isinstance(name, str) and EVENT_NAME.fullmatch(name)):
        line["event"] = UNNAMED
    return line


class _Allowed:
    """Keep the fields of the allow-list, each with a value that fits it; count the others."""

    def __init__(self, on_dropped: Callable[[int], object] | None) -> None:
        self._on_dropped = on_dropped

    def __call__(self, _logger: WrappedLogger, _method: str, line: EventDict) -> EventDict:
        kept: EventDict = {key: line[key] for key in ("time", "level", "event")}
        kept.update({key: FIELDS[key](value) for key, value in line.items() if key in FIELDS})
        dropped = len(line) - len(kept)
        if dropped:
            kept["dropped"] = dropped
            if self._on_dropped:
                self._on_dropped(dropped)
        return kept


def _json(_logger: WrappedLogger, _method: str, line: EventDict) -> str:
    return orjson.dumps(dict(line)).decode()


def _route_libraries() -> None:
    root = logging.getLogger()
    root.handlers = [LibraryHandler(logger())]
    root.setLevel(LIBRARY_LEVEL)
    logging.captureWarnings(capture=True)
    logging.raiseExceptions = False  # a library's bad format string would print its arguments


def _route_uncaught() -> None:
    def uncaught(kind: type[BaseException], error: BaseException | None, trace: TracebackType | None) -> None:
        if issubclass(kind, KeyboardInterrupt):
            return
        logger().error("process.failed", error=kind, at=place(trace))

    def thread_failed(args: Any) -> None:
        uncaught(args.exc_type, args.exc_value, args.exc_traceback)

    sys.excepthook = uncaught
    sys.unraisablehook = thread_failed
    threading.excepthook = thread_failed
