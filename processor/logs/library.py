"""Log lines of libraries: who logs, how serious, which error; never the text."""

import logging
import re
from typing import Final

from structlog.typing import FilteringBoundLogger

from processor.logs.fields import error_name, place

LIBRDKAFKA_FACILITY: Final = re.compile(r"[A-Z][A-Z0-9_]{0,19}")
"""librdkafka's short names of what happened, such as FAIL or TXNERR; its client passes it as the first argument."""


class LibraryHandler(logging.Handler):
    """Turn a library's record into a `library.logged` event."""

    def __init__(self, log: FilteringBoundLogger) -> None:
        super().__init__()
        self._log = log

    def emit(self, record: logging.LogRecord) -> None:
        """Log class and place of *record*; its text and arguments may hold a recipient or a reply."""
        fields: dict[str, object] = {"logger": record.name, "at": f"{record.filename}:{record.lineno}"}
        if record.exc_info and record.exc_info[1] is not None:
            fields |= {"error": error_name(record.exc_info[1]), "at": place(record.exc_info[2])}
        facility = record.args[0] if isinstance(record.args, tuple) and record.args else None
        if isinstance(facility, str) and LIBRDKAFKA_FACILITY.fullmatch(facility) and record.msg == "%s [%s] %s":
            fields["facility"] = facility
        level = min(record.levelno // 10 * 10, logging.CRITICAL)  # structlog knows only the standard levels
        self._log.log(level, "library.logged", **fields)
