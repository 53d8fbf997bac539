"""The header that carries what we know about a message."""

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from processor.codec.errors import Unreadable
from processor.codec.facts import decode_facts, encode_facts
from processor.core.message import Facts, Origin
from tests.codec import strategies

GOOD = {"origin": ["comm.outbound", 1, 5], "seen": 1, "produced": 2, "due": 3}


@given(strategies.facts)
def test_facts_come_back_as_they_went(facts: Facts) -> None:
    assert decode_facts(encode_facts(facts)) == facts


def test_facts_that_are_at_their_defaults_take_few_bytes() -> None:
    facts = Facts(Origin("comm.outbound", 1, 5), 1_764_000_000_000, 1_764_000_000_000, 1_764_000_000_000)
    assert len(encode_facts(facts)) < 110


@pytest.mark.parametrize(
    "values",
    [
        {},
        [],
        7,
        {**GOOD, "extra": 1},
        {**GOOD, "due": "3"},
        {**GOOD, "due": 3.5},
        {**GOOD, "due": True},
        {**GOOD, "due": None},
        {**GOOD, "attempt": -1},
        {**GOOD, "charged": [1]},
        {**GOOD, "reason": "because"},
        {**GOOD, "reason": []},
        {**GOOD, "tried": "abc"},
        {**GOOD, "tried": [1]},
        {**GOOD, "open": [True]},
        {**GOOD, "open": 5},
        {**GOOD, "origin": ["comm.outbound", 1]},
        {**GOOD, "origin": [1, 1, 1]},
        {**GOOD, "origin": ["comm.outbound", -1, 5]},
        {**GOOD, "origin": None},
    ],
)
def test_facts_that_we_would_not_write_are_unreadable(values: object) -> None:
    with pytest.raises(Unreadable):
        decode_facts(orjson.dumps(values))


@given(st.none() | st.binary(max_size=200))
def test_bytes_that_are_no_facts_are_unreadable(raw: bytes | None) -> None:
    with pytest.raises(Unreadable):
        decode_facts(raw)


def test_deeply_nested_facts_are_unreadable() -> None:
    with pytest.raises(Unreadable):
        decode_facts(b"[" * 100_000)
