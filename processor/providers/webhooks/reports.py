"""From a provider's report to a receipt in our words; what differs between providers is data (`Reading`)."""

from __future__ import annotations

from hashlib import blake2b
from typing import TYPE_CHECKING, Any, Final

import orjson

from processor.core.agents import family_of
from processor.core.events import Receipt, event_id
from processor.core.refusal import MESSAGE_ID, REFERENCE_CHARS_MAX
from processor.core.report import id_key
from processor.core.vocabulary import OTHER
from processor.providers.webhooks.body import NotReadable, form
from processor.providers.webhooks.reading import Malformed, getter
from processor.providers.webhooks.times import unix_ms

if TYPE_CHECKING:
    from collections.abc import Mapping

    from processor.providers.webhooks.config import Reading
    from processor.providers.webhooks.reading import Get

KIND: Final = "webhook"
ID_CHARS_MAX: Final = 255
WORD_CHARS_MAX: Final = 64
URL_CHARS_MAX: Final = 8_192
USER_AGENT_CHARS_MAX: Final = 512
RAW_BYTES_MAX: Final = 16_384
CUT: Final = "… (cut)"
ATTEMPT_MAX: Final = 1_000_000

ECHOED: Final = ("message_id", "channel", "external_id", "campaign_id", "attempt")
"""Our own names for what we sent along, in the queries of callbacks as well."""

OWN: Final = ("type", "subtype", "event_id", "provider_message_id", "code", "occurred_at", "url")
"""Paths of `Reading` to what the provider tells."""


class Reports:
    """Makes the receipts of one provider."""

    def __init__(self, provider: str, reading: Reading) -> None:
        """Compile the paths."""
        self._provider = provider
        self._reading = reading
        self._paths: dict[str, Get] = {name: getter(getattr(reading, name)) for name in OWN}
        self._user_agent = getter(reading.user_agent)
        self._echo = getter(reading.echo)
        self._echoed: dict[str, Get] = {name: getter(getattr(reading, name)) for name in ECHOED}

    def receipt(self, report: dict[str, Any], query: Mapping[str, str], *, now_ms: int) -> Receipt | Malformed:
        """
        Return what *report* says; *query* is that of the URL, where it tells of this very report.

        A report that comes again gets the same event_id. One of a type that no table lists is `other`, whole in raw.
        """
        try:
            canonical = orjson.dumps(report, option=orjson.OPT_SORT_KEYS)
        except orjson.JSONEncodeError:  # nested deeper than 254 levels
            return Malformed(400)
        found = {name: get(report) for name, get in self._paths.items()}
        kind = _kind(found["type"], found["subtype"])
        state = self._state(kind)
        own = _text(found["provider_message_id"], ID_CHARS_MAX) or ""
        echoed = self._ours(report, query)
        return Receipt(
            event_id=self._event_id(kind, _text(found["event_id"], ID_CHARS_MAX), canonical),
            provider=self._provider,
            provider_message_id=own,
            id_keys=self._id_keys(own),
            message_id=_message_id(echoed["message_id"]),
            state=state,
            provider_code=_text(found["code"], WORD_CHARS_MAX),
            done_at=None,
            received_at_ms=now_ms,
            channel=_text(echoed["channel"], WORD_CHARS_MAX),
            external_id=_text(echoed["external_id"], REFERENCE_CHARS_MAX),
            campaign_id=_text(echoed["campaign_id"], REFERENCE_CHARS_MAX),
            attempt=_attempt(echoed["attempt"]),
            occurred_at_ms=unix_ms(found["occurred_at"], self._reading.occurred_in),
            url=_text(found["url"], URL_CHARS_MAX),
            user_agent_family=_family(self._user_agent(report)),
            provider_type=kind[:WORD_CHARS_MAX] or None,
            raw=_raw(canonical) if state == OTHER else None,
        )

    def _state(self, kind: str) -> str:
        """Look the longest of TYPE/SUBTYPE up, then what is before its last slash."""
        while kind:
            if kind in self._reading.states:
                return self._reading.states[kind]
            kind = kind.rpartition("/")[0]
        return OTHER

    def _event_id(self, kind: str, own: str | None, canonical: bytes) -> str:
        told = own or blake2b(canonical, digest_size=16).hexdigest()
        return event_id(KIND, self._provider, kind, told)

    def _id_keys(self, own: str) -> tuple[str, ...]:
        """Return the keys of the id as it stands, and as it was before the provider added to it."""
        ends = [at for mark in self._reading.id_ends_at if (at := own.find(mark)) > 0]
        candidates = [own[: min(ends)], own] if ends else [own]
        return tuple(dict.fromkeys(id_key(each) for each in candidates if each))

    def _ours(self, report: dict[str, Any], query: Mapping[str, str]) -> dict[str, Any]:
        """Return what the provider echoes: by paths of their own, else in the text of pairs, else in the query."""
        text = self._echo(report)
        told = form(text.encode("utf-8", "surrogatepass")) if isinstance(text, str) else {}
        pairs = {**query, **({} if isinstance(told, NotReadable) else told)}
        return {
            name: pairs.get(name) if (value := get(report)) is None else value for name, get in self._echoed.items()
        }


def _kind(kind: Any, subtype: Any) -> str:
    """Return TYPE or TYPE/SUBTYPE, printable."""
    parts = [text for each in (kind, subtype) if (text := _text(each, 2 * WORD_CHARS_MAX))]
    return "/".join(parts) if _text(kind, 2 * WORD_CHARS_MAX) else ""


def _text(value: Any, chars_max: int) -> str | None:
    """Return a text or a whole number as printable text within bounds; None for anything else."""
    if isinstance(value, bool) or not isinstance(value, str | int):
        return None
    text = str(value)
    return text if text and len(text) <= chars_max and text.isprintable() else None


def _message_id(value: Any) -> str | None:
    return value if isinstance(value, str) and MESSAGE_ID.fullmatch(value) else None


def _attempt(value: Any) -> int | None:
    text = _text(value, 7)
    return int(text) if text and text.isascii() and text.isdecimal() and int(text) <= ATTEMPT_MAX else None


def _family(value: Any) -> str | None:
    return family_of(value[:USER_AGENT_CHARS_MAX]) if isinstance(value, str) else None


def _raw(canonical: bytes) -> str:
    if len(canonical) <= RAW_BYTES_MAX:
        return canonical.decode()
    return canonical[:RAW_BYTES_MAX].decode("utf-8", "ignore") + CUT
