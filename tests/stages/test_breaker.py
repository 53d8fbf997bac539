"""A breaker leaves a failing provider alone, tries it with one message, and takes it up again step by step."""

from __future__ import annotations

from dataclasses import dataclass, field

import pytest
from hypothesis import given
from hypothesis import strategies as st

from processor.core.outcome import Accepted, Deferred, Outcome, Rejected, Stage, Throttled, Unknown
from processor.core.plan import BreakerPolicy
from processor.core.words import Reason
from processor.stages.dispatch.breaker import Breaker, State

DOWN = Deferred(Reason.PROVIDER_UNAVAILABLE)
SENT = Accepted("1", "250")
SLOTS = 8


@dataclass
class Bench:
    """A breaker and a clock."""

    breaker: Breaker = field(
        default_factory=lambda: Breaker(BreakerPolicy(share=0.5, calls_min=4, window_s=10, pause_s=5, pause_max_s=12))
    )
    now_s: float = 100.0

    @property
    def room(self) -> int:
        return self.breaker.room(SLOTS, self.now_s)

    def end(self, *outcomes: Outcome, began_s: float | None = None) -> list[bool]:
        began_s = self.now_s if began_s is None else began_s
        return [self.breaker.note(outcome, began_s=began_s, now_s=self.now_s, most=SLOTS) for outcome in outcomes]

    def wait(self, seconds: float) -> None:
        self.now_s += seconds


@pytest.fixture
def bench() -> Bench:
    return Bench()


@pytest.fixture
def opened(bench: Bench) -> Bench:
    assert bench.end(DOWN, DOWN, DOWN, DOWN)[-1]
    return bench


def test_a_breaker_lets_everything_pass_until_enough_calls_have_failed(bench: Bench) -> None:
    assert bench.end(DOWN, DOWN, DOWN) == [False, False, False]
    assert bench.room == SLOTS
    assert bench.end(DOWN) == [True]
    assert bench.room == 0


def test_it_stays_closed_while_most_calls_succeed(bench: Bench) -> None:
    outcomes: list[Outcome] = [SENT, SENT, DOWN]

    assert not any(bench.end(*outcomes * 50))


def test_failures_that_are_older_than_the_window_count_no_more(bench: Bench) -> None:
    bench.end(DOWN, DOWN, DOWN)
    bench.wait(10.1)

    assert bench.end(DOWN) == [False]


@pytest.mark.parametrize(
    "outcome",
    [
        Deferred(Reason.PROVIDER_DEFERRED, "451"),
        Throttled(),
        Rejected(Reason.PROVIDER_REJECTED),
        Deferred(Reason.ATTACHMENT_MISSING),
        Unknown(Reason.ANSWER_UNLISTED),
    ],
)
def test_answers_about_messages_open_nothing(bench: Bench, outcome: Outcome) -> None:
    assert not any(bench.end(*[outcome] * 50))


def test_calls_that_are_never_answered_count_as_failures(bench: Bench) -> None:
    assert bench.end(*[Unknown(Reason.ANSWER_MISSING)] * 4)[-1]


def test_one_refused_login_is_enough_and_the_next_is_not_before_the_longest_pause(bench: Bench) -> None:
    assert bench.end(Deferred(Reason.AUTHENTICATION_FAILED, "535")) == [True]
    bench.wait(11.9)
    assert bench.room == 0
    bench.wait(0.1)
    assert bench.room == 1


def test_after_the_pause_one_message_probes(opened: Bench) -> None:
    opened.wait(4.9)
    assert opened.room == 0
    opened.wait(0.1)
    assert opened.room == 1
    assert opened.breaker.state is State.PROBING


def test_each_probe_that_fails_doubles_the_pause_up_to_its_bound(opened: Bench) -> None:
    for pause_s in (5, 10, 12, 12):
        opened.wait(pause_s - 0.1)
        assert opened.room == 0
        opened.wait(0.1)
        assert opened.room == 1
        opened.end(DOWN)


def test_a_probe_that_succeeds_is_followed_by_more_and_more(opened: Bench) -> None:
    opened.wait(5)
    assert opened.room == 1
    rooms = []
    while opened.breaker.state is not State.CLOSED:
        opened.end(SENT)
        rooms.append(opened.room)

    assert rooms == [2, 3, 4, 5, 6, 7, 8]


def test_a_relapse_on_the_way_back_opens_again(opened: Bench) -> None:
    opened.wait(5)
    assert opened.room == 1
    opened.end(SENT)

    assert opened.end(DOWN, DOWN) == [False, True]
    assert opened.room == 0


def test_what_began_before_it_opened_tells_nothing_of_the_probe(opened: Bench) -> None:
    before_s = opened.now_s - 1
    opened.wait(5)
    assert opened.room == 1

    opened.end(SENT, DOWN, began_s=before_s)

    assert opened.breaker.state is State.PROBING


OURS = [
    Rejected(Reason.INVALID_RECIPIENT, stage=Stage.CONNECT, field_name="to"),
    Deferred(Reason.ATTACHMENT_MISSING, stage=Stage.CONNECT),
]


@pytest.mark.parametrize("ours", OURS)
def test_what_is_refused_before_the_call_is_no_probe(opened: Bench, ours: Outcome) -> None:
    opened.wait(5)
    assert opened.room == 1

    opened.end(ours)

    assert (opened.breaker.state, opened.room) == (State.PROBING, 1)
    opened.end(DOWN)
    assert opened.room == 0


@pytest.mark.parametrize("ours", OURS)
def test_what_is_refused_before_the_call_hides_no_failure(bench: Bench, ours: Outcome) -> None:
    bench.end(*[ours] * 50)

    assert bench.end(DOWN, DOWN, DOWN, DOWN)[-1]


def test_only_while_it_is_not_closed_does_a_certain_failure_cost_nothing(opened: Bench) -> None:
    closed, late = Bench().breaker, Deferred(Reason.PROVIDER_DEFERRED, "451")

    assert closed.softened(DOWN) is DOWN
    assert opened.breaker.softened(DOWN) == Throttled(Reason.PROVIDER_UNAVAILABLE)
    assert opened.breaker.softened(late) is late
    assert opened.breaker.softened(SENT) is SENT


ANSWERS: list[Outcome] = [SENT, DOWN, Unknown(Reason.ANSWER_MISSING), Rejected(Reason.PROVIDER_REJECTED), Throttled()]
STEPS = st.lists(st.tuples(st.floats(0, 4), st.integers(0, SLOTS), st.sampled_from(ANSWERS)), max_size=150)


@given(STEPS)
def test_it_opens_exactly_when_its_window_says_so_and_lets_a_good_provider_have_all_calls_again(
    steps: list[tuple[float, int, Outcome]],
) -> None:
    """Judged by the whole history, looked through anew for each answer, where the breaker keeps counts."""
    bench = Bench()
    under_way: list[float] = []  # when they began
    ended: list[tuple[float, bool]] = []  # since it closed: when, and whether the provider failed
    changed_at_s, opened_at_s, pause_s = 0.0, 0.0, 5.0

    for wait_s, want, outcome in steps:
        bench.wait(wait_s)
        begun = max(0, min(want, bench.room - len(under_way)))
        assert not begun or bench.breaker.state is State.CLOSED or bench.now_s - opened_at_s >= pause_s
        under_way += [bench.now_s] * begun
        if not under_way:
            continue
        before, began_s = bench.breaker.state, under_way.pop(0)
        counts, fails = began_s >= changed_at_s, outcome in (DOWN, ANSWERS[2])
        told = bench.end(outcome, began_s=began_s)
        after = bench.breaker.state
        assert counts or after is before
        if before is State.CLOSED and counts:
            ended.append((bench.now_s, fails))
            window = [failed for at_s, failed in ended if at_s >= bench.now_s - 10]
            assert told == [fails and len(window) >= 4 and sum(window) >= len(window) / 2]
        if after is not before:
            changed_at_s, ended = bench.now_s, []
        if after is State.OPEN and before is not State.OPEN:
            opened_at_s, pause_s = bench.now_s, min(12.0, pause_s * 2) if before is State.PROBING else pause_s
        elif after is State.CLOSED:
            pause_s = 5.0

    bench.wait(12)
    for _ in range(SLOTS - 1):
        assert bench.room > 0
        bench.end(SENT)
    assert (bench.breaker.state, bench.room) == (State.CLOSED, SLOTS)
