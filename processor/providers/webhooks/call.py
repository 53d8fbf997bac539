"""A call as it arrived, and what may be found of who made it."""

from __future__ import annotations

import hmac
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from processor.providers.webhooks.times import unix_ms

AHEAD_MS: Final = 60_000
"""How far the provider's clock may be ahead of ours."""


class Why(StrEnum):
    """Why a call is refused."""

    ABSENT = "absent"  # no signature, token or credentials
    MALFORMED = "malformed"  # such as a body without the fields that its scheme signs
    WRONG = "wrong"
    STALE = "stale"  # signed too long ago, or in the future
    ELSEWHERE = "elsewhere"  # signed, but none of what is allowed: another's topic


@dataclass(frozen=True, slots=True)
class Call:
    """One POST as it arrived."""

    headers: Mapping[str, str]  # names in lower case
    body: bytes
    query: str  # as it stands in the URL, without "?"
    url: str  # that the provider called: scheme, host, path and query


@dataclass(frozen=True, slots=True)
class Signed:
    """The call comes from whom it says."""

    once: str | None = None  # what the provider uses for one body only, where its signature leaves the body out


Verify = Callable[[Call, int, int], Signed | Why]
"""Of a call, the instant (Unix ms) and how old (ms) a signed time may be."""

SIGNED_CALL: Final = Signed()


def fits(given: str, wanted: Iterable[str], encoding: str) -> Signed | Why:
    """Compare as text, so that one signature has one spelling; hexadecimal digits may be of either case."""
    octets = (given.lower() if encoding == "hex" else given).encode("utf-8", "surrogatepass")
    spelled = [(each.lower() if encoding == "hex" else each).encode() for each in wanted]
    fitting = [hmac.compare_digest(octets, each) for each in spelled]  # all of them, whichever fits
    return SIGNED_CALL if any(fitting) else Why.WRONG


def stale(timestamp: str, written: str, now_ms: int, window_ms: int) -> Why | None:
    """Return why the signed time *timestamp*, *written* as in `times.FORMATS`, does not count; None if it does."""
    at_ms = unix_ms(timestamp, written)
    if at_ms is None:
        return Why.MALFORMED
    return None if now_ms - window_ms <= at_ms <= now_ms + AHEAD_MS else Why.STALE
