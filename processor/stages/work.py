"""What a forwarding loop does in one transaction."""

from collections.abc import Iterator, Mapping

from processor.kafka.committed import Place
from processor.kafka.transactions import Commit, Output

Piece = tuple[list[Output], Commit]
"""What records have led to, and how far that goes."""


class Work:
    """
    A partition's part of a tick, decided piece by piece: one is on its way to Kafka while the next is decided.

    What was decided once stays so, however often the transaction has to be tried.
    """

    def __init__(self, pieces: Iterator[Piece]) -> None:
        """Decide nothing before `advance`."""
        self._pieces = pieces
        self._made: list[Output] = []
        self.commit = Commit(0)

    def advance(self) -> bool:
        """Decide the next piece; tell whether there was one."""
        piece = next(self._pieces, None)
        if piece is None:
            return False
        outputs, self.commit = piece
        self._made += outputs
        return True

    def outputs(self) -> Iterator[Output]:
        """Yield all outputs, deciding what is left to decide."""
        taken = 0
        while True:
            yield from self._made[taken:]
            taken = len(self._made)
            if not self.advance():
                return


def outputs_of(work: Mapping[Place, Work], commits: dict[Place, Commit]) -> Iterator[Output]:
    """Yield the outputs of a tick, and note in *commits* how far it goes: known once they are taken."""
    for place, each in work.items():
        yield from each.outputs()
        commits[place] = each.commit
