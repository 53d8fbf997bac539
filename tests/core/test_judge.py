"""Verdicts, each bound looked at again by the slow calendar."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import assume, event, given, settings
from hypothesis import strategies as st

from processor.core.judge import RULES_MAX, Judge, judge
from processor.core.plan import DAY_MS, BackoffKind, Channel, Plan, Provider, RetryPolicy
from processor.core.verdict import Dispatch, End, Wait
from processor.core.words import Lane, Reason, Status
from tests.core.oracle import HOUR_MS, Daily, ms, wall_ms
from tests.core.worlds import FACTS, NEARBY_MS, NOW_MS, PLANS, channel, facts, head, heads, own_daily, plan, zones

if TYPE_CHECKING:
    from processor.core.message import Facts, Head


def legal(of: Head, known: Facts, world: Plan, at_ms: int) -> bool:
    """Tell, bound by bound, whether a message may go at an instant."""
    its: Channel = world.channels[of.channel]
    provider: Provider = world.providers[of.provider or its.provider]
    start_ms = known.first_seen_ms if of.start_at_ms is None else of.start_at_ms
    if of.start_at_ms is not None and at_ms < of.start_at_ms:
        return False
    if of.end_at_ms is not None and at_ms >= of.end_at_ms:
        return False
    if of.end_at_ms is None and its.validity_ms is not None and at_ms >= start_ms + its.validity_ms:
        return False
    if at_ms < known.due_at_ms:
        return False
    if provider.interval is not None:
        of_day_ms = wall_ms(str(provider.interval.zone), at_ms)
        length_ms = (provider.interval.end_ms - provider.interval.start_ms) % DAY_MS
        if (of_day_ms - provider.interval.start_ms) % DAY_MS >= length_ms:
            return False
    return all(daily.allows(at_ms) for daily in own_daily(of))


@given(heads(), FACTS, PLANS, NEARBY_MS, st.floats(0, 1))
@settings(max_examples=600)
def test_a_message_goes_exactly_when_every_bound_allows_it(
    of: Head, known: Facts, world: Plan, now_ms: int, part: float
) -> None:
    verdict = judge(of, known, world, now_ms=now_ms, zones=zones)

    event(type(verdict).__name__)
    match verdict:
        case Dispatch():
            assert legal(of, known, world, now_ms)
        case Wait(until_ms=until_ms):
            assert until_ms > now_ms
            assert legal(of, known, world, until_ms)
            for at_ms in (now_ms, now_ms + int(part * (until_ms - 1 - now_ms)), until_ms - 1):
                assert not legal(of, known, world, at_ms)
        case End(status=status):
            assert status is Status.EXPIRED
            for days in range(4):
                assert not legal(of, known, world, now_ms + int((days + part) * DAY_MS))


IDS = st.fixed_dictionaries(
    {},
    optional={
        "message_id": st.sampled_from(["m-1", "m-2", "no id"]),
        "external_id": st.sampled_from([None, "e-1", "e" * 1_025]),
        "campaign_id": st.sampled_from([None, "c" * 1_025]),
        "channel": st.sampled_from(["Email", "Pigeon"]),
        "provider": st.sampled_from([None, "second", "nobody"]),
    },
)


@given(heads(), st.lists(st.tuples(IDS, FACTS, NEARBY_MS), min_size=2, max_size=6), PLANS)
@settings(max_examples=300)
def test_who_judges_many_messages_remembers_nothing_of_one_that_matters_to_another(
    of: Head, others: list[tuple[dict[str, Any], Facts, int]], world: Plan
) -> None:
    judging = Judge(world, zones)
    for changed, known, now_ms in others:
        another = of._replace(**changed)
        assert judging(another, known, now_ms=now_ms) == judge(another, known, world, now_ms=now_ms, zones=zones)


@given(heads(), FACTS, PLANS, NEARBY_MS, st.floats(0, 1))
@settings(max_examples=600)
def test_a_message_that_may_go_may_until_a_bound_forbids_it(
    of: Head, known: Facts, world: Plan, now_ms: int, part: float
) -> None:
    judging = Judge(world, zones)
    verdict = judging(of, known, now_ms=now_ms)
    if isinstance(verdict, Wait):
        now_ms = verdict.until_ms
        verdict = judging(of, known, now_ms=now_ms)
    assume(isinstance(verdict, Dispatch))
    assert isinstance(verdict, Dispatch)

    until_ms = judging.until_ms(of, known, verdict, now_ms=now_ms)

    event("for ever" if until_ms is None else "until then")
    last_ms = now_ms + 10 * DAY_MS if until_ms is None else until_ms - 1
    assert last_ms >= now_ms
    for at_ms in (last_ms, now_ms + int(part * (last_ms - now_ms))):
        assert legal(of, known, world, at_ms)
    assert until_ms is None or not legal(of, known, world, until_ms)


def test_rules_of_messages_that_are_all_different_do_not_pile_up() -> None:
    judging = Judge(plan(), zones)
    for number in range(RULES_MAX * 2):
        judging(head(start_at_ms=NOW_MS + number), facts(), now_ms=NOW_MS)

    assert len(judging._rules) <= RULES_MAX


@pytest.mark.parametrize("of", ["channel", "provider", "campaign_id", "time_zone", "message_status"])
def test_what_is_refused_is_not_kept(of: str) -> None:
    judging = Judge(plan(), zones)
    large = head(**{of: "x" * 100_000})

    assert isinstance(judging(large, facts(), now_ms=NOW_MS), End)
    assert not judging._rules


@given(heads(), FACTS, PLANS, NEARBY_MS, st.floats(0, 1))
@settings(max_examples=300)
def test_judging_again_while_it_waits_finds_the_same_instant(
    of: Head, known: Facts, world: Plan, now_ms: int, part: float
) -> None:
    first = judge(of, known, world, now_ms=now_ms, zones=zones)
    assume(isinstance(first, Wait))
    assert isinstance(first, Wait)
    between_ms = now_ms + int(part * (first.until_ms - 1 - now_ms))

    again = judge(of, known, world, now_ms=between_ms, zones=zones)
    then = judge(of, known, world, now_ms=first.until_ms, zones=zones)

    assert isinstance(again, Wait)
    assert again.until_ms == first.until_ms
    assert then == Dispatch(first.provider, first.lane)


def verdict_on(of: Head, known: Facts | None = None, world: Plan | None = None) -> Dispatch | Wait | End:
    return judge(of, known or facts(), world or plan(), now_ms=NOW_MS, zones=zones)


def test_a_plain_message_goes_at_once_to_its_channels_provider() -> None:
    assert verdict_on(head()) == Dispatch("first", Lane.NORMAL)


def test_a_message_may_name_another_provider_of_its_channel() -> None:
    assert verdict_on(head(provider="second", priority=9)) == Dispatch("second", Lane.EXPRESS)


def test_only_the_interval_of_the_provider_that_is_used_counts() -> None:
    world = plan(second=Daily(8 * HOUR_MS, 9 * HOUR_MS))

    assert isinstance(verdict_on(head(), world=world), Dispatch)
    assert isinstance(verdict_on(head(provider="second"), world=world), Wait)


@pytest.mark.parametrize(
    ("of", "known", "reason", "until_ms"),
    [
        (head(start_at_ms=NOW_MS + 5), facts(), Reason.NOT_STARTED, NOW_MS + 5),
        (head(), facts(due_at_ms=NOW_MS + 5, attempt=1), Reason.BACKING_OFF, NOW_MS + 5),
        (head(), facts(due_at_ms=NOW_MS + 5), Reason.OUTSIDE_WINDOW, NOW_MS + 5),
        (head(start_at_ms=NOW_MS + 9), facts(due_at_ms=NOW_MS + 5, attempt=1), Reason.NOT_STARTED, NOW_MS + 9),
        (
            head(start_at_ms=NOW_MS + 5, interval_min_ms=HOUR_MS, interval_max_ms=2 * HOUR_MS),
            facts(due_at_ms=NOW_MS + 7, attempt=1),
            Reason.OUTSIDE_WINDOW,
            ms("2026-03-29T01:00+00:00"),
        ),
        (
            head(interval_min_ms=3 * HOUR_MS, interval_max_ms=5 * HOUR_MS, time_zone="Europe/Bucharest"),
            facts(),
            Reason.OUTSIDE_WINDOW,
            ms("2026-03-29T04:00+03:00"),
        ),
    ],
)
def test_a_wait_tells_the_bound_that_holds_longest(of: Head, known: Facts, reason: Reason, until_ms: int) -> None:
    assert verdict_on(of, known) == Wait("first", Lane.NORMAL, until_ms, reason)


def test_a_message_is_expired_from_its_end_on() -> None:
    assert verdict_on(head(end_at_ms=NOW_MS)) == End(Status.EXPIRED, Reason.PAST_END)
    assert isinstance(verdict_on(head(end_at_ms=NOW_MS + 1)), Dispatch)


def test_a_message_without_an_end_expires_with_its_channels_validity() -> None:
    world = plan(channel(validity_ms=1000))

    def at(now_ms: int, of: Head) -> Dispatch | Wait | End:
        return judge(of, facts(), world, now_ms=now_ms, zones=zones)

    assert isinstance(at(NOW_MS + 999, head()), Dispatch)
    assert at(NOW_MS + 1000, head()) == End(Status.EXPIRED, Reason.PAST_END)
    assert isinstance(at(NOW_MS + 5999, head(start_at_ms=NOW_MS + 5000)), Dispatch)
    assert at(NOW_MS + 6000, head(start_at_ms=NOW_MS + 5000)) == End(Status.EXPIRED, Reason.PAST_END)
    assert isinstance(at(NOW_MS + 6000, head(end_at_ms=NOW_MS + DAY_MS)), Dispatch)


def test_a_message_whose_window_opens_only_after_its_end_is_expired_at_once() -> None:
    of = head(interval_min_ms=8 * HOUR_MS, interval_max_ms=9 * HOUR_MS, end_at_ms=NOW_MS + HOUR_MS)

    assert verdict_on(of) == End(Status.EXPIRED, Reason.NO_LEGAL_INSTANT)


def test_windows_that_never_meet_are_expired_at_once_even_without_an_end() -> None:
    world = plan(first=Daily(20 * HOUR_MS, 22 * HOUR_MS))

    verdict = verdict_on(head(interval_min_ms=8 * HOUR_MS, interval_max_ms=9 * HOUR_MS), world=world)

    assert verdict == End(Status.EXPIRED, Reason.NO_LEGAL_INSTANT)


class TestAMessageMovedOverInError:
    def test_waits_from_its_last_attempt(self) -> None:
        of = head(message_status="ERROR", retry_attempt=1, last_attempt_ms=NOW_MS - 20_000)

        assert verdict_on(of) == Wait("first", Lane.NORMAL, NOW_MS + 40_000, Reason.BACKING_OFF)

    def test_waits_as_long_as_an_exponential_policy_may(self) -> None:
        policy = RetryPolicy(5, 1000, BackoffKind.EXPONENTIAL, cap_ms=3000)
        of = head(message_status="ERROR", retry_attempt=4, last_attempt_ms=NOW_MS)

        verdict = verdict_on(of, world=plan(channel(retry=policy)))

        assert verdict == Wait("first", Lane.NORMAL, NOW_MS + 3000, Reason.BACKING_OFF)

    def test_goes_at_once_when_it_has_waited_long_enough(self) -> None:
        assert isinstance(
            verdict_on(head(message_status="ERROR", retry_attempt=3, last_attempt_ms=NOW_MS - 60_000)), Dispatch
        )

    def test_is_failed_when_its_attempts_have_spent_the_budget(self) -> None:
        of = head(message_status="ERROR", retry_attempt=4, last_attempt_ms=NOW_MS - DAY_MS)

        assert verdict_on(of) == End(Status.FAILED, Reason.RETRIES_EXHAUSTED)

    def test_has_had_one_attempt_if_it_names_none(self) -> None:
        of = head(message_status="ERROR", retry_max_attempts=0)

        assert verdict_on(of) == End(Status.FAILED, Reason.RETRIES_EXHAUSTED)
        assert isinstance(verdict_on(head(message_status="ERROR", retry_max_attempts=1)), Dispatch)

    def test_is_not_held_by_a_last_attempt_in_the_future(self) -> None:
        of = head(message_status="ERROR", retry_attempt=1, last_attempt_ms=2**62)

        assert verdict_on(of) == Wait("first", Lane.NORMAL, NOW_MS + 60_000, Reason.BACKING_OFF)

    def test_counts_its_attempts_only_with_the_status_error(self) -> None:
        assert isinstance(verdict_on(head(message_status="NEW", retry_attempt=9, last_attempt_ms=NOW_MS)), Dispatch)
        assert isinstance(verdict_on(head(retry_attempt=9, last_attempt_ms=NOW_MS)), Dispatch)
