"""docs/configuration.md lists every key there is, as the models have it."""

from __future__ import annotations

import re
from pathlib import Path

from processor.settings import DEFAULT
from processor.settings.reference import filled, section_at

PAGE = Path(__file__).parents[2] / "docs" / "configuration.md"


def test_the_page_says_what_the_models_say() -> None:
    page = PAGE.read_text(encoding="utf-8")

    assert filled(page) == page, "run: python -m processor.settings docs/configuration.md"


def test_each_key_has_a_type_and_a_meaning() -> None:
    rows = re.findall(r"^\| `(\w+)` \| (.*?) \| (.*?) \| (.*?) \|$", PAGE.read_text(encoding="utf-8"), re.MULTILINE)

    assert len(rows) > 90
    assert [key for key, kind, _, meaning in rows if kind == "value" or len(meaning) < 5] == []


def test_each_variable_that_the_packaged_file_reads_follows_the_pattern_that_the_page_names() -> None:
    names = re.findall(r"env: (\w+)", DEFAULT.read_text(encoding="utf-8"))
    endings = "URL|HOST|PORT|TLS|SYSTEM_ID|USERNAME|PASSWORD|TOKEN|API_KEY|APP_USER|APP_PASSWORD|APP_KEY|KEY"

    assert len(names) > 15
    assert [name for name in names if not re.fullmatch(rf"COMMPROC_[A-Z]+_({endings})", name)] == []


def test_a_section_is_found_by_its_path() -> None:
    tree = {"providers": {"A": {"adapter": "smtp"}}}

    assert section_at(("topics", "partitions"), tree).__name__ == "PartitionSettings"  # type: ignore[union-attr]
    assert section_at(("providers", "A", "window"), tree).__name__ == "WindowSettings"  # type: ignore[union-attr]
    assert section_at(("providers", "B"), tree) is None
