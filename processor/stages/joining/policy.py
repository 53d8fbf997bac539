"""How late a receipt may be, and how early."""

from dataclasses import dataclass
from typing import Final

_HOUR_MS: Final = 3_600_000


@dataclass(frozen=True, slots=True)
class ReceiptPolicy:
    """How late a receipt may be, and how early."""

    horizon_ms: int = 7 * 24 * _HOUR_MS  # messages older than this before a receipt are not looked for
    patience_ms: int = 24 * _HOUR_MS  # a receipt without a message waits so long, then it is an orphan
