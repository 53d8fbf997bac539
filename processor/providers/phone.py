"""Phone numbers: what people write, as E.164."""

from __future__ import annotations

import re
from functools import cache
from typing import TYPE_CHECKING, Final, NamedTuple

import phonenumbers
from phonenumbers import NumberParseException, PhoneMetadata, PhoneNumberFormat, ValidationResult

if TYPE_CHECKING:
    from collections.abc import Collection

WRITTEN: Final = re.compile(r"\+?[0-9]{4,18}")
"""
ASCII digits and nothing else (FAULTS B20): letters would be read off a keypad, and Arabic digits be
transliterated, by a library that is made for what people type. 18: `00` or a trunk digit before 15.
"""

INTERNATIONAL: Final = re.compile(r"\+[1-9][0-9]{6,14}")
"""E.164 §6: at most 15 digits, which begin with a country code."""

CODE_DIGITS_MAX: Final = 3  # E.164 §6.2.1
NONE: Final = re.compile("(?!)")  # matches nothing


def e164(written: str, *, country: str | None = None, countries: Collection[int] = ()) -> str | None:
    """
    Return *written* as `+` and 7 to 15 digits; None if it is no number that could exist.

    *country* (ISO 3166-1, two letters) is whose national form a number without `+` is in; without it, such
    a number begins with its country code. *countries*, where not empty, are the calling codes that are
    allowed. The length must be one that the country's numbering plan has; whether the number is in use is
    for the provider to say, since plans change faster than releases.
    """
    if WRITTEN.fullmatch(written) is None:
        return None
    international = written if written[0] == "+" or country is not None else f"+{written}"
    found = _as_it_is(international) or _parsed(international, country)
    if found is None or (countries and _code(found) not in countries):
        return None
    return found


def _as_it_is(number: str) -> str | None:
    """Return a number that is E.164 already; what needs reading costs 20 times as much."""
    if INTERNATIONAL.fullmatch(number) is None:
        return None
    code = _code(number)
    if code is None:
        return None
    national = number[1 + len(str(code)) :]
    plan = _plan(code)
    # A trunk or carrier prefix does not belong there; only the parser knows what is then meant.
    is_plain = len(national) in plan.lengths and plan.prefix.match(national) is None
    return number if is_plain else None


def _parsed(number: str, country: str | None) -> str | None:
    try:
        parsed = phonenumbers.parse(number, country)
    except NumberParseException:
        return None
    if phonenumbers.is_possible_number_with_reason(parsed) != ValidationResult.IS_POSSIBLE:
        return None
    written = phonenumbers.format_number(parsed, PhoneNumberFormat.E164)
    return written if INTERNATIONAL.fullmatch(written) else None


def _code(number: str) -> int | None:
    """Return the calling code of `+` and digits: no code begins another."""
    codes = phonenumbers.COUNTRY_CODE_TO_REGION_CODE
    candidates = (int(number[1 : 1 + digits]) for digits in range(1, CODE_DIGITS_MAX + 1))
    return next((code for code in candidates if code in codes), None)


class Plan(NamedTuple):
    """Of a country's numbering plan, what tells whether a number has to be read."""

    lengths: frozenset[int]  # of national numbers
    prefix: re.Pattern[str]  # that is dialled within the country


@cache
def _plan(code: int) -> Plan:
    region = phonenumbers.COUNTRY_CODE_TO_REGION_CODE[code][0]
    metadata = PhoneMetadata.metadata_for_region_or_calling_code(code, region)
    if metadata is None or metadata.general_desc is None:
        return Plan(frozenset(), NONE)
    prefix = metadata.national_prefix_for_parsing
    return Plan(frozenset(metadata.general_desc.possible_length), re.compile(prefix) if prefix else NONE)
