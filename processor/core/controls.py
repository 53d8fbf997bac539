"""
The suppressions and recalls that are in force, in some 30 bytes each: what is asked right before every provider call.

Each is kept as a 64-bit digest of its record's key. Among a million of them, one question in 18 million million would
meet another one's digest; the addresses in the keys are themselves hashes with a secret key, so nobody can seek such a
question out.
"""

from array import array
from bisect import bisect_left
from hashlib import blake2b
from typing import Final

from processor.core.control import RECALL, SUPPRESSION, control_key, key_of
from processor.core.events import Control
from processor.core.message import Head
from processor.core.words import Scope

FOREVER_MS: Final = 2**63 - 1
_DIGEST_BITS: Final = 64
_BUCKET_BITS: Final = 12
_SHIFT: Final = _DIGEST_BITS - _BUCKET_BITS
_NONE: Final = (array("Q"), array("q"))


class Table:
    """
    A sorted map from digests to the instant until which each binds.

    It is cut into 4,096 parts by the first bits of the digests. A change copies one part (at a million entries some
    4 KB, a microsecond) and puts it in its place in one step: a reader in another thread needs no lock, and never
    waits for the merge of a large array.
    """

    __slots__ = ("_parts", "count")

    def __init__(self) -> None:
        """Hold nothing."""
        self.count = 0
        self._parts = [_NONE] * (1 << _BUCKET_BITS)

    def put(self, digest: int, until_ms: int) -> None:
        """Let *digest* bind until an instant, whatever it did before."""
        digests, untils = self._parts[digest >> _SHIFT]
        at = bisect_left(digests, digest)
        untils = untils[:]
        if at < len(digests) and digests[at] == digest:
            untils[at] = until_ms
        else:
            digests = digests[:]
            digests.insert(at, digest)
            untils.insert(at, until_ms)
            self.count += 1
        self._parts[digest >> _SHIFT] = (digests, untils)

    def drop(self, digest: int) -> None:
        """Forget *digest*, if it is known."""
        digests, untils = self._parts[digest >> _SHIFT]
        at = bisect_left(digests, digest)
        if at < len(digests) and digests[at] == digest:
            self._parts[digest >> _SHIFT] = (digests[:at] + digests[at + 1 :], untils[:at] + untils[at + 1 :])
            self.count -= 1

    def binds(self, key: bytes, now_ms: int) -> bool:
        """Tell whether the record of *key* is in force."""
        digest = digest_of(key)
        digests, untils = self._parts[digest >> _SHIFT]
        at = bisect_left(digests, digest)
        return at < len(digests) and digests[at] == digest and now_ms < untils[at]


def digest_of(key: bytes) -> int:
    """Return the first 64 bits of a BLAKE2b over a record's key."""
    return int.from_bytes(blake2b(key, digest_size=_DIGEST_BITS // 8).digest())


class Controls:
    """What comm.control says, taken in record by record; one thread writes, any thread reads."""

    def __init__(self) -> None:
        """Know nothing yet: `whole` is set once the topic was read to its end."""
        self.whole = False
        self.recalls = Table()
        self.suppressions = Table()

    @property
    def quiet(self) -> bool:
        """Tell whether everything was read and nothing is stopped: no message needs a look."""
        return self.whole and not self.recalls.count and not self.suppressions.count

    def take(self, key: bytes, control: Control | None) -> bool:
        """
        Take in a record, or a tombstone (None) of its key; return False for a kind that we do not know.

        A record counts by what it says, a tombstone by its key.
        """
        table = self._table(key.partition(b"\n")[0].decode("utf-8", "replace") if control is None else control.kind)
        if table is None:
            return False
        if control is None:
            table.drop(digest_of(key))
        else:
            until_ms = FOREVER_MS if control.until_ms is None else control.until_ms
            table.put(digest_of(control_key(control)), until_ms)
        return True

    def recalled(self, head: Head, now_ms: int) -> bool:
        """Tell whether the message, its campaign or its channel is recalled; one-time passwords are no exception."""
        if not self.recalls.count:
            return False
        binds = self.recalls.binds
        return (
            binds(key_of(RECALL, "message", head.message_id), now_ms)
            or (head.campaign_id is not None and binds(key_of(RECALL, "campaign", head.campaign_id), now_ms))
            or binds(key_of(RECALL, "channel", head.channel), now_ms)
        )

    def suppressed(self, hashed: str, campaign_id: str | None, now_ms: int) -> bool:
        """
        Tell whether a marketing message of *campaign_id* may not go to the address of hash *hashed*.

        Any of the three scopes stops it. None of them stops a transactional message or a one-time password, not even
        that of its own campaign: somebody who leaves a campaign still wants the receipt of what they bought in it.
        """
        binds = self.suppressions.binds
        return (
            binds(key_of(SUPPRESSION, Scope.MARKETING, "", hashed), now_ms)
            or binds(key_of(SUPPRESSION, Scope.ALL_BUT_TRANSACTIONAL, "", hashed), now_ms)
            or (campaign_id is not None and binds(key_of(SUPPRESSION, Scope.CAMPAIGN, campaign_id, hashed), now_ms))
        )

    def _table(self, kind: str) -> Table | None:
        return {RECALL: self.recalls, SUPPRESSION: self.suppressions}.get(kind)
