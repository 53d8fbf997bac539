"""What was promised of results and events: each record one, no event twice, nothing that nobody asked for."""

from collections import Counter
from collections.abc import Iterator, Sequence

from processor.core.audit.finding import Finding, repeated
from processor.core.audit.story import Rules, Story
from processor.core.words import DEAD_LETTERED, Reason, Status


def lost(story: Story, rules: Rules) -> Iterator[Finding]:
    """Yield records without a result that do not wait either."""
    nameless = sum(not letter.named for letter in story.letters)
    missing = len(story.records) - len(story.results) - nameless - story.left
    for copies in list(story.records)[: max(0, missing)]:
        yield Finding(f"{story.about} from {copies[-1].topic}/{copies[-1].partition}@{copies[-1].offset}")


def still_waiting(story: Story, rules: Rules) -> Iterator[Finding]:
    """Yield records that wait, in a run that has drained."""
    if rules.drained:
        yield from [Finding(story.about)] * story.left


def ended_twice(story: Story, rules: Rules) -> Iterator[Finding]:
    """
    Yield results beyond one for each message, and beyond one for each record.

    A message that was REJECTED may be mended and asked for again under its id. Of other records with one id, all but
    the first are DUPLICATE, or REJECTED for other content, unless they come later than ids are remembered.
    """
    nameless = sum(not letter.named for letter in story.letters)
    ends = [each for each in story.message_results if each.status != Status.REJECTED]
    beyond = len(ends) - story.lives(rules.horizon_ms)
    if rules.whole and story.records:
        beyond = max(beyond, len(story.results) + nameless - len(story.records))
    told = ", ".join(sorted(each.status for each in story.results))
    yield from [Finding(f"{story.about}: {told}")] * max(0, beyond)


def event_twice(story: Story, rules: Rules) -> Iterator[Finding]:
    """
    Yield events whose id another event has.

    An act whose event Kafka acknowledged too late may be published again as what it is (docs/tracking-stage.md).
    """
    for events in (story.results, story.retries, story.letters):
        yield from repeated([f"{story.about}: {each.event_id}" for each in events])
    at: dict[str, int] = {}
    for report in sorted(story.reports, key=lambda each: each.at_ms):
        if report.event_id in at and report.at_ms - at[report.event_id] <= rules.patience_ms:
            yield Finding(f"{story.about}: {report.event_id}")
        at[report.event_id] = report.at_ms


def attempt_twice(story: Story, rules: Rules) -> Iterator[Finding]:
    """Yield results of attempts that have one already; what ends a message without a call names no provider."""
    attempts = [each.attempt for each in story.results if each.provider] + [each.attempt for each in story.retries]
    yield from _beyond(attempts, story, rules)


def phantom_result(story: Story, rules: Rules) -> Iterator[Finding]:
    """Yield events of a message that nobody asked for."""
    if rules.whole and not story.asked:
        named = [letter for letter in story.letters if letter.named]
        yield from [Finding(story.about)] * (len(story.results) + len(story.retries) + len(named))


def unburied(story: Story, rules: Rules) -> Iterator[Finding]:
    """Yield messages that were refused or given up without their dead letter, and letters without such a message."""
    if any(each.later for each in story.results) or any(each.later for each in story.letters):
        return  # of two topics that grow, neither is read to the same instant
    results = sum(each.status in DEAD_LETTERED for each in story.message_results)
    letters = sum(letter.named and letter.reason != Reason.OTHER_CONTENT for letter in story.letters)
    if results != letters:
        yield Finding(f"{story.about}: {results} refused or failed, {letters} dead letters")


def unwritten(story: Story, rules: Rules) -> Iterator[Finding]:
    """Yield records that Kafka acknowledged and that are not on their topic, or as another message."""
    found = [each.message_id for each in story.lies]
    for each in story.acknowledged:
        if each.message_id not in found and not (each.message_id is None and found):
            yield Finding(story.about)


def _beyond(attempts: Sequence[int], story: Story, rules: Rules) -> Iterator[Finding]:
    allowed = story.lives(rules.horizon_ms)
    if len(attempts) <= allowed:
        return
    for attempt, count in Counter(attempts).items():
        yield from [Finding(f"{story.about}: attempt {attempt}")] * max(0, count - allowed)
