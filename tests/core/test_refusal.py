"""Messages that ask for what cannot be done are rejected by name, and never sent now instead."""

from __future__ import annotations

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from processor.core.judge import judge
from processor.core.message import Head
from processor.core.plan import DAY_MS
from processor.core.verdict import End
from processor.core.words import Reason, Status
from tests.core.worlds import NOW_MS, facts, head, plan, zones

ANY_LONG = st.integers(-(2**63), 2**63 - 1)


@pytest.mark.parametrize(
    ("of", "reason", "field_name"),
    [
        (head(message_id=""), Reason.INVALID_MESSAGE_ID, "message_id"),
        (head(message_id=" "), Reason.INVALID_MESSAGE_ID, "message_id"),
        (head(message_id="../etc"), Reason.INVALID_MESSAGE_ID, "message_id"),
        (head(message_id="a\r\nb"), Reason.INVALID_MESSAGE_ID, "message_id"),
        (head(message_id="a\n"), Reason.INVALID_MESSAGE_ID, "message_id"),
        (head(message_id="a" * 65), Reason.INVALID_MESSAGE_ID, "message_id"),
        (head(message_id="\u0663"), Reason.INVALID_MESSAGE_ID, "message_id"),
        (head(channel="email"), Reason.UNKNOWN_CHANNEL, "channel"),
        (head(provider="nowhere"), Reason.UNKNOWN_PROVIDER, "provider"),
        (head(provider="elsewhere"), Reason.PROVIDER_NOT_ON_CHANNEL, "provider"),
        (head(priority=-1), Reason.INVALID_PRIORITY, "priority"),
        (head(priority=10), Reason.INVALID_PRIORITY, "priority"),
        (head(start_at_ms=-1), Reason.INVALID_INSTANT, "start_at"),
        (head(start_at_ms=2**62), Reason.INVALID_INSTANT, "start_at"),
        (head(end_at_ms=2**62), Reason.INVALID_INSTANT, "end_at"),
        (head(start_at_ms=5, end_at_ms=5), Reason.END_BEFORE_START, "end_at"),
        (head(time_zone="Mars/X"), Reason.INVALID_TIME_ZONE, "time_zone"),
        (head(time_zone=""), Reason.INVALID_TIME_ZONE, "time_zone"),
        (head(interval_max_ms=5), Reason.INVALID_INTERVAL, "interval_min"),
        (head(interval_min_ms=5), Reason.INVALID_INTERVAL, "interval_max"),
        (head(interval_min_ms=-1, interval_max_ms=5), Reason.INVALID_INTERVAL, "interval_min"),
        (head(interval_min_ms=5, interval_max_ms=DAY_MS + 1), Reason.INVALID_INTERVAL, "interval_max"),
        (head(interval_min_ms=5, interval_max_ms=5), Reason.INVALID_INTERVAL, "interval_max"),
        (head(interval_min_ms=DAY_MS, interval_max_ms=0), Reason.INVALID_INTERVAL, "interval_max"),
        (head(retry_max_attempts=-1), Reason.INVALID_RETRY, "retry_max_attempts"),
        (head(retry_max_attempts=1001), Reason.INVALID_RETRY, "retry_max_attempts"),
        (head(retry_interval_s=-1), Reason.INVALID_RETRY, "retry_interval"),
        (head(retry_interval_s=30 * 86_400 + 1), Reason.INVALID_RETRY, "retry_interval"),
        (head(retry_attempt=-1), Reason.INVALID_RETRY, "retry_attempt"),
        (head(message_status="SENT"), Reason.INVALID_RETRY, "message_status"),
        (head(campaign_id="c" * 1_025), Reason.INVALID_REFERENCE, "campaign_id"),
        (head(external_id="e" * 1_025), Reason.INVALID_REFERENCE, "external_id"),
    ],
)
def test_a_fault_is_rejected_with_its_reason_and_field(of: Head, reason: Reason, field_name: str) -> None:
    assert judge(of, facts(), plan(), now_ms=NOW_MS, zones=zones) == End(Status.REJECTED, reason, field_name)


@pytest.mark.parametrize(
    "of",
    [
        head(message_id="a" * 64),
        head(message_id="A-z_0.9:x"),
        head(provider=""),
        head(interval_min_ms=0, interval_max_ms=DAY_MS),
        head(interval_min_ms=DAY_MS, interval_max_ms=1),
        head(retry_max_attempts=1000, retry_interval_s=30 * 86_400),
        head(retry_max_attempts=0, retry_interval_s=0),
        head(message_status="NEW"),
    ],
)
def test_values_at_the_bounds_are_not_rejected(of: Head) -> None:
    verdict = judge(of, facts(), plan(), now_ms=NOW_MS, zones=zones)

    assert not isinstance(verdict, End)


ANY_HEAD = st.builds(
    Head,
    message_id=st.one_of(st.text(max_size=70), st.just("m-1")),
    channel=st.sampled_from(["Email", "", "x"]),
    provider=st.sampled_from([None, "", "first", "second", "elsewhere", "x"]),
    priority=st.integers(-1, 10),
    start_at_ms=st.none() | ANY_LONG,
    end_at_ms=st.none() | ANY_LONG,
    interval_min_ms=st.none() | st.integers(-1, DAY_MS + 1),
    interval_max_ms=st.none() | st.integers(-1, DAY_MS + 1),
    time_zone=st.sampled_from([None, "UTC", "Europe/Bucharest", "../../etc/passwd", "Mars/X", "", "a\0b"]),
    retry_max_attempts=st.none() | st.integers(-(2**31), 2**31 - 1),
    retry_interval_s=st.none() | st.integers(-(2**31), 2**31 - 1),
    message_status=st.sampled_from([None, "NEW", "ERROR", "x"]),
    retry_attempt=st.none() | st.integers(-(2**31), 2**31 - 1),
    last_attempt_ms=st.none() | ANY_LONG,
)


@given(ANY_HEAD)
@example(head(start_at_ms=253_402_300_799_999, interval_min_ms=5, interval_max_ms=6, time_zone="Europe/Bucharest"))
@settings(max_examples=400)
def test_every_head_gets_a_verdict_that_holds_nothing_of_its_content(of: Head) -> None:
    verdict = judge(of, facts(), plan(), now_ms=NOW_MS, zones=zones)

    if isinstance(verdict, End) and verdict.status is Status.REJECTED:
        assert verdict.field_name is not None
        assert verdict.field_name.replace("_", "").isalpha()
