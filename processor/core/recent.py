"""A memory of bounded size: a small number for each of the last million keys, in arrays and not in objects."""

from array import array
from collections.abc import Hashable
from typing import Final

SLOTS: Final = 1 << 20
_FULL: Final = 0.6  # then looking for a place takes long
_WORD: Final = (1 << 64) - 1


class Recent:
    """
    Numbers from 1 to 255 by key; the oldest are forgotten, a generation at once.

    Remembers the last 0.6 × *slots* keys at least and twice as many at most, in 18 bytes a slot (a dictionary takes
    120 and more). Keys are told apart by 64 bits: of a million others one is mistaken for a new one in 2·10¹³.
    """

    def __init__(self, slots: int = SLOTS) -> None:
        """Begin empty; *slots* is a power of two."""
        self._mask = slots - 1
        self._most = int(slots * _FULL)
        self._older = _Generation(slots)
        self._newer = _Generation(slots)

    def get(self, key: Hashable) -> int:
        """Return the number of *key*; 0 where it is not known, or no longer."""
        word = hash(key) & _WORD
        return self._newer.get(word, self._mask) or self._older.get(word, self._mask)

    def put(self, key: Hashable, number: int = 1) -> None:
        """Remember *number* for *key*."""
        if self._newer.count >= self._most:
            self._older, self._newer = self._newer, _Generation(self._mask + 1)
        self._newer.put(hash(key) & _WORD, number, self._mask)


class _Generation:
    """Open addressing: a key stands at its place, or at the next free one, whose number is 0."""

    __slots__ = ("_numbers", "_words", "count")

    def __init__(self, slots: int) -> None:
        self._words = array("Q", bytes(8 * slots))
        self._numbers = bytearray(slots)
        self.count = 0

    def get(self, word: int, mask: int) -> int:
        place = word & mask
        while number := self._numbers[place]:
            if self._words[place] == word:
                return number
            place = (place + 1) & mask
        return 0

    def put(self, word: int, number: int, mask: int) -> None:
        numbers, words, place = self._numbers, self._words, word & mask
        while numbers[place] and words[place] != word:
            place = (place + 1) & mask
        self.count += not numbers[place]
        words[place], numbers[place] = word, number
