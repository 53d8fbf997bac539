"""What values show of themselves: a repr ends up in a log sooner or later."""

from processor.core.events import DeadLetter
from processor.core.message import Attachment, Head, Message, Origin
from processor.core.words import Reason

CANARY = "canary-content-2718"
ATTACHMENT = Attachment(CANARY, "text/plain", CANARY.encode(), CANARY)
PAIRS = {CANARY: CANARY}


def test_a_message_shows_its_head_and_nothing_of_its_content() -> None:
    content = (CANARY, (CANARY,), (CANARY,), CANARY, CANARY, CANARY, (ATTACHMENT,), PAIRS, PAIRS)
    message = Message(Head("m1", "Email"), *content)

    for shown in (repr(message), str(message), f"{message}", f"{[message]}"):
        assert CANARY not in shown
        assert "message_id='m1'" in shown
    assert len(content) == len(Message._fields) - 1


def test_a_dead_letter_shows_everything_but_its_value() -> None:
    value = CANARY.encode()
    letter = DeadLetter("e1", "m1", 5, Reason.UNREADABLE, None, 0, Origin("t", 1, 2), 4, value, len(value), "hash")

    assert CANARY not in repr(letter)
    assert repr(letter) == (
        "DeadLetter(event_id='e1', message_id='m1', occurred_at_ms=5, reason=<Reason.UNREADABLE: 'unreadable'>, "
        "field_name=None, attempts=0, origin=Origin(topic='t', partition=1, offset=2), origin_timestamp_ms=4, "
        "value_size_bytes=19, value_sha256='hash', truncated=False)"
    )
