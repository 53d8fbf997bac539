"""The verdict on a message at an instant: may it go now, when may it, or why will it never."""

from dataclasses import replace
from datetime import UTC
from typing import Final, NamedTuple

from processor.core.clock import Zones
from processor.core.lanes import lane_of
from processor.core.message import Facts, Head
from processor.core.plan import Channel, DailyInterval, Plan, Provider
from processor.core.refusal import bad_external_id, bad_message_id, bad_request, refusal, request
from processor.core.retry import budget_spent, inherited_attempts, longest_backoff_ms, policy_for
from processor.core.verdict import Dispatch, End, Verdict, Wait
from processor.core.windows import next_legal_ms, next_outside
from processor.core.words import PERHAPS_SENT, Reason, Status

RULES_MAX: Final = 1_024  # where every message has a start of its own, rules are of no use, and not to be kept


def judge(head: Head, facts: Facts, plan: Plan, *, now_ms: int, zones: Zones) -> Verdict:
    """
    Return what to do with a message now; called after every wait, and again right before every call.

    Total: any head, however wrong, gets a verdict. `End.field_name` is the field of the schema at fault.
    """
    refused = refusal(head, plan, zones)
    return over(refused, facts) if refused is not None else _verdict(_rule(head, plan, zones), head, facts, now_ms)


class Judge:
    """
    `judge`, for many messages: what follows from their heads alone is worked out once for all that ask alike.

    The messages of a campaign differ in their ids and contents, and in nothing that a verdict looks at.
    """

    def __init__(self, plan: Plan, zones: Zones) -> None:
        """Judge by *plan*."""
        self._plan = plan
        self._zones = zones
        self._rules: dict[tuple[object, ...], _Rule] = {}

    def __call__(self, head: Head, facts: Facts, *, now_ms: int) -> Verdict:
        """Return what `judge` returns."""
        refused = bad_message_id(head)
        if refused is not None:
            return over(refused, facts)
        rule = self._rule_of(head)
        if isinstance(rule, End):
            return over(rule, facts)
        refused = bad_external_id(head)
        return _verdict(rule, head, facts, now_ms) if refused is None else over(refused, facts)

    def until_ms(self, head: Head, facts: Facts, go: Dispatch, *, now_ms: int) -> int | None:
        """Return until when a message may go that may *go* at *now_ms*: its end, or a window's. None: for ever."""
        rule = self._rule_of(head)
        if isinstance(rule, End):
            return now_ms
        end_ms, intervals = effective_end_ms(head, facts, rule.channel), _intervals(rule, head, go.provider)
        if not intervals:  # asked for each call
            return end_ms
        ends_ms = [end_ms, *(next_outside(each, now_ms) for each in intervals)]
        return min((each for each in ends_ms if each is not None), default=None)

    def _rule_of(self, head: Head) -> "_Rule | End":
        asked = request(head)
        rule = self._rules.get(asked)
        if rule is None:
            if len(self._rules) >= RULES_MAX:
                self._rules.clear()
            refused = bad_request(head, self._plan, self._zones)
            if refused is not None:
                return refused  # not kept: what was refused may be as large as a message
            rule = self._rules[asked] = _rule(head, self._plan, self._zones)
        return rule


class _Rule(NamedTuple):
    """What follows from a plan and from what a head asks for, whatever the message's history and the instant."""

    plan: Plan
    zones: Zones
    channel: Channel
    go: Dispatch  # to the provider of the first attempt
    intervals: tuple[DailyInterval, ...]  # there


def _rule(head: Head, plan: Plan, zones: Zones) -> _Rule:
    """Return the rule for what a head asks for that `refusal` let pass."""
    channel = plan.channels[head.channel]
    go = Dispatch(head.provider or channel.provider, lane_of(head.priority, channel, plan.lanes))
    return _Rule(plan, zones, channel, go, intervals_of(head, plan.providers[go.provider], zones))


def _intervals(rule: _Rule, head: Head, provider: str) -> tuple[DailyInterval, ...]:
    if provider == rule.go.provider:
        return rule.intervals
    return intervals_of(head, rule.plan.providers[provider], rule.zones)


def _verdict(rule: _Rule, head: Head, facts: Facts, now_ms: int) -> Verdict:
    """Return the verdict on a message that `refusal` let pass."""
    channel, go = rule.channel, rule.go
    end_ms = effective_end_ms(head, facts, channel)
    if end_ms is not None and now_ms >= end_ms:
        return over(End(Status.EXPIRED, Reason.PAST_END), facts)
    charged = charged_so_far(head, facts)
    if charged and budget_spent(policy_for(head, channel), charged=charged):
        return over(End(Status.FAILED, Reason.RETRIES_EXHAUSTED), facts)

    if facts.tried:
        go = go._replace(provider=provider_of(head, facts, channel))
    earliest_ms = _earliest_ms(head, facts, channel, now_ms)
    intervals = _intervals(rule, head, go.provider)
    legal_ms = next_legal_ms(intervals, not_before_ms=earliest_ms, end_ms=end_ms)
    if legal_ms is None:
        return over(End(Status.EXPIRED, Reason.NO_LEGAL_INSTANT), facts)
    if legal_ms <= now_ms:
        return go
    return Wait(go.provider, go.lane, legal_ms, _why_wait(head, facts, earliest_ms, legal_ms))


def provider_of(head: Head, facts: Facts, channel: Channel) -> str:
    """Return the name of the provider that the next attempt goes to; the last one where failover has used up all."""
    first = head.provider or channel.provider
    if not facts.tried:
        return first
    chain = (first, *channel.failover)
    return next((name for name in chain if name not in facts.tried), chain[-1])


def turn_to(head: Head, facts: Facts, plan: Plan, provider: str) -> str | None:
    """
    Return the provider that a message may turn to when *provider* fails; each is tried once.

    None once an attempt was perhaps sent, whatever became of later ones: that provider may have it, and to another
    one it would be a message it has never seen. None, too, where some recipients have it and the next provider
    would send it to all.
    """
    channel = plan.channels.get(head.channel)
    if channel is None or not channel.failover or facts.last_reason in PERHAPS_SENT:
        return None
    chain = (head.provider or channel.provider, *channel.failover)
    name = next((name for name in chain if name != provider and name not in facts.tried), None)
    found = None if name is None else plan.providers.get(name)
    if found is None or (facts.open_recipients is not None and not found.sends_to_some):
        return None
    return found.name


def effective_end_ms(head: Head, facts: Facts, channel: Channel) -> int | None:
    """Return the instant from which a message may not go: its own end, else its channel's validity after its start."""
    if head.end_at_ms is not None:
        return head.end_at_ms
    if channel.validity_ms is None:
        return None
    start_ms = facts.first_seen_ms if head.start_at_ms is None else head.start_at_ms
    return start_ms + channel.validity_ms


def intervals_of(head: Head, provider: Provider, zones: Zones) -> tuple[DailyInterval, ...]:
    """Return the daily intervals that bind a message that `refusal` let pass: its own and its provider's."""
    if head.interval_min_ms is None or head.interval_max_ms is None:
        return () if provider.interval is None else (provider.interval,)
    # `refusal` has seen that the zone exists; `or` is for the type checker, not an answer to an unknown zone.
    zone = UTC if head.time_zone is None else zones(head.time_zone) or UTC
    own = DailyInterval(head.interval_min_ms, head.interval_max_ms, zone)
    return (own,) if provider.interval is None else (own, provider.interval)


def charged_so_far(head: Head, facts: Facts) -> int:
    """Return the attempts that have spent the retry budget, those in the older system among them."""
    return max(facts.charged, inherited_attempts(head))


def over(end: End, facts: Facts) -> End:
    """Return *end*, or SENT for a message that has reached some of its recipients already."""
    return end if facts.open_recipients is None else replace(end, status=Status.SENT)


def _earliest_ms(head: Head, facts: Facts, channel: Channel, now_ms: int) -> int:
    """Return the first instant that now, start, due time and an inherited attempt's back-off leave."""
    earliest_ms = max(now_ms, facts.due_at_ms)
    if head.start_at_ms is not None and head.start_at_ms > earliest_ms:
        earliest_ms = head.start_at_ms
    inherited = inherited_attempts(head) if head.message_status is not None else 0
    if inherited and head.last_attempt_ms is not None:
        # An attempt cannot have been after we first saw the message: a wrong clock there must not hold it here.
        failed_ms = min(head.last_attempt_ms, facts.first_seen_ms)
        # Judging the same message twice must give the same instant, so there is no jitter.
        earliest_ms = max(earliest_ms, failed_ms + longest_backoff_ms(policy_for(head, channel), charged=inherited))
    return earliest_ms


def _why_wait(head: Head, facts: Facts, earliest_ms: int, legal_ms: int) -> Reason:
    """Return which of the bounds is the one that holds until *legal_ms*."""
    if legal_ms > earliest_ms:
        return Reason.OUTSIDE_WINDOW
    if head.start_at_ms == earliest_ms:
        return Reason.NOT_STARTED
    if facts.attempt or inherited_attempts(head):
        return Reason.BACKING_OFF
    return Reason.OUTSIDE_WINDOW  # an instant that an earlier verdict found, for lack of an open window
