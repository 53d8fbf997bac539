"""Each promise is found kept where it is kept, and broken where it was broken on purpose."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from processor.core.audit.account import DOUBTED, EXAMPLES_MAX, PROMISES, Account, Source
from processor.core.audit.facts import (
    Acknowledged,
    Act,
    Asked,
    Call,
    Fact,
    Letter,
    Lies,
    Report,
    Result,
    Retry,
    Waiting,
)
from processor.core.audit.hours import allows
from processor.core.audit.story import Rules, Story
from processor.core.events import ended_id, retry_id
from processor.core.plan import DAY_MS
from processor.core.words import InDoubt, Purpose, Reason, Status
from tests.core.oracle import HOUR_MS, Daily, changes_of_2026, ms
from tests.core.worlds import DAILIES, NEARBY_MS, channel, plan, zones

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

NOON_MS = ms("2026-06-01T12:00+00:00")
RULES = Rules(plan(channel(validity_ms=HOUR_MS)), zones)
ONCE = replace(RULES, plan=plan(channel(in_doubt=InDoubt.REPORT)))
GONE = replace(RULES, whole=False)
RECALLED = replace(RULES, recalls={("campaign", "spring"): [(NOON_MS, NOON_MS + HOUR_MS)]})

ASKED = Asked("comm.outbound", 0, 7, NOON_MS, 11, False, "Email")
SENT = Result("e-sent", Status.SENT, Reason.ACCEPTED, 1, "first", False)
FAILED = Result("e-failed", Status.FAILED, Reason.PROVIDER_REJECTED, 1, "first", False)
REJECTED = Result("e-rejected", Status.REJECTED, Reason.INVALID_CONTENT, 0, None, False)
DUPLICATE = Result("e-duplicate", Status.DUPLICATE, Reason.SAME_CONTENT, 0, None, False)
CONFLICT = Result("e-conflict", Status.REJECTED, Reason.OTHER_CONTENT, 0, None, False)
EXPIRED = Result("e-expired", Status.EXPIRED, Reason.PAST_END, 1, None, False)
UNKNOWN = Result("e-unknown", Status.UNKNOWN, Reason.IN_DOUBT, 1, "first", False)
DEFERRED = Retry("e-retry", Reason.PROVIDER_DEFERRED, 1, "first", NOON_MS + 5_000)
DOUBTED_ONE = DEFERRED._replace(reason=Reason.IN_DOUBT)
LETTER = Letter("e-letter", Reason.PROVIDER_REJECTED, True)
NAMELESS = Letter("e-nameless", Reason.UNREADABLE, False)
CALL = Call(1, NOON_MS + 10, True, (1,))
REFUSED = CALL._replace(accepted=False)
SECOND = SENT._replace(attempt=2)
AGAIN = CALL._replace(attempt=2, first_byte_ms=NOON_MS + 5_000)
NOON = ASKED._replace(interval_min_ms=12 * HOUR_MS, interval_max_ms=13 * HOUR_MS)
DEFERRED_AGAIN = DEFERRED._replace(event_id="e-retry-2", attempt=2)
THIRD = AGAIN._replace(attempt=3, first_byte_ms=NOON_MS + 6_000)
ELSEWHERE = ASKED._replace(partition=1, offset=3)
NEXT = ASKED._replace(offset=8, digest=12, at_ms=NOON_MS + 1)
TWIN = NEXT._replace(digest=11)
OTHERS = LETTER._replace(event_id="e-others", reason=Reason.OTHER_CONTENT)


def broken(*facts: Fact, rules: Rules = RULES, about: str = "m-1") -> dict[str, int]:
    account = Account(rules, Source)
    account.add(Story.of(about, facts))
    return {name: line.broken for name, line in account.breaches().items()}


KEPT: dict[str, tuple[Sequence[Fact], Rules]] = {
    "sent": ([ASKED, SENT, CALL], RULES),
    "waiting to be judged": ([ASKED._replace(waits=True)], RULES),
    "waiting in a tier": ([ASKED, Waiting("comm.delay.rest.64", *ASKED.origin)], RULES),
    "tried again": ([ASKED, DEFERRED, SECOND, REFUSED, AGAIN], RULES),
    "failed": ([ASKED, FAILED, LETTER, REFUSED], RULES),
    "rejected": ([ASKED, REJECTED, LETTER], RULES),
    "unreadable": ([ASKED._replace(channel=None), NAMELESS], RULES),
    "readable by its head alone": ([ASKED, NAMELESS], RULES),
    "perhaps sent": ([ASKED, UNKNOWN, CALL], RULES),
    "sent again in doubt": ([ASKED, DOUBTED_ONE, SECOND, CALL, AGAIN], RULES),
    "called again in doubt": ([ASKED, DOUBTED_ONE, SECOND, CALL, CALL._replace(accepted=False), AGAIN], RULES),
    "sent, and reported later": ([ASKED, SENT, CALL, Report("r-1", NOON_MS), Act("a-1")], RULES),
    "an act whose event came late and was published again": ([ASKED, SENT, CALL, Act("a"), Act("a")], RULES),
    "reported again much later": ([ASKED, SENT, CALL, Report("r", 0), Report("r", DAY_MS + 1)], RULES),
    "a duplicate": ([ASKED, TWIN, SENT, CALL, DUPLICATE], RULES),
    "a conflict": ([ASKED, NEXT, SENT, CALL, CONFLICT, OTHERS], RULES),
    "a conflict in another partition": (
        [ELSEWHERE._replace(at_ms=NOON_MS + 1, digest=12), TWIN, SENT, CALL, CONFLICT, OTHERS],
        RULES,
    ),
    "a duplicate before its message has ended": ([ASKED._replace(waits=True), TWIN, DUPLICATE], RULES),
    "mended and asked for again": ([ASKED, REJECTED, LETTER, NEXT, SENT, CALL], RULES),
    "forwarded to its partition": ([ASKED, ELSEWHERE, SENT, CALL], RULES),
    "forwarded and waiting there": ([ASKED, ELSEWHERE._replace(waits=True)], RULES),
    "the same id after the horizon": (
        [ASKED, NEXT._replace(at_ms=NOON_MS + 9_000), SENT, SENT._replace(event_id="e-2"), CALL, CALL],
        replace(RULES, horizon_ms=8_000),
    ),
    "the same id in both inbound topics": (
        [ASKED, NEXT._replace(topic="comm.outbound.express"), SENT, SENT._replace(event_id="e-2"), CALL, CALL],
        RULES,
    ),
    "the same id after the horizon, and the first record is gone": (
        [NEXT, SENT, SENT._replace(event_id=ended_id("m-1", NEXT.origin)), CALL, CALL],
        GONE,
    ),
    "the same id after the horizon, tried twice each, and the first record is gone": (
        [
            NEXT,
            DEFERRED,
            DEFERRED._replace(event_id=retry_id("m-1", NEXT.origin, 1)),
            SECOND,
            SECOND._replace(event_id=ended_id("m-1", NEXT.origin)),
            REFUSED,
            REFUSED,
            AGAIN,
            AGAIN,
        ],
        GONE,
    ),
    "an id of which the first record is gone": ([ASKED, SENT, DUPLICATE, CALL], replace(RULES, whole=False)),
    "asked before what is known": ([SENT, CALL], replace(RULES, whole=False)),
    "partly sent, then no more": (
        [ASKED, DEFERRED, SECOND._replace(partial=True), CALL, AGAIN._replace(accepted=False)],
        RULES,
    ),
    "sent to others in two attempts": ([ASKED, DEFERRED, SECOND, CALL, AGAIN._replace(recipients=(2,))], RULES),
    "a password that was refused first": ([ASKED, DEFERRED, SECOND, REFUSED, AGAIN], ONCE),
    "on the last millisecond": ([ASKED._replace(end_at_ms=NOON_MS + 11), SENT, CALL], replace(RULES, latency_ms=0)),
    "judged in time, begun a little late": ([ASKED._replace(end_at_ms=NOON_MS - 900), SENT, CALL], RULES),
    "early by the clock of the provider": (
        [ASKED._replace(start_at_ms=NOON_MS + 60), SENT, CALL],
        replace(RULES, skew_ms=50),
    ),
    "inside its hours": (
        [ASKED._replace(interval_min_ms=12 * HOUR_MS, interval_max_ms=13 * HOUR_MS), SENT, CALL],
        RULES,
    ),
    "recalled too late": ([ASKED._replace(campaign_id="spring"), SENT, CALL], RECALLED),
    "acknowledged": ([ASKED, SENT, CALL, Acknowledged("m-1"), Lies("m-1")], RULES),
    "a provider that is not told attempts": ([ASKED, SENT, CALL._replace(attempt=None)], RULES),
}


@pytest.mark.parametrize("kind", KEPT)
def test_what_was_kept_is_found_kept(kind: str) -> None:
    facts, rules = KEPT[kind]

    assert broken(*facts, rules=rules) == {}


BROKEN: dict[str, tuple[str, Sequence[Fact], Rules]] = {
    "nothing came of it": ("lost", [ASKED], RULES),
    "nothing came of bytes that nobody can read": ("lost", [ASKED._replace(channel=None)], RULES),
    "nothing came of the second record": ("lost", [ASKED, NEXT, SENT, CALL], RULES),
    "nothing came of what was forwarded": ("lost", [ASKED, ELSEWHERE], RULES),
    "a repetition of nothing": ("repeats_nothing", [ASKED, DUPLICATE], RULES),
    "two repetitions, and nothing that they repeat": (
        "repeats_nothing",
        [ASKED, TWIN, DUPLICATE, DUPLICATE._replace(event_id="e-duplicate-2")],
        RULES,
    ),
    "other content, and nothing that it differs from": ("repeats_nothing", [ASKED, CONFLICT, OTHERS], RULES),
    "other content told as the same": ("misjudged", [ASKED, NEXT, SENT, CALL, DUPLICATE], RULES),
    "the same content told as another": ("misjudged", [ASKED, TWIN, SENT, CALL, CONFLICT, OTHERS], RULES),
    "it waits": ("still_waiting", [ASKED._replace(waits=True)], replace(RULES, drained=True)),
    "it waits in a tier": (
        "still_waiting",
        [ASKED, Waiting("comm.delay.rest.64", *ASKED.origin)],
        replace(RULES, drained=True),
    ),
    "it waits, and its record is gone": (
        "still_waiting",
        [Waiting("comm.delay.rest.64", *ASKED.origin)],
        replace(GONE, drained=True),
    ),
    "two records that are one message, where others may be gone": (
        "ended_twice",
        [
            ASKED,
            TWIN,
            SENT._replace(event_id=ended_id("m-1", ASKED.origin)),
            CALL,
            SECOND._replace(event_id=ended_id("m-1", TWIN.origin)),
            AGAIN._replace(recipients=(2,)),
        ],
        GONE,
    ),
    "a second result": ("ended_twice", [ASKED, SENT, CALL, FAILED._replace(attempt=2), LETTER], RULES),
    "two results of one record": ("ended_twice", [ASKED, SENT, CALL, DUPLICATE], RULES),
    "two records that are one message": (
        "ended_twice",
        [ASKED, TWIN, SENT, CALL, SECOND._replace(event_id="e-2"), AGAIN._replace(recipients=(2,))],
        RULES,
    ),
    "a result and a dead letter without a name": ("ended_twice", [ASKED, SENT, CALL, NAMELESS], RULES),
    "a retry that is told twice": (
        "event_twice",
        [ASKED, DEFERRED, DEFERRED._replace(attempt=2), SECOND._replace(attempt=3), AGAIN._replace(attempt=3)],
        RULES,
    ),
    "a report that is told twice": ("event_twice", [ASKED, SENT, CALL, Report("r", 0), Report("r", DAY_MS)], RULES),
    "a result after the retry of its attempt": ("attempt_twice", [ASKED, DEFERRED, SENT, CALL], RULES),
    "a result that nobody asked for": ("phantom_result", [DUPLICATE], RULES),
    "a failure without a dead letter": ("unburied", [ASKED, FAILED, REFUSED], RULES),
    "a dead letter of what was sent": ("unburied", [ASKED, SENT, CALL, LETTER], RULES),
    "other content without a dead letter": ("unburied", [ASKED, NEXT, SENT, CALL, CONFLICT], RULES),
    "an attempt before the one that is told": ("untold", [ASKED, SECOND, REFUSED, AGAIN], RULES),
    "an attempt after the end": ("untold", [ASKED, SENT, CALL, AGAIN._replace(accepted=False)], RULES),
    "an attempt of what ended without one": ("untold", [ASKED, EXPIRED, REFUSED], RULES),
    "a call too many": ("called_twice", [ASKED, SENT, CALL, REFUSED], RULES),
    "a call more than doubt allows": (
        "called_twice",
        [ASKED, DOUBTED_ONE, SECOND, REFUSED, REFUSED, REFUSED, AGAIN],
        RULES,
    ),
    "accepted in two attempts without a doubt": ("accepted_twice", [ASKED, DEFERRED, SECOND, CALL, AGAIN], RULES),
    "accepted more often than doubt allows": (
        "accepted_twice",
        [ASKED, DOUBTED_ONE, DEFERRED_AGAIN, SENT._replace(attempt=3), CALL, AGAIN, THIRD],
        RULES,
    ),
    "accepted again where another attempt was in doubt": (
        "accepted_twice",
        [ASKED, DOUBTED_ONE, DEFERRED_AGAIN, SENT._replace(attempt=3), REFUSED, AGAIN, THIRD],
        RULES,
    ),
    "a password sent again in doubt": ("password_twice", [ASKED, DOUBTED_ONE, SECOND, REFUSED, AGAIN], ONCE),
    "before its start": ("early", [ASKED._replace(start_at_ms=NOON_MS + 11), SENT, CALL], RULES),
    "before the retry that was told": (
        "early",
        [ASKED, DEFERRED, SECOND, REFUSED, AGAIN._replace(first_byte_ms=NOON_MS + 4_999)],
        RULES,
    ),
    "after its end": ("late", [ASKED._replace(end_at_ms=NOON_MS - 990), SENT, CALL], RULES),
    "after what its channel allows": ("late", [ASKED._replace(start_at_ms=NOON_MS - 2 * HOUR_MS), SENT, CALL], RULES),
    "outside its hours": (
        "outside",
        [ASKED._replace(interval_min_ms=8 * HOUR_MS, interval_max_ms=9 * HOUR_MS), SENT, CALL],
        RULES,
    ),
    "outside its hours in its zone": (
        "outside",
        [NOON._replace(time_zone="Asia/Kathmandu"), SENT, CALL],
        RULES,
    ),
    "in hours of a zone that there is none of": (
        "outside",
        [ASKED._replace(interval_min_ms=0, interval_max_ms=DAY_MS, time_zone="Mars/X"), SENT, CALL],
        RULES,
    ),
    "outside its provider's hours": (
        "outside",
        [ASKED, SENT._replace(provider="second"), CALL],
        replace(RULES, plan=plan(second=Daily(8 * HOUR_MS, 9 * HOUR_MS))),
    ),
    "outside the hours of the provider that it asked for": (
        "outside",
        [ASKED._replace(provider="second", waits=True), REFUSED],
        replace(RULES, plan=plan(second=Daily(8 * HOUR_MS, 9 * HOUR_MS))),
    ),
    "after a recall": (
        "recalled",
        [ASKED._replace(campaign_id="spring"), SENT, CALL._replace(first_byte_ms=NOON_MS + 2_001)],
        RECALLED,
    ),
    "sent, and taken by nobody": ("unfounded", [ASKED, SENT, REFUSED], RULES),
    "a call that nobody asked for": ("phantom_call", [CALL], RULES),
    "accepted, and told as failed": ("sent_unsaid", [ASKED, FAILED, LETTER, CALL], RULES),
    "acknowledged, and not there": ("unwritten", [Acknowledged("m-1")], RULES),
    "acknowledged as another message": ("unwritten", [Acknowledged("m-1"), Lies("m-2")], RULES),
}


@pytest.mark.parametrize("kind", BROKEN)
def test_what_was_broken_is_found_and_nothing_else(kind: str) -> None:
    name, facts, rules = BROKEN[kind]

    assert broken(*facts, rules=rules) == {name: 1}


def test_every_promise_is_broken_here_once() -> None:
    assert {name for name, *_ in BROKEN.values()} == set(PROMISES)


def test_a_doubled_event_is_each_thing_that_it_is() -> None:
    assert broken(ASKED, SENT, SENT, CALL) == {"ended_twice": 1, "event_twice": 1, "attempt_twice": 1}


def test_a_password_that_is_accepted_twice_is_told_even_where_doubt_was_reported() -> None:
    assert broken(ASKED, DOUBTED_ONE, SECOND, CALL, AGAIN, rules=ONCE) == {"password_twice": 1}
    otp = ASKED._replace(purpose=Purpose.OTP)
    assert broken(otp, DOUBTED_ONE, SECOND, CALL, AGAIN) == {"password_twice": 1}


def test_what_doubt_covers_is_counted_beside_the_attempts_in_doubt() -> None:
    account = Account(RULES, Source)
    account.add(Story.of("m-1", [ASKED, DOUBTED_ONE, SECOND, CALL, CALL, AGAIN]))

    assert {name: account.lines[name].found for name in DOUBTED} == {"called_twice": 1, "accepted_twice": 2}
    assert [account.allowed(name) for name in (*DOUBTED, "early")] == [1, 1, 0]
    assert {name: line.broken for name, line in account.breaches().items()} == {"accepted_twice": 1}


def test_without_a_providers_ledger_its_promises_are_not_told() -> None:
    account = Account(RULES, [])

    assert {PROMISES[name].source for name in account.lines} == {Source.TOPICS}


def test_examples_are_few_however_much_is_broken() -> None:
    account = Account(RULES, [])
    for number in range(100):
        account.add(Story.of(f"m-{number}", [ASKED]))

    assert (account.lines["lost"].broken, len(account.lines["lost"].examples)) == (100, EXAMPLES_MAX)
    assert account.records == 100


@given(st.permutations([ASKED, TWIN, DEFERRED, SECOND, REFUSED, AGAIN, DUPLICATE, Report("r", 1)]))
def test_the_order_in_which_facts_are_known_does_not_matter(facts: Iterable[Fact]) -> None:
    assert broken(*facts) == {}


@given(DAILIES, NEARBY_MS)
def test_hours_are_what_the_clocks_on_the_walls_say(daily: Daily, at_ms: int) -> None:
    zone = UTC if daily.zone == "UTC" else zones(daily.zone)
    assert zone is not None

    assert allows(daily.start_ms, daily.end_ms, zone, at_ms) is daily.allows(at_ms)


def test_hours_are_right_around_every_change_of_clocks_in_2026() -> None:
    for name, change_ms in changes_of_2026():
        zone = zones(name)
        assert zone is not None
        daily = Daily(HOUR_MS + 30 * 60_000, 3 * HOUR_MS + 30 * 60_000, name)
        for quarter in range(-24, 24):
            at_ms = change_ms + quarter * 900_000
            assert allows(daily.start_ms, daily.end_ms, zone, at_ms) is daily.allows(at_ms), (name, at_ms)


@pytest.mark.parametrize(("at", "inside"), [("07:59:58", False), ("07:59:59", True), ("08:30", True), ("09:00", False)])
def test_an_instant_counts_as_inside_if_its_tolerance_reaches_the_opening(at: str, inside: bool) -> None:
    at_ms = ms(f"2026-06-01T{at}+00:00")

    assert allows(8 * HOUR_MS, 9 * HOUR_MS, UTC, at_ms, within_ms=1_000) is inside


def test_midnight_as_24_00_is_an_end_and_a_start() -> None:
    midnight_ms, noon_ms = ms("2026-06-01T00:00+00:00"), ms("2026-06-01T12:00+00:00")

    assert allows(0, DAY_MS, UTC, noon_ms)
    assert allows(DAY_MS, 6 * HOUR_MS, UTC, midnight_ms)
    assert not allows(DAY_MS, 6 * HOUR_MS, UTC, noon_ms)
    assert allows(20 * HOUR_MS, DAY_MS, UTC, midnight_ms - 1)
    assert not allows(20 * HOUR_MS, DAY_MS, UTC, midnight_ms)
