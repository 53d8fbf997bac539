"""What links are signed with, and where they lead."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from processor.core.tokens import Keys


@dataclass(frozen=True, slots=True)
class TrackingConfig:
    """Built once, by settings."""

    base_url: str  # public address of the tracking stage
    keys: Keys  # sign tokens
    hash_key: bytes = field(repr=False)  # of the suppression list: under it unsubscribe links name an address
    hidden_link: bool = False  # add a link that no person sees
