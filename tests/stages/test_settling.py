"""What a result of a call becomes: events and a way onward."""

from __future__ import annotations

import pytest

from processor.codec.assembly import Codecs, open_codecs
from processor.core.events import DeliveryEvent
from processor.core.message import Message
from processor.core.outcome import Outcome, Rejected, Stage
from processor.core.words import Lane, Reason, Status
from processor.stages.clock import SystemClock
from processor.stages.dispatch.calls import Answered, Start
from processor.stages.record import Record
from tests.core.worlds import facts, head
from tests.stages.settlings import NAMES, settling

REFUSED_HERE = Rejected(Reason.ATTACHMENT_REFUSED, stage=Stage.CONNECT, field_name="attachments")


@pytest.fixture(scope="module")
def codecs() -> Codecs:
    return open_codecs()


def ended(codecs: Codecs, outcome: Outcome, *, still_open: tuple[int, ...] | None) -> DeliveryEvent:
    """The delivery event of a second attempt that ended in *outcome*."""
    clock = SystemClock()
    value = codecs.outbound.encode_message(Message(head(), "ann@example.org", cc=("bob@example.org",)))
    record = Record((NAMES.send("first", Lane.NORMAL), 0), 7, None, value, 0, None)
    known = facts(attempt=1, charged=1)._replace(open_recipients=still_open)
    start = Start(record, known, "first", Lane.NORMAL)
    done = settling(codecs).done(Answered(start, head(), outcome, clock.now_ms(), clock.monotonic_s(), 0.0))
    (event,) = [codecs.events.decode_event(each.value) for each in done.outputs if each.topic == NAMES.delivery]
    assert isinstance(event, DeliveryEvent)
    return event


def test_what_is_refused_before_the_call_is_rejected_and_costs_no_attempt(codecs: Codecs) -> None:
    event = ended(codecs, REFUSED_HERE, still_open=None)

    assert (event.status, event.reason, event.attempt) == (Status.REJECTED, Reason.ATTACHMENT_REFUSED, 1)
    assert event.field_name == "attachments"


def test_what_somebody_has_is_sent_even_if_it_can_no_longer_go_to_the_others(codecs: Codecs) -> None:
    event = ended(codecs, REFUSED_HERE, still_open=(1,))

    assert (event.status, event.reason, event.attempt) == (Status.SENT, Reason.ATTACHMENT_REFUSED, 1)
    assert event.recipients_refused == (1,)
