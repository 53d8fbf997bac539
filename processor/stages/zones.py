"""Time zones by IANA name, for messages and configuration."""

from datetime import tzinfo
from functools import cache
from typing import Final
from zoneinfo import ZoneInfo, available_timezones

MACHINES_OWN: Final = frozenset({"localtime", "posixrules", "Factory"})
"""Files beside the zones that mean whatever this machine is set to."""


def zones(name: str) -> tzinfo | None:
    """
    Return the time zone called *name*, or None where there is none.

    Only a name of the list is looked up: messages choose it, so it must neither reach the file system
    (`../`, NUL) nor fill a cache.
    """
    return _zone(name) if name in _names() else None


@cache
def _names() -> frozenset[str]:
    return frozenset(available_timezones()) - MACHINES_OWN


@cache
def _zone(name: str) -> tzinfo:
    return ZoneInfo(name)
