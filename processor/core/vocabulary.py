"""What providers report of a message later: the closed list of words that a receipt's state is one of."""

from typing import Final

OTHER: Final = "other"
"""Of a report whose type no table lists; it is kept whole."""

STATES: Final = (
    # what became of the message
    "accepted",
    "bounced_block",
    "bounced_hard",
    "bounced_soft",
    "deferred",
    "deleted",
    "delivered",
    "enroute",
    "expired",
    "rejected",
    "undeliverable",
    "unknown",
    # what its recipient did with it
    "clicked",
    "complained",
    "opened",
    "unsubscribed",
    OTHER,
)
