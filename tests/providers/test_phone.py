"""Phone numbers: E.164 or nothing."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from processor.providers.phone import _as_it_is, _parsed, e164


@pytest.mark.parametrize(
    ("written", "country", "number"),
    [
        ("+40722000111", None, "+40722000111"),
        ("40722000111", None, "+40722000111"),
        ("0722000111", "RO", "+40722000111"),
        ("40722000111", "RO", "+40722000111"),
        ("0040722000111", "RO", "+40722000111"),
        ("+400722000111", None, "+40722000111"),
        ("+40722000111", "US", "+40722000111"),
        ("5550100111", "US", "+15550100111"),
        ("0612345678", "IT", "+390612345678"),
    ],
)
def test_what_people_write_is_one_number(written: str, country: str | None, number: str) -> None:
    assert e164(written, country=country) == number


@pytest.mark.parametrize(
    "written",
    [
        "",
        "+",
        "0722000111",  # of which country?
        "٠٧٢٢٠٠٠١١١",
        "+4072200011٣",
        "+40722000111 ",
        "+40 722 000 111",
        "+40-722-000-111",
        "+40722000111\n",
        "+40722000111;ext=5",
        "+40722000111,+40722000112",
        "+1800FLOWERS",
        "+" + "4" * 40,
        "4" * 40,
        "+407220001",  # no Romanian number is that short
        "+4072200011122",
        "+99912345678",  # a code that no country has
        "+0722000111",
        "++40722000111",
    ],
)
def test_what_is_no_number_is_refused(written: str) -> None:
    assert e164(written) is None
    if written != "0722000111":
        assert e164(written, country="RO") is None


def test_only_calling_codes_that_are_allowed_pass() -> None:
    assert e164("+40722000111", countries={40, 44}) == "+40722000111"
    assert e164("+88213000111", countries={40, 44}) is None
    assert e164("0722000111", country="RO", countries={44}) is None


@given(st.integers(1, 999), st.text("0123456789", min_size=5, max_size=12))
def test_the_short_way_agrees_with_the_parser(code: int, rest: str) -> None:
    number = f"+{code}{rest}"[:16]

    short = _as_it_is(number)

    assert short is None or short == _parsed(number, None)
