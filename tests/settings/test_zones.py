"""Messages choose the zone's name, so looking it up touches no file of their choice."""

from __future__ import annotations

from zoneinfo import ZoneInfo

import pytest

from processor.stages.zones import zones


@pytest.mark.parametrize("name", ["UTC", "Europe/Bucharest", "America/Argentina/Buenos_Aires", "Etc/GMT+5"])
def test_a_zone_of_the_list_is_found_and_kept(name: str) -> None:
    assert zones(name) == ZoneInfo(name)
    assert zones(name) is zones(name)


@pytest.mark.parametrize(
    "name",
    [
        *("", ".", "..", "/etc/passwd", "../../../etc/passwd", "Europe/../../etc/passwd", "Europe", "Europe/"),
        *(
            "Mars/X",
            "europe/bucharest",
            "UTC\x00",
            "UTC\n",
            "\ud800",
            "Ünknown/Zöne",
            "A" * 100_000,
            "localtime",
            "posixrules",
        ),
    ],
)
def test_anything_else_is_no_zone(name: str) -> None:
    assert zones(name) is None
