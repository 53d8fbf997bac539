"""A bounded memory remembers what is recent, whatever comes."""

from hypothesis import given
from hypothesis import strategies as st

from processor.core.recent import Recent

keys = st.tuples(st.text(max_size=3), st.integers(0, 5))


@given(st.lists(st.tuples(keys, st.integers(1, 255)), max_size=300))
def test_the_last_ones_are_known_with_their_last_number(puts: list[tuple[tuple[str, int], int]]) -> None:
    recent = Recent(64)

    for key, number in puts:
        recent.put(key, number)

    for key, number in dict(puts[-38:]).items():  # 0.6 of 64
        assert recent.get(key) == number


@given(st.sets(keys, max_size=30), st.sets(keys, max_size=30))
def test_what_was_never_put_is_not_known(put: set[tuple[str, int]], others: set[tuple[str, int]]) -> None:
    recent = Recent(64)

    for key in put:
        recent.put(key)

    assert all(recent.get(key) == (key in put) for key in put | others)


def test_it_does_not_grow() -> None:
    recent = Recent(1 << 10)

    for number in range(10_000):
        recent.put(number)

    assert not recent.get(1)
    assert recent.get(9_999)
    assert len(recent._newer._words) == len(recent._older._words) == 1 << 10
