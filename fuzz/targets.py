"""Every target by its name."""

from __future__ import annotations

from fuzz import kept, records, replies

TARGETS = [
    f"{module.__name__.removeprefix('fuzz.')}.{name}" for module in (records, kept, replies) for name in module.TARGETS
]
