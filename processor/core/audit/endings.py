"""What was promised of results and events: each record one, no event twice, nothing that nobody asked for."""

from collections import Counter
from collections.abc import Iterator, Sequence

from processor.core.audit.finding import Finding, repeated
from processor.core.audit.story import SEVERAL, Rules, Story
from processor.core.words import DEAD_LETTERED, Reason, Status


def lost(story: Story, rules: Rules) -> Iterator[Finding]:
    """Yield records without a result that do not wait either."""
    nameless = sum(not letter.named for letter in story.letters)
    missing = len(story.records) - len(story.results) - nameless - story.left
    for copies in list(story.records)[: max(0, missing)]:
        yield Finding(f"{story.about} from {copies[-1].topic}/{copies[-1].partition}@{copies[-1].offset}")


def repeats_nothing(story: Story, rules: Rules) -> Iterator[Finding]:
    """Yield messages of which every record ended as the repetition of another one."""
    if rules.whole and story.over and not story.message_results:
        yield Finding(f"{story.about}: {len(story.results)} repetitions")


def misjudged(story: Story, rules: Rules) -> Iterator[Finding]:
    """
    Yield messages whose repetitions were not told apart by their content.

    Which record came first is not known where they lie in several partitions: each may have. What was REJECTED before
    a provider was called is not remembered, and what comes after it repeats nothing.
    """
    if len(story.results) < SEVERAL or not (rules.whole and story.over) or story.lives(rules) > 1:
        return
    if any(each.status == Status.REJECTED for each in story.message_results):
        return
    contents = Counter(copies[0].digest for copies in story.records)
    others = sum(each.reason == Reason.OTHER_CONTENT for each in story.results)
    if others not in {contents.total() - alike for alike in contents.values()}:
        told = f"{len(contents)} contents in {contents.total()} records, {others} told as other content"
        yield Finding(f"{story.about}: {told}")


def still_waiting(story: Story, rules: Rules) -> Iterator[Finding]:
    """Yield records that wait, in a run that has drained."""
    if rules.drained:
        yield from [Finding(story.about)] * (story.left + story.left_of_gone)


def ended_twice(story: Story, rules: Rules) -> Iterator[Finding]:
    """
    Yield results beyond one for each message, and beyond one for each record.

    A message that was REJECTED may be mended and asked for again under its id. Of other records with one id, all but
    the first are DUPLICATE, or REJECTED for other content, unless they come later than ids are remembered.
    """
    nameless = sum(not letter.named for letter in story.letters)
    beyond = len(story.ends) - story.lives(rules)
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
    if story.grows:
        return
    others = sum(each.reason == Reason.OTHER_CONTENT for each in story.results)
    other_letters = sum(letter.reason == Reason.OTHER_CONTENT for letter in story.letters)
    results = sum(each.status in DEAD_LETTERED for each in story.message_results)
    letters = sum(letter.named for letter in story.letters) - other_letters
    if results != letters:
        yield Finding(f"{story.about}: {results} refused or failed, {letters} dead letters")
    if others != other_letters:
        yield Finding(f"{story.about}: {others} of other content, {other_letters} dead letters")


def unwritten(story: Story, rules: Rules) -> Iterator[Finding]:
    """Yield records that Kafka acknowledged and that are not on their topic, or as another message."""
    found = [each.message_id for each in story.lies]
    for each in story.acknowledged:
        if each.message_id not in found and not (each.message_id is None and found):
            yield Finding(story.about)


def _beyond(attempts: Sequence[int], story: Story, rules: Rules) -> Iterator[Finding]:
    allowed = story.lives(rules)
    if len(attempts) <= allowed:
        return
    for attempt, count in Counter(attempts).items():
        yield from [Finding(f"{story.about}: attempt {attempt}")] * max(0, count - allowed)
