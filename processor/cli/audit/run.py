"""One audit from its configuration to its account."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

from confluent_kafka import Message

from processor.cli.audit.notes import WrongNote, acknowledgements, calls
from processor.cli.audit.reading import SKEW_MS, Bounds, Reading
from processor.cli.audit.recalls import Recalls
from processor.cli.audit.report import Audit
from processor.cli.audit.secrets import Secrets
from processor.cli.audit.store import Store
from processor.cli.common import WRONG_INPUT, codecs_or_fail, connection_or_fail, fail, specs_of
from processor.core.audit.account import Account, Source
from processor.core.audit.facts import Acknowledged, place_of
from processor.core.audit.story import Rules
from processor.core.message import Origin
from processor.kafka.admin import Topics
from processor.kafka.topics import Names
from processor.settings import Settings

LOOKS_MAX: Final = 3
"""What waits is looked for again where something seems lost: it may have moved to where everything had been read."""


@dataclass(frozen=True, slots=True)
class Files:
    """What others have noted, and where secrets are looked for."""

    asked: Path | None = None
    calls: Path | None = None
    secrets: Path | None = None
    output: Sequence[Path] = ()

    def sources(self) -> list[Source]:
        """Return what can be checked with them."""
        given = {Source.ASKED: self.asked, Source.CALLS: self.calls, Source.SECRETS: self.secrets}
        return [source for source, path in given.items() if path is not None]


def audited(settings: Settings, files: Files, rules: Rules, secrets: Secrets, since_ms: int | None) -> Audit:
    """Read everything, and return what came of it; what cannot be checked ends the command."""
    names = settings.topics.names()
    _must_be_readable(files)
    with Store() as store:
        reading, recalls = _opened(settings, store, secrets)
        starts = _event_starts(reading, names, since_ms)
        bounds = reading.inbound(since_ms, noted=files.asked is not None)
        reading.behind()
        ends = reading.events(starts)
        reading.others(names.control, take=recalls.take)
        if files.secrets is not None:
            reading.others(names.receipts, names.orphans, names.parts, take=_nothing)
            reading.look_at_commits()
        older, ahead = _noted(files, bounds, store, since_ms)
        ends = reading.events(ends, later=True)
        asked = reading.inbound_since(bounds, noted=files.asked is not None)
        _note_ahead(ahead, asked, reading, store)
        rules = replace(rules, whole=since_ms is None and not any(bounds.starts.values()), recalls=recalls.spans())
        account = _account(store, rules, files)
        for _ in range(LOOKS_MAX - 1):
            if not account.lines["lost"].broken:
                break
            reading.look_again()
            ends = reading.events(ends, later=True)
            asked = reading.inbound_since(asked, noted=False)
            account = _account(store, rules, files)
    looked_through = _through_files(files, secrets)
    return Audit(
        account, rules, files.sources(), reading.waiting, secrets.line, reading.unreadable, older, looked_through
    )


def _must_be_readable(files: Files) -> None:
    for path in (files.asked, files.calls):
        try:
            if path is not None:
                path.open("rb").close()
        except OSError as error:
            fail(f"{path} cannot be read ({type(error).__name__})", WRONG_INPUT)


def _opened(settings: Settings, store: Store, secrets: Secrets) -> tuple[Reading, Recalls]:
    connection = connection_or_fail(settings, WRONG_INPUT)
    codecs = codecs_or_fail(settings, WRONG_INPUT)
    wanted = [spec.name for spec in specs_of(settings)]
    counts = Topics(connection).partitions(wanted)
    if missing := [topic for topic in wanted if topic not in counts]:
        fail(f"{missing[0]} is missing; look at topics.prefix, or run `commproc topics apply`", WRONG_INPUT)
    names = settings.topics.names()
    return Reading(connection, names, counts, codecs, store, secrets), Recalls(codecs.events)


def _event_starts(reading: Reading, names: Names, since_ms: int | None) -> dict[tuple[str, int], int]:
    topics = (names.delivery, names.retry, names.engagement, names.dead_letter)
    starts = reading.starts(*topics, since_ms=None if since_ms is None else since_ms - SKEW_MS)
    gone = sorted(place for place, start in starts.items() if start)
    if since_ms is None and gone:
        fail(f"{gone[0][0]} no longer holds its first events; write --since, an instant that it reaches", WRONG_INPUT)
    return starts


def _noted(
    files: Files, bounds: Bounds, store: Store, since_ms: int | None
) -> tuple[int, list[tuple[Origin, Acknowledged]]]:
    """
    Take in what others noted of what was read.

    Returns how many acknowledged records are older than that, and those that are younger.
    """
    older, ahead = 0, []
    try:
        for origin, note in acknowledgements(files.asked) if files.asked else ():
            place = origin[:2]
            if origin.offset < bounds.starts.get(place, 0):
                older += 1
            elif origin.offset >= bounds.ends.get(place, 0):
                ahead.append((origin, note))
            else:
                store.add(place_of(*origin), note)
        for about, call in calls(files.calls) if files.calls else ():
            if since_ms is None or call.first_byte_ms >= since_ms - SKEW_MS:  # as of the events
                store.add(about, call)
    except WrongNote as wrong:
        fail(str(wrong), WRONG_INPUT)
    return older, ahead


def _note_ahead(ahead: Sequence[tuple[Origin, Acknowledged]], read: Bounds, reading: Reading, store: Store) -> None:
    """Take in acknowledged records that were younger, but for those behind an open transaction: nobody reads these."""
    tops = reading.tops(read.ends) if ahead else {}
    for origin, note in ahead:
        place = origin[:2]
        if not read.ends.get(place, 0) <= origin.offset < tops.get(place, 0):
            store.add(place_of(*origin), note)


def _account(store: Store, rules: Rules, files: Files) -> Account:
    account = Account(rules, files.sources())
    for story in store.stories():
        account.add(story)
    return account


def _through_files(files: Files, secrets: Secrets) -> int:
    try:
        return secrets.look_in_files(files.output)
    except OSError as error:
        fail(f"{error.filename} cannot be read ({type(error).__name__})", WRONG_INPUT)


def _nothing(_: Message) -> None:
    pass
