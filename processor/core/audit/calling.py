"""What was promised of provider calls: how many there are, and when."""

from collections import Counter
from collections.abc import Iterator, Sequence
from typing import Final

from processor.core.audit.facts import Asked, Call
from processor.core.audit.finding import Finding
from processor.core.audit.hours import allows
from processor.core.audit.story import SEVERAL, Rules, Story
from processor.core.plan import Plan
from processor.core.words import InDoubt, Purpose, Status

RECALL_BINDS_MS: Final = 1_000
"""What is submitted within a second of a recall was too late for it."""


def called_twice(story: Story, rules: Rules) -> Iterator[Finding]:
    """Yield calls beyond one for each attempt; one more is allowed where the attempt was reported in doubt."""
    if len(story.calls) < SEVERAL:
        return
    counts = Counter(call.attempt for call in story.calls if call.attempt is not None)
    for attempt, count in counts.items():
        for number in range(count - story.lives(rules)):
            yield Finding(f"{story.about}: attempt {attempt}", allowed=attempt in story.doubts and number == 0)


def accepted_twice(story: Story, rules: Rules) -> Iterator[Finding]:
    """
    Yield acceptances beyond one for a recipient, of the recipient who had most of them that no doubt covers.

    One is covered where the attempt before it that was accepted, too, was reported in doubt.
    """
    if story.acceptances < SEVERAL:
        return
    worst = max(
        (_again(each, story) for each in story.accepted.values()),
        key=lambda covered: (covered.count(False), len(covered)),
    )
    more = story.lives(rules) - 1  # each of which has a first acceptance of its own
    for allowed in sorted(worst)[more:]:
        yield Finding(f"{story.about}: accepted {story.acceptances} times", allowed=allowed)


def password_twice(story: Story, rules: Rules) -> Iterator[Finding]:
    """
    Yield calls of what must never be sent twice after a call that was, or was perhaps, accepted.

    That is a one-time password, and whatever a channel reports that is in doubt.
    """
    if len(story.calls) < SEVERAL or not any(_once(each, rules.plan) for each in story.asked):
        return
    again, attempts, taken, doubtful = list[Finding](), set[int](), set[int](), False
    for call in story.received:
        if doubtful or call.attempt in attempts or not taken.isdisjoint(call.recipients):
            again.append(Finding(f"{story.about}: attempt {call.attempt}"))
        if call.attempt is not None:
            attempts.add(call.attempt)
            doubtful = doubtful or call.attempt in story.doubts
        if call.accepted:
            taken.update(call.recipients)
    yield from again[story.lives(rules) - 1 :]


def early(story: Story, rules: Rules) -> Iterator[Finding]:
    """Yield calls before their message's start, or before the instant that the attempt before them told."""
    told = {each.attempt + 1: each.next_attempt_at_ms for each in story.retries}
    for call in story.calls:
        at_ms = call.first_byte_ms + rules.skew_ms
        starts = [each.start_at_ms or 0 for each in story.asked if each.channel]
        due_ms = max(min(starts, default=0), told.get(call.attempt or 0, 0))
        if at_ms < due_ms:
            yield Finding(f"{story.about}: attempt {call.attempt} by {due_ms - call.first_byte_ms} ms")


def late(story: Story, rules: Rules) -> Iterator[Finding]:
    """
    Yield calls from their message's end on.

    That of a message without an end and without a start follows from when it was first seen, which no ledger tells.
    """
    ends = [_end_ms(each, rules.plan) for each in story.asked if each.channel]
    known = [each for each in ends if each is not None]
    if not known or len(known) < len(ends):
        return
    for call in story.calls:
        if call.first_byte_ms - rules.latency_ms - rules.skew_ms >= max(known):
            yield Finding(f"{story.about}: attempt {call.attempt} by {call.first_byte_ms - max(known)} ms")


def outside(story: Story, rules: Rules) -> Iterator[Finding]:
    """Yield calls outside their message's or their provider's daily interval."""
    asked = [each for each in story.asked if each.channel]
    for call in story.calls if asked else ():
        if not any(_may_go(call, each, story, rules) for each in asked):
            yield Finding(f"{story.about}: attempt {call.attempt}")


def recalled(story: Story, rules: Rules) -> Iterator[Finding]:
    """Yield calls later than a recall of their message, campaign or channel binds."""
    if not rules.recalls:
        return
    spans = [span for each in story.asked[:1] for key in _names(story, each) for span in rules.recalls.get(key, ())]
    for call in story.calls:
        at_ms = call.first_byte_ms - rules.latency_ms - rules.skew_ms
        since = [from_ms for from_ms, until_ms in spans if from_ms + RECALL_BINDS_MS < at_ms < until_ms]
        if since:
            yield Finding(f"{story.about}: attempt {call.attempt}, {call.first_byte_ms - min(since)} ms after it")


def unfounded(story: Story, rules: Rules) -> Iterator[Finding]:
    """Yield messages that are SENT and that no provider accepted; others may have had theirs in an attempt before."""
    accepted = {call.attempt for call in story.calls if call.accepted}
    for each in story.results:
        if each.status == Status.SENT and not each.later and each.attempt not in accepted and None not in accepted:
            if each.partial and any(attempt < each.attempt for attempt in accepted if attempt is not None):
                continue
            yield Finding(f"{story.about}: attempt {each.attempt}")


def untold(story: Story, rules: Rules) -> Iterator[Finding]:
    """Yield attempts that were called and of which no event tells, of messages that are over."""
    if not (rules.whole and story.over):
        return
    told = {each.attempt for each in story.retries} | {each.attempt for each in story.results if each.provider}
    for attempt in sorted({call.attempt for call in story.calls if call.attempt is not None} - told):
        yield Finding(f"{story.about}: attempt {attempt}")


def phantom_call(story: Story, rules: Rules) -> Iterator[Finding]:
    """Yield calls for a message that nobody asked for."""
    if rules.whole and not story.asked:
        yield from [Finding(story.about)] * len(story.calls)


def sent_unsaid(story: Story, rules: Rules) -> Iterator[Finding]:
    """Yield messages that were accepted and ended as not sent; one that is in doubt may."""
    ends = story.message_results
    unsent = [each for each in ends if each.status not in {Status.SENT, Status.UNKNOWN}]
    if unsent and len(unsent) == len(ends) and not story.doubts and story.acceptances:
        yield Finding(f"{story.about}: {unsent[0].status}")


def _again(accepted: Sequence[Call], story: Story) -> list[bool]:
    """Tell of each acceptance but the last whether a doubt covers it: each doubt covers one, of its own attempt."""
    attempts = [call.attempt for call in accepted if call.attempt is not None]
    if len(attempts) < len(accepted):  # the provider is not told: any doubt may be meant
        return [number < len(story.doubts) for number in range(len(accepted) - 1)]
    left, covered = set(story.doubts), []
    for attempt in sorted(attempts)[:-1]:
        covered.append(attempt in left)
        left.discard(attempt)
    return covered


def _once(asked: Asked, plan: Plan) -> bool:
    channel = plan.channels.get(asked.channel or "")
    if channel is None:
        return asked.purpose == Purpose.OTP
    return Purpose.OTP in {asked.purpose, channel.form.purpose} or channel.in_doubt is InDoubt.REPORT


def _end_ms(asked: Asked, plan: Plan) -> int | None:
    channel = plan.channels.get(asked.channel or "")
    if asked.end_at_ms is not None or channel is None or channel.validity_ms is None or asked.start_at_ms is None:
        return asked.end_at_ms
    return asked.start_at_ms + channel.validity_ms


def _may_go(call: Call, asked: Asked, story: Story, rules: Rules) -> bool:
    """Tell whether both intervals allow an instant at which the call may have been judged."""
    from_ms = call.first_byte_ms - rules.latency_ms - rules.skew_ms
    within_ms = rules.latency_ms + 2 * rules.skew_ms
    if asked.interval_min_ms is not None and asked.interval_max_ms is not None:
        zone = rules.zones(asked.time_zone or "UTC")
        if zone is None or not allows(asked.interval_min_ms, asked.interval_max_ms, zone, from_ms, within_ms=within_ms):
            return False
    provider = rules.plan.providers.get(story.provider_of(call.attempt, rules.plan) or "")
    daily = None if provider is None else provider.interval
    return daily is None or allows(daily.start_ms, daily.end_ms, daily.zone, from_ms, within_ms=within_ms)


def _names(story: Story, asked: Asked) -> Sequence[tuple[str, str]]:
    named = (("message", story.about), ("campaign", asked.campaign_id), ("channel", asked.channel))
    return [(scope, about) for scope, about in named if about is not None]
