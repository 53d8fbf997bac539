"""An HTTP answer as outcomes, pure."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import jmespath
import orjson
from jmespath.exceptions import JMESPathError

from processor.core.outcome import Accepted, Outcome, Unknown
from processor.core.words import Reason
from processor.providers.http import codes
from processor.providers.meaning import Meaning, outcome_of

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from processor.providers.adapter import Submission
    from processor.providers.http.config import HttpConfig
    from processor.providers.http.reading import Answer

CODE: Final = re.compile(r"[A-Za-z0-9._-]{1,64}")
"""What a provider's code may look like in an event: anything else could carry text, or the recipient."""

SEGMENT_DIGITS_MAX: Final = 3

PARTS_MAX: Final = 255  # 3GPP TS 23.040 §9.2.3.24.1

PROVIDER_ID: Final = re.compile(r"[!-~]{1,128}")

PATHS: Final = ("provider_message_id", "code", "segments", "part_ids", "results", "result_reference")

PLAIN_PATH: Final = re.compile(r"[A-Za-z_][A-Za-z0-9_]*(\.[A-Za-z_][A-Za-z0-9_]*)*")

Find = Callable[[Any], Any]
"""What a path finds in an answer; None where it does not fit."""

MISSING_ITEM: Final = Unknown(Reason.ANSWER_MISSING)


@dataclass(frozen=True, slots=True)
class Mapped:
    """The configured way from an answer to outcomes; built once. Raises ValueError, with the setting's name."""

    statuses: Mapping[int, Meaning]
    codes: Mapping[str, Meaning]
    code_decides: bool  # the service answers 2xx whatever becomes of the message, and a code tells
    id_header: str | None
    code_header: str | None
    wait_headers: Mapping[str, str]  # name to kind, see codes.py
    paths: Mapping[str, Find]  # by setting; those that are set

    @classmethod
    def of(cls, config: HttpConfig) -> Mapped:
        """Compile what *config* says of answers."""
        paths = {
            setting: _finder(setting, expression)
            for setting in PATHS
            if (expression := getattr(config, setting)) is not None
        }
        if not set(config.retry_after_headers.values()) <= set(codes.WAIT_KINDS):
            raise ValueError(f"retry_after_headers: write one of {', '.join(codes.WAIT_KINDS)}")
        try:
            statuses = {status: Meaning(word) for status, word in config.statuses.items()}
            by_code = {code: Meaning(word) for code, word in config.codes.items()}
        except ValueError:
            raise ValueError(f"statuses, codes: write one of {', '.join(Meaning)}") from None
        return cls(
            statuses,
            by_code,
            Meaning.ACCEPTED in by_code.values(),
            config.provider_message_id_header,
            config.code_header,
            config.retry_after_headers,
            paths,
        )

    def find(self, setting: str, data: Any) -> Any:
        """Return what the path of *setting* finds in *data*; None without a path, and where it does not fit."""
        find = self.paths.get(setting)
        return None if find is None else find(data)

    def meaning(self, status: int) -> Meaning:
        """Return what *status* means to this service."""
        return self.statuses.get(status) or codes.meaning(status)

    def has_results(self, answer: Answer) -> bool:
        """Tell whether each message of a call has a result of its own in *answer*."""
        return "results" in self.paths and self.meaning(answer.status) is Meaning.ACCEPTED


def _finder(setting: str, expression: str) -> Find:
    """Return what *expression* finds. Raises ValueError, with the setting's name."""
    try:
        path = jmespath.compile(expression)
    except JMESPathError:
        raise ValueError(f"{setting}: {expression!r} is not a JMESPath expression") from None
    if PLAIN_PATH.fullmatch(expression):
        return _plain(expression.split("."))

    def find(data: Any) -> Any:
        try:
            return path.search(data)
        except (JMESPathError, TypeError, ValueError):  # a function, or a comparison, of what it does not take
            return None

    return find


def _plain(names: Sequence[str]) -> Find:
    """Return what a path of names alone finds; most are, and JMESPath's interpreter costs ten times as much."""

    def find(data: Any) -> Any:
        for name in names:
            if not isinstance(data, dict):
                return None
            data = data.get(name)
        return data

    return find


def parse(answer: Answer, batch: Sequence[Submission], mapped: Mapped, *, now_ms: int) -> list[Outcome]:
    """Return an outcome for each of *batch*; what the answer does not mention is Unknown."""
    means = mapped.meaning(answer.status)
    data = _json(answer.body)
    if not mapped.has_results(answer):
        return [_outcome(data, asked, mapped, means, answer, now_ms) for asked in batch]
    results = _by_message(mapped.find("results", data), batch, mapped)
    return [
        _outcome(results[index], asked, mapped, means, answer, now_ms) if index in results else MISSING_ITEM
        for index, asked in enumerate(batch)
    ]


def _by_message(results: Any, batch: Sequence[Submission], mapped: Mapped) -> dict[int, Any]:
    """Match results to submissions, by reference or, if there are as many, by order."""
    if not isinstance(results, list):
        return {}
    if "result_reference" not in mapped.paths:
        return dict(enumerate(results)) if len(results) == len(batch) else {}
    open_by_id: dict[str, list[int]] = {}  # a producer that repeats itself may fill a batch with one id
    for index in reversed(range(len(batch))):
        open_by_id.setdefault(batch[index].message.head.message_id, []).append(index)
    matched: dict[int, Any] = {}
    for result in results:
        reference = mapped.find("result_reference", result)
        waiting = open_by_id.get(reference) if isinstance(reference, str) else None
        if waiting:
            matched[waiting.pop()] = result
    return matched


def _outcome(data: Any, asked: Submission, mapped: Mapped, means: Meaning, answer: Answer, now_ms: int) -> Outcome:
    own_code = _code(mapped.find("code", data), asked)
    if own_code is None and mapped.code_header is not None:
        own_code = _code((answer.header(mapped.code_header) or "").partition(":")[0], asked)
    if own_code is not None and own_code in mapped.codes:
        means = mapped.codes[own_code]
    elif mapped.code_decides and means is Meaning.ACCEPTED:
        means = Meaning.UNLISTED  # no code that tells: the status alone would say too much
    found = mapped.find("provider_message_id", data)
    if found is None and mapped.id_header is not None:
        found = answer.header(mapped.id_header)
    outcome = outcome_of(
        means,
        code=own_code or str(answer.status),
        retry_after_ms=_wait_ms(answer, mapped, means, now_ms),
        provider_message_id=_provider_id(found, asked),
        segments=_segments(mapped.find("segments", data)) if "segments" in mapped.paths else None,
    )
    if "part_ids" in mapped.paths and isinstance(outcome, Accepted):
        return outcome._replace(part_ids=_part_ids(mapped.find("part_ids", data), asked))
    return outcome


def _wait_ms(answer: Answer, mapped: Mapped, means: Meaning, now_ms: int) -> int | None:
    """Return the wait that is asked for; a vendor's own header counts only where it asks us to slow down."""
    if means is Meaning.ACCEPTED:
        return None
    wait_ms = codes.retry_after_ms(answer.header("Retry-After"), now_ms=now_ms)
    if wait_ms is None and means is Meaning.THROTTLED:
        waits = (
            codes.vendor_wait_ms(answer.header(name), kind, now_ms=now_ms) for name, kind in mapped.wait_headers.items()
        )
        return next((wait for wait in waits if wait is not None), None)
    return wait_ms


def _segments(value: Any) -> int | None:
    text = str(value) if isinstance(value, str | int) else ""
    return int(text) or None if text.isascii() and text.isdecimal() and len(text) <= SEGMENT_DIGITS_MAX else None


def _code(value: Any, asked: Submission) -> str | None:
    text = str(value) if isinstance(value, str | int) else ""
    return text if CODE.fullmatch(text) and not _echoes(text, asked) else None


def _provider_id(value: Any, asked: Submission) -> str | None:
    text = str(value) if isinstance(value, str | int) else ""
    return text if PROVIDER_ID.fullmatch(text) and not _echoes(text, asked) else None


def _part_ids(value: Any, asked: Submission) -> tuple[str, ...]:
    """Return the ids of several parts; none where one has none: its receipt could not be told from another's."""
    listed = value if isinstance(value, list) and 1 < len(value) <= PARTS_MAX else []
    ids = [found for each in listed if (found := _provider_id(each, asked)) is not None]
    return tuple(ids) if len(set(ids)) == len(listed) else ()


def _echoes(text: str, asked: Submission) -> bool:
    """Tell whether *text* holds a recipient, as some services' ids do and events must not (FAULTS B22)."""
    message = asked.message
    if message.cc or message.bcc:
        return any(_holds(text, one) for one in (message.to, *message.cc, *message.bcc))
    return _holds(text, message.to)


def _holds(text: str, recipient: str) -> bool:
    return len(text) >= len(recipient) - 1 and recipient.lstrip("+").lower() in text.lower()


def _json(body: bytes | None) -> Any:
    if not body:
        return None
    try:
        return orjson.loads(body)
    except orjson.JSONDecodeError:
        return None
