"""
What producers ask for in a drill: kinds of messages with what each may and may not become, and their shares.

Every one ends by itself within minutes, whatever happens: a window that closes comes with an end before it opens again.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, timedelta
from enum import StrEnum
from typing import TYPE_CHECKING, Any, Final

from processor.core.audit.hours import time_of_day
from processor.core.message import Attachment
from processor.stages.zones import zones
from tests.support.plant import RECIPIENT, TEXT, message

if TYPE_CHECKING:
    from collections.abc import Callable
    from random import Random

    from processor.core.message import Message

DAY_MS: Final = 86_400_000
HOUR_MS: Final = 3_600_000
MS: Final = timedelta(milliseconds=1)
ZONES: Final = ("Asia/Kolkata", "America/St_Johns", "Pacific/Chatham", "America/Los_Angeles", "Europe/Bucharest", None)


@dataclass(frozen=True, slots=True)
class Wish:
    """When a message was asked for (Unix milliseconds), and whether it is a one-time password."""

    asked_ms: int
    once: bool = False


class Then(StrEnum):
    """What becomes of a record beside being asked for."""

    NOTHING = "nothing"
    SAME = "same"  # it comes again: the second has to end as a DUPLICATE
    OTHER = "other"  # its id comes again with other content: that has to end as REJECTED
    MISPLACED = "misplaced"  # it lies in another partition than its own


def _password(message_id: str, now_ms: int, chance: Random) -> Message:
    return message(message_id, "SMSOTP")


def _password_until(message_id: str, now_ms: int, chance: Random) -> Message:
    """Return a password with an end of its own; when the validity of others begins no ledger tells."""
    return message(message_id, "SMSOTP", end_at_ms=now_ms + chance.randrange(20_000, 180_000))


def _short(message_id: str, now_ms: int, chance: Random) -> Message:
    return message(message_id, "Short", to="0722000111")


def _later(message_id: str, now_ms: int, chance: Random) -> Message:
    return _any(message_id, chance, start_at_ms=now_ms + chance.randrange(500, 9_000))


def _until(message_id: str, now_ms: int, chance: Random) -> Message:
    return _any(message_id, chance, end_at_ms=now_ms + chance.randrange(500, 9_000))


def _opening(message_id: str, now_ms: int, chance: Random) -> Message:
    """Return a message whose window opens in a few seconds, and is open for an hour."""
    opens_ms = now_ms + chance.randrange(500, 9_000)
    return _any(message_id, chance, **_window(opens_ms, opens_ms + HOUR_MS, chance.choice(ZONES)))


def _closing(message_id: str, now_ms: int, chance: Random) -> Message:
    """Return a message whose window closes within a minute: what missed it has EXPIRED, for it ends before the next."""
    window = _window(
        now_ms + chance.randrange(-60_000, 2_000), now_ms + chance.randrange(3_000, 60_000), chance.choice(ZONES)
    )
    return _any(message_id, chance, end_at_ms=now_ms + HOUR_MS // 2, **window)


def _window(opens_ms: int, closes_ms: int, zone: str | None) -> dict[str, Any]:
    """Return the fields of a window that opens and closes at these instants today, as clocks in *zone* show them."""
    shown = [time_of_day(at_ms, (zone and zones(zone)) or UTC) // MS for at_ms in (opens_ms, closes_ms)]
    return {"interval_min_ms": shown[0], "interval_max_ms": shown[1], "time_zone": zone}


def _urgent(message_id: str, now_ms: int, chance: Random) -> Message:
    return _any(message_id, chance, priority=chance.randrange(10))


def _copied(message_id: str, now_ms: int, chance: Random) -> Message:
    """Return a mail to three, one of whom may be refused, or deferred once: then the others have it already."""
    copy = chance.choice(["copy", "copy", "rcpt-550", "rcpt-450-1x"])
    mail = message(message_id, cc=[f"{copy}+{message_id}@example.com"])
    return mail._replace(bcc=(f"blind.{RECIPIENT}@example.com",))


def _designed(message_id: str, now_ms: int, chance: Random) -> Message:
    file = Attachment("terms.txt", "text/plain", TEXT.encode())
    return message(message_id, attachments=[file])._replace(html=f"<p>{TEXT}</p>")


def _mail_refused(message_id: str, now_ms: int, chance: Random) -> Message:
    to = chance.choice(["defer-451-1x", "bounce-550", "rcpt-550", "drop-before-dot-1x", "drop-after-dot-1x"])
    return message(message_id, to=f"{to}@example.com")


def _text_refused(message_id: str, now_ms: int, chance: Random) -> Message:
    return message(message_id, "SMS", to=chance.choice(["+40700004511", "+40700000550", "+40700004291"]))


def _unreadable(message_id: str, now_ms: int, chance: Random) -> None:
    return None


def _any(message_id: str, chance: Random, **head: Any) -> Message:
    return message(message_id, chance.choice(["Email", "SMS"]), **head)


MIX: Final[dict[Callable[[str, int, Random], Message | None], int]] = {
    _urgent: 40,
    _password: 11,
    _password_until: 3,
    _short: 8,
    _later: 7,
    _until: 5,
    _opening: 3,
    _closing: 5,
    _copied: 4,
    _designed: 2,
    _mail_refused: 8,
    _text_refused: 3,
    _unreadable: 1,
}
"""Shares of a hundred."""

PLAIN: Final = (_urgent, _password, _short, _designed)
"""What may come again, or lie where it does not belong."""

THEN: Final = {Then.NOTHING: 92, Then.SAME: 3, Then.OTHER: 3, Then.MISPLACED: 2}
"""Of those, shares of a hundred."""


def elsewhere(to: str) -> str:
    """Return another recipient than *to*."""
    return f"other.{to}" if "@" in to else f"{to[:-1]}2"
