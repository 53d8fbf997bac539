"""Tokens that providers use once, where their signature leaves the body out: each counts for one body."""

from collections import OrderedDict
from hashlib import blake2b
from typing import Final

from processor.providers.webhooks.call import AHEAD_MS

TOKENS_MAX: Final = 100_000


class Spent:
    """Remembers in this process, as long as the time that is signed with a token counts, and at most so many."""

    def __init__(self, tokens_max: int = TOKENS_MAX) -> None:
        """Remember nothing yet."""
        self._most = tokens_max
        self._bodies: OrderedDict[bytes, tuple[bytes, int]] = OrderedDict()  # in the order in which they came

    def fits(self, provider: str, token: str, body: bytes, *, now_ms: int, window_ms: int) -> bool:
        """
        Return whether *token* is new or came with the same *body*: a provider asks again if it heard no answer.

        What was signed with it counts for *window_ms* from its own time on, which may be as much ahead as is allowed.
        """
        key = _digest(f"{provider}/{token}".encode("utf-8", "surrogatepass"))
        self._forget(now_ms)
        digest, _ = self._bodies.setdefault(key, (_digest(body), now_ms + window_ms + AHEAD_MS))
        return digest == _digest(body)

    def __len__(self) -> int:
        """Return how many tokens are remembered."""
        return len(self._bodies)

    def _forget(self, now_ms: int) -> None:
        while self._bodies:
            key, (_, until_ms) = next(iter(self._bodies.items()))
            if until_ms >= now_ms and len(self._bodies) < self._most:
                return
            del self._bodies[key]


def _digest(octets: bytes) -> bytes:
    return blake2b(octets, digest_size=16).digest()
