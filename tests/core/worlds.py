"""Plans, messages and instants to judge: small, and close to every bound."""

from __future__ import annotations

from datetime import UTC, tzinfo
from functools import cache
from typing import TYPE_CHECKING
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from hypothesis import strategies as st

from processor.core.message import Facts, Head, Origin
from processor.core.plan import DAY_MS, BackoffKind, Channel, Plan, Provider, RetryPolicy
from processor.core.words import Action, InDoubt, Purpose
from tests.core.oracle import HOUR_MS, MINUTE_MS, ZONES, Daily, ms

if TYPE_CHECKING:
    from collections.abc import Iterable

NOW_MS = ms("2026-03-28T21:00+00:00")  # hours before Europe changes its clocks
RETRY = RetryPolicy(max_attempts=3, interval_ms=60_000)


@cache
def zones(name: str) -> tzinfo | None:
    try:
        return UTC if name == "UTC" else ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        return None


def channel(
    *, retry: RetryPolicy = RETRY, in_doubt: InDoubt = InDoubt.RESEND, validity_ms: int | None = None
) -> Channel:
    return Channel(
        code="Email",
        name="E-mail",
        action=Action.EMAIL,
        bus_channel="Email",
        bus_provider="FTOSEmailProvider",
        provider="first",
        retry=retry,
        in_doubt=in_doubt,
        validity_ms=validity_ms,
        providers=("first", "second"),
    )


def plan(of: Channel | None = None, *, first: Daily | None = None, second: Daily | None = None) -> Plan:
    """Return a plan of one channel, two providers on it with these intervals, and a third that is not."""
    intervals = {"first": first, "second": second, "elsewhere": None}
    return Plan(
        channels={"Email": of or channel()},
        providers={
            name: Provider(name, "smtp", "FTOSEmailProvider", "Email", None if daily is None else daily.product())
            for name, daily in intervals.items()
        },
    )


def facts(*, due_at_ms: int = NOW_MS, attempt: int = 0, charged: int = 0) -> Facts:
    return Facts(Origin("comm.outbound", 0, 7), NOW_MS, NOW_MS, due_at_ms, attempt=attempt, charged=charged)


def head(**fields: object) -> Head:
    return Head(**{"message_id": "m-1", "channel": "Email"} | fields)  # type: ignore[arg-type]


def own_daily(of: Head) -> Iterable[Daily]:
    if of.interval_min_ms is None or of.interval_max_ms is None:
        return ()
    return (Daily(of.interval_min_ms, of.interval_max_ms, of.time_zone or "UTC"),)


NEARBY_MS = st.one_of(
    st.integers(NOW_MS - 5, NOW_MS + 5),
    st.integers(-3 * 24 * 60, 3 * 24 * 60).map(lambda minutes: NOW_MS + minutes * MINUTE_MS),
)
DAILIES = st.builds(
    lambda start, width, zone: Daily(start, (start + width) % DAY_MS, zone),
    st.integers(0, 23).map(lambda hour: hour * HOUR_MS),
    st.sampled_from([1, MINUTE_MS, 6 * HOUR_MS, 23 * HOUR_MS]),
    st.sampled_from(ZONES),
)
POLICIES = st.builds(
    RetryPolicy,
    max_attempts=st.integers(0, 5),
    interval_ms=st.integers(0, 2 * HOUR_MS),
    kind=st.sampled_from(BackoffKind),
    cap_ms=st.integers(0, 5 * HOUR_MS),
)
CHANNELS = st.builds(
    channel,
    retry=POLICIES,
    in_doubt=st.sampled_from(InDoubt),
    validity_ms=st.none() | st.integers(1, 2 * DAY_MS),
)
PLANS = st.builds(plan, CHANNELS, first=st.none() | DAILIES, second=st.none() | DAILIES)
FACTS = st.builds(facts, due_at_ms=NEARBY_MS, attempt=st.integers(0, 3), charged=st.just(0))


@st.composite
def heads(draw: st.DrawFn) -> Head:
    """Draw heads without a fault."""
    start_ms = draw(st.none() | NEARBY_MS)
    end_ms = draw(st.none() | NEARBY_MS)
    if start_ms is not None and end_ms is not None and end_ms <= start_ms:
        end_ms = start_ms + 1
    daily = draw(st.none() | DAILIES)
    return head(
        provider=draw(st.sampled_from([None, "first", "second"])),
        priority=draw(st.integers(0, 9)),
        purpose=draw(st.sampled_from(Purpose)),
        start_at_ms=start_ms,
        end_at_ms=end_ms,
        interval_min_ms=None if daily is None else daily.start_ms,
        interval_max_ms=None if daily is None else daily.end_ms,
        time_zone=None if daily is None else daily.zone,
    )
