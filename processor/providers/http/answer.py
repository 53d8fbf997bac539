"""An HTTP answer as outcomes, pure."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import jmespath
import orjson
from jmespath.exceptions import JMESPathError

from processor.core.outcome import Outcome, Unknown
from processor.core.words import Reason
from processor.providers.http import codes
from processor.providers.http.codes import Meaning

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from processor.providers.adapter import Submission
    from processor.providers.http.config import HttpConfig
    from processor.providers.http.wire import Answer

CODE: Final = re.compile(r"[A-Za-z0-9._-]{1,32}")
"""What a provider's code may look like in an event: anything else could carry text, or the recipient."""

PROVIDER_ID: Final = re.compile(r"[!-~]{1,128}")

MISSING_ITEM: Final = Unknown(Reason.ANSWER_MISSING)


@dataclass(frozen=True, slots=True)
class Mapped:
    """The configured way from an answer to outcomes; built once. Raises ValueError, with the setting's name."""

    statuses: Mapping[int, Meaning]
    codes: Mapping[str, Meaning]
    paths: Mapping[str, Any]  # compiled JMESPath by setting; those that are set

    @classmethod
    def of(cls, config: HttpConfig) -> Mapped:
        """Compile what *config* says of answers."""
        paths: dict[str, Any] = {}
        for setting in ("provider_message_id", "code", "results", "result_reference"):
            expression = getattr(config, setting)
            if expression is not None:
                try:
                    paths[setting] = jmespath.compile(expression)
                except JMESPathError:
                    raise ValueError(f"{setting}: {expression!r} is not a JMESPath expression") from None
        try:
            return cls(
                {status: Meaning(word) for status, word in config.statuses.items()},
                {code: Meaning(word) for code, word in config.codes.items()},
                paths,
            )
        except ValueError:
            raise ValueError(f"statuses, codes: write one of {', '.join(Meaning)}") from None

    def find(self, setting: str, data: Any) -> Any:
        """Return what the path of *setting* finds in *data*; None without a path, and where it does not fit."""
        path = self.paths.get(setting)
        if path is None:
            return None
        try:
            return path.search(data)
        except JMESPathError:  # such as a function over a type it does not take
            return None


def parse(answer: Answer, batch: Sequence[Submission], mapped: Mapped, *, now_ms: int) -> list[Outcome]:
    """Return an outcome for each of *batch*; what the answer does not mention is Unknown."""
    means = mapped.statuses.get(answer.status) or codes.meaning(answer.status)
    wait_ms = codes.retry_after_ms(answer.retry_after, now_ms=now_ms)
    data = _json(answer.body)
    if "results" not in mapped.paths or means is not Meaning.ACCEPTED:
        return [_outcome(data, asked, mapped, means, answer.status, wait_ms) for asked in batch]
    results = _by_message(mapped.find("results", data), batch, mapped)
    return [
        _outcome(results[index], asked, mapped, means, answer.status, wait_ms) if index in results else MISSING_ITEM
        for index, asked in enumerate(batch)
    ]


def _by_message(results: Any, batch: Sequence[Submission], mapped: Mapped) -> dict[int, Any]:
    """Match results to submissions, by reference or, if there are as many, by order."""
    if not isinstance(results, list):
        return {}
    if "result_reference" not in mapped.paths:
        return dict(enumerate(results)) if len(results) == len(batch) else {}
    positions = {asked.message.head.message_id: index for index, asked in enumerate(batch)}
    matched: dict[int, Any] = {}
    for result in results:
        reference = mapped.find("result_reference", result)
        index = positions.get(reference) if isinstance(reference, str) else None
        if index is not None:
            matched.setdefault(index, result)
    return matched


def _outcome(data: Any, asked: Submission, mapped: Mapped, means: Meaning, status: int, wait_ms: int | None) -> Outcome:
    own_code = _code(mapped.find("code", data))
    if own_code is not None:
        means = mapped.codes.get(own_code, means)
    elif mapped.codes and means is Meaning.ACCEPTED:
        means = Meaning.UNLISTED  # the answer's own code decides, and it cannot be read
    found = mapped.find("provider_message_id", data)
    provider_message_id = _provider_id(found, asked)
    return codes.outcome(
        means, code=own_code or str(status), retry_after_ms=wait_ms, provider_message_id=provider_message_id
    )


def _code(value: Any) -> str | None:
    text = str(value) if isinstance(value, str | int) else ""
    return text if CODE.fullmatch(text) else None


def _provider_id(value: Any, asked: Submission) -> str | None:
    text = str(value) if isinstance(value, str | int) else ""
    echoes = asked.message.to in text  # some services' ids hold the recipient; events must not
    return text if PROVIDER_ID.fullmatch(text) and not echoes else None


def _json(body: bytes | None) -> Any:
    if not body:
        return None
    try:
        return orjson.loads(body)
    except orjson.JSONDecodeError:
        return None
