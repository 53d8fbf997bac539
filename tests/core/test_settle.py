"""What follows from each outcome of an attempt."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import pytest
from hypothesis import event, given, settings
from hypothesis import strategies as st

from processor.core.judge import judge, provider_of, turn_to
from processor.core.outcome import Accepted, Deferred, Outcome, Partly, Rejected, Throttled, Unknown
from processor.core.plan import DAY_MS, Plan, RetryPolicy
from processor.core.retry import THROTTLED_WAIT_MS, backoff_ms, policy_for
from processor.core.settle import RETRY_AFTER_MAX_MS, after, settle, settle_in_doubt
from processor.core.verdict import Again, Dispatch, End, Over, Sent, Settlement
from processor.core.words import InDoubt, Purpose, Reason, Status
from tests.core.oracle import HOUR_MS, Daily, ms
from tests.core.worlds import (
    FACTS,
    NEARBY_MS,
    NOW_MS,
    PLANS,
    RETRY,
    channel,
    facts,
    head,
    heads,
    own_daily,
    plan,
    zones,
)

if TYPE_CHECKING:
    from processor.core.message import Facts, Head

LATER = Deferred(Reason.PROVIDER_DEFERRED, "451")
PERHAPS = Unknown(Reason.ANSWER_MISSING)
WAITS = st.none() | st.integers(-5, 3 * DAY_MS)
FAILURES = st.one_of(
    st.builds(Deferred, st.just(Reason.PROVIDER_DEFERRED), st.just("451"), WAITS),
    st.builds(Throttled, st.just(Reason.PROVIDER_THROTTLED), st.just("421"), WAITS),
    st.builds(Unknown, st.just(Reason.ANSWER_MISSING)),
)


def settled(
    outcome: Outcome, of: Head | None = None, known: Facts | None = None, world: Plan | None = None
) -> Settlement:
    return settle(outcome, of or head(), known or facts(), world or plan(), now_ms=NOW_MS, jitter=0.5, zones=zones)


@given(FAILURES, heads(), FACTS, PLANS, NEARBY_MS, st.floats(0, 1, exclude_max=True))
@settings(max_examples=600)
def test_another_attempt_is_legal_before_the_end_and_not_before_its_back_off(
    outcome: Deferred | Throttled | Unknown, of: Head, known: Facts, world: Plan, now_ms: int, jitter: float
) -> None:
    its = world.channels["Email"]

    settlement = settle(outcome, of, known, world, now_ms=now_ms, jitter=jitter, zones=zones)

    event(f"{type(outcome).__name__} {type(settlement).__name__}")
    if isinstance(settlement, Again):
        throttled = isinstance(outcome, Throttled)
        least_ms = 0 if throttled else backoff_ms(policy_for(of, its), charged=settlement.charged, jitter=jitter)
        assert settlement.due_at_ms >= now_ms + least_ms
        assert of.end_at_ms is None or settlement.due_at_ms < of.end_at_ms
        assert all(daily.allows(settlement.due_at_ms) for daily in own_daily(of))
        assert settlement.charged == known.charged + (0 if throttled else 1)
        known_then = after(known, settlement, of.provider or its.provider)
        then = judge(of, known_then, world, now_ms=settlement.due_at_ms, zones=zones)
        assert isinstance(then, Dispatch) or (of.start_at_ms or 0) > settlement.due_at_ms


@given(FAILURES, heads(), FACTS, PLANS, NEARBY_MS)
def test_what_was_perhaps_sent_is_never_called_failed_or_expired(
    outcome: Outcome, of: Head, known: Facts, world: Plan, now_ms: int
) -> None:
    settlement = settle(outcome, of, known, world, now_ms=now_ms, jitter=0.5, zones=zones)

    if isinstance(settlement, Over):
        assert (settlement.status is Status.UNKNOWN) == isinstance(outcome, Unknown)


@given(st.integers(0, 6), st.lists(st.booleans(), min_size=60, max_size=60), st.booleans())
def test_a_message_that_always_fails_is_called_once_more_than_its_budget_and_throttling_is_free(
    budget: int, throttled: list[bool], moved_over: bool
) -> None:
    of = head(retry_max_attempts=budget, retry_interval_s=1, message_status="ERROR" if moved_over else None)
    known, world, now_ms, charged = facts(), plan(), NOW_MS, 1 if moved_over else 0
    for slow_down in throttled:
        verdict = judge(of, known, world, now_ms=now_ms, zones=zones)
        if isinstance(verdict, End):
            break
        assert isinstance(verdict, Dispatch)
        charged += not slow_down
        settlement = settle(Throttled() if slow_down else LATER, of, known, world, now_ms=now_ms, jitter=0, zones=zones)
        if isinstance(settlement, Over):
            assert settlement == Over(Status.FAILED, Reason.RETRIES_EXHAUSTED, budget + 1, "451")
            break
        assert isinstance(settlement, Again)
        known, now_ms = after(known, settlement, verdict.provider), settlement.due_at_ms

    assert charged == budget + 1 or throttled.count(False) < budget + 1


def test_an_accepted_message_is_sent() -> None:
    assert settled(Accepted("id-9", "250")) == Sent("250", "id-9")


def test_a_refused_message_is_failed_for_the_providers_reason() -> None:
    assert settled(Rejected(Reason.PROVIDER_REJECTED, "550")) == Over(Status.FAILED, Reason.PROVIDER_REJECTED, 1, "550")


def test_a_message_that_some_recipients_refused_is_tried_again_for_those_that_are_open() -> None:
    partly = Partly(still_open=(1,), refused=(2,), reason=Reason.PROVIDER_DEFERRED, code="451")

    settlement = settled(partly)

    assert settlement == Again(NOW_MS + 60_000, Reason.PROVIDER_DEFERRED, 1, "451", still_open=(1,), refused=(2,))
    assert after(facts(), settlement, "GatewayEmail").open_recipients == (1,)


def test_a_message_whose_other_recipients_were_refused_for_good_is_sent_and_names_them() -> None:
    partly = Partly(still_open=(), refused=(0, 2), reason=Reason.PROVIDER_REJECTED, code="550")

    assert settled(partly) == Sent("550", None, (0, 2))


@pytest.mark.parametrize(
    "outcome", [Rejected(Reason.PROVIDER_REJECTED, "550"), LATER, Partly((3,), (), Reason.PROVIDER_DEFERRED, "451")]
)
def test_a_message_that_reached_somebody_is_sent_whatever_becomes_of_the_others(outcome: Outcome) -> None:
    last = settled(outcome, head(retry_max_attempts=0), facts()._replace(open_recipients=(3,)))

    assert last == Sent(outcome.code, None, (3,))


def test_a_message_that_reached_somebody_and_may_have_reached_the_others_is_unknown() -> None:
    last = settled(PERHAPS, head(retry_max_attempts=0), facts()._replace(open_recipients=(3,)))

    assert isinstance(last, Over)
    assert last.status is Status.UNKNOWN


def test_a_message_that_reached_somebody_does_not_expire_while_it_waits_for_the_others() -> None:
    verdict = judge(
        head(end_at_ms=NOW_MS - 1), facts()._replace(open_recipients=(3,)), plan(), now_ms=NOW_MS, zones=zones
    )

    assert verdict == End(Status.SENT, Reason.PAST_END)


def turning(*further: str, adapter: str = "smtp") -> Plan:
    """A plan whose channel turns to *further* providers, which are of *adapter*."""
    mail = replace(channel(), failover=further, providers=("first", *further))
    world = plan(mail)
    first = world.providers[mail.provider]
    others = {name: replace(first, name=name, adapter=adapter) for name in further}
    return replace(world, providers={**world.providers, **others})


def test_a_message_turns_to_the_next_provider_at_once_and_free_of_charge() -> None:
    world, down = turning("second", "third"), Deferred(Reason.PROVIDER_UNAVAILABLE)
    known, tried = facts(), []

    for _ in range(2):
        tried.append(provider_of(head(), known, world.channels["Email"]))
        settlement = settled(down, head(retry_max_attempts=0), known, world)
        assert isinstance(settlement, Again)
        assert (settlement.due_at_ms, settlement.charged) == (NOW_MS, 0)
        known = after(known, settlement, tried[-1])

    assert [*tried, provider_of(head(), known, world.channels["Email"])] == ["first", "second", "third"]
    assert settled(down, head(retry_max_attempts=0), known, world) == Over(
        Status.FAILED, Reason.RETRIES_EXHAUSTED, 1, None
    )


@pytest.mark.parametrize("outcome", [PERHAPS, LATER, Throttled(), Rejected(Reason.PROVIDER_REJECTED, "550")])
def test_only_a_certain_failure_of_the_provider_turns_a_message_elsewhere(outcome: Outcome) -> None:
    settlement = settled(outcome, world=turning("second"))

    assert not isinstance(settlement, Again) or settlement.provider is None


@pytest.mark.parametrize("doubt", [Reason.ANSWER_MISSING, Reason.ANSWER_UNLISTED, Reason.IN_DOUBT, Reason.INTERNAL])
def test_a_message_that_was_perhaps_sent_stays_with_its_provider_whatever_follows(doubt: Reason) -> None:
    world, known = turning("second"), facts()

    for outcome in (Unknown(doubt), Throttled(Reason.PROVIDER_UNAVAILABLE), Deferred(Reason.CONNECTION_BROKEN)):
        settlement = settled(outcome, head(), known, world)
        assert isinstance(settlement, Again)
        assert settlement.provider is None
        known = after(known, settlement, "first")
        assert turn_to(head(), known, world, "first") is None  # nor while its breaker is open


@pytest.mark.parametrize(("adapter", "turned_to"), [("smtp", "second"), ("http", None)])
def test_what_some_recipients_have_turns_only_to_who_can_send_to_the_others_alone(
    adapter: str, turned_to: str | None
) -> None:
    world, down = turning("second", adapter=adapter), Deferred(Reason.PROVIDER_UNAVAILABLE)

    partly = settled(Partly((2,), (1,), Reason.PROVIDER_UNAVAILABLE, "521"), world=world)
    later = settled(down, known=facts()._replace(open_recipients=(2,)), world=world)

    for settlement in (partly, later):
        assert isinstance(settlement, Again)
        assert settlement.provider == turned_to
    assert turn_to(head(), facts()._replace(open_recipients=(2,)), world, "first") == turned_to


def test_a_channel_that_did_not_opt_in_stays_with_its_provider() -> None:
    settlement = settled(Deferred(Reason.PROVIDER_UNAVAILABLE))

    assert isinstance(settlement, Again)
    assert settlement.provider is None


def test_a_deferred_message_waits_for_its_back_off() -> None:
    assert settled(LATER) == Again(NOW_MS + 60_000, Reason.PROVIDER_DEFERRED, 1, "451")


@pytest.mark.parametrize(
    ("asked_ms", "waits_ms"), [(None, 60_000), (5, 60_000), (90_000, 90_000), (-9, 60_000), (2**62, RETRY_AFTER_MAX_MS)]
)
def test_a_provider_may_ask_for_a_longer_wait_but_not_for_years(asked_ms: int | None, waits_ms: int) -> None:
    settlement = settled(replace(LATER, retry_after_ms=asked_ms))

    assert isinstance(settlement, Again)
    assert settlement.due_at_ms == NOW_MS + waits_ms


@pytest.mark.parametrize(
    ("asked_ms", "waits_ms"),
    [(None, THROTTLED_WAIT_MS), (0, THROTTLED_WAIT_MS), (-9, THROTTLED_WAIT_MS), (250, 250), (2**62, DAY_MS)],
)
def test_a_throttled_message_waits_as_asked_and_is_not_charged(asked_ms: int | None, waits_ms: int) -> None:
    settlement = settled(Throttled(retry_after_ms=asked_ms), known=facts(attempt=13, charged=9))

    assert settlement == Again(NOW_MS + waits_ms, Reason.PROVIDER_THROTTLED, 9, None)


def test_a_message_that_is_throttled_again_and_again_comes_back_ever_more_slowly() -> None:
    waits, known = [], facts(attempt=3, charged=3)
    for _ in range(13):
        settlement = settled(Throttled(), known=known)
        assert isinstance(settlement, Again)
        waits.append((settlement.due_at_ms - NOW_MS) // 1_000)
        known = after(known, settlement, "first")

    assert waits == [1, 1, 1, 1, 1, 2, 4, 8, 16, 32, 60, 60, 60]
    assert known.charged == 3


@given(st.integers(0, 10_000), st.integers(1_001, DAY_MS))
def test_a_throttled_message_does_not_expire_of_our_patience(attempt: int, left_ms: int) -> None:
    settlement = settled(Throttled(), head(end_at_ms=NOW_MS + left_ms), facts(attempt=attempt))

    assert isinstance(settlement, Again)
    assert settlement.due_at_ms <= NOW_MS + max(THROTTLED_WAIT_MS, left_ms // 2)


def test_an_ambiguous_answer_follows_the_channels_policy() -> None:
    resend, report = (plan(channel(in_doubt=policy)) for policy in (InDoubt.RESEND, InDoubt.REPORT))

    assert settled(PERHAPS, world=resend) == Again(NOW_MS + 60_000, Reason.ANSWER_MISSING, 1, None)
    assert settled(PERHAPS, world=report) == Over(Status.UNKNOWN, Reason.ANSWER_MISSING, 1, None)


@given(st.sampled_from(InDoubt), FACTS)
def test_a_one_time_password_is_never_sent_twice(policy: InDoubt, known: Facts) -> None:
    of, world = head(purpose=Purpose.OTP), plan(channel(in_doubt=policy))

    settlement = settle_in_doubt(of, known, world, now_ms=NOW_MS, jitter=0.5, zones=zones)

    assert settlement == Over(Status.UNKNOWN, Reason.IN_DOUBT, 1, None)


def test_a_one_time_password_that_was_certainly_not_sent_is_tried_again() -> None:
    assert isinstance(settled(LATER, head(purpose=Purpose.OTP)), Again)


def test_the_last_attempt_that_was_perhaps_sent_is_unknown() -> None:
    settlement = settled(PERHAPS, head(retry_max_attempts=0))

    assert settlement == Over(Status.UNKNOWN, Reason.RETRIES_EXHAUSTED, 1, None)


def test_a_retry_that_would_come_after_the_end_is_expired_at_once() -> None:
    assert settled(LATER, head(end_at_ms=NOW_MS + 60_000)) == Over(Status.EXPIRED, Reason.PAST_END, 1, "451")
    assert isinstance(settled(LATER, head(end_at_ms=NOW_MS + 60_001)), Again)


def test_a_retry_waits_for_the_window_to_open_again() -> None:
    world = plan(first=Daily(6 * HOUR_MS, 21 * HOUR_MS + 60_000))

    settlement = settled(LATER, world=world)

    assert settlement == Again(ms("2026-03-29T06:00+00:00"), Reason.PROVIDER_DEFERRED, 1, "451")


def test_a_retry_whose_window_opens_too_late_is_expired_at_once() -> None:
    world = plan(first=Daily(6 * HOUR_MS, 21 * HOUR_MS + 60_000))

    settlement = settled(LATER, head(end_at_ms=NOW_MS + HOUR_MS), world=world)

    assert settlement == Over(Status.EXPIRED, Reason.NO_LEGAL_INSTANT, 1, "451")


@pytest.mark.parametrize(
    ("outcome", "status"), [(LATER, Status.FAILED), (Throttled(), Status.FAILED), (PERHAPS, Status.UNKNOWN)]
)
def test_an_attempt_whose_channel_is_gone_from_the_configuration_is_over(outcome: Outcome, status: Status) -> None:
    settlement = settled(outcome, head(channel="Gone"))

    assert isinstance(settlement, Over)
    assert settlement.status is status


def test_the_facts_of_the_next_attempt_count_this_one() -> None:
    again = Again(NOW_MS + 5, Reason.PROVIDER_DEFERRED, 2, "451")

    expected = facts(due_at_ms=NOW_MS + 5, attempt=5, charged=2)._replace(last_reason=Reason.PROVIDER_DEFERRED)
    assert after(facts(attempt=4, charged=1), again, "first") == expected


def test_attempts_of_the_older_system_spend_the_budget() -> None:
    of = head(message_status="ERROR", retry_attempt=RETRY.max_attempts)

    assert settled(LATER, of) == Over(Status.FAILED, Reason.RETRIES_EXHAUSTED, RETRY.max_attempts + 1, "451")
    assert settled(Throttled(), of) == Again(
        NOW_MS + THROTTLED_WAIT_MS, Reason.PROVIDER_THROTTLED, RETRY.max_attempts, None
    )


def test_a_fixed_interval_of_the_message_replaces_an_exponential_wait() -> None:
    world = plan(channel(retry=RetryPolicy(3, 1)))

    settlement = settled(LATER, head(retry_interval_s=7), world=world)

    assert isinstance(settlement, Again)
    assert settlement.due_at_ms == NOW_MS + 7000
