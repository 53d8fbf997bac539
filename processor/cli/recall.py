"""`commproc recall`: stop what has not been submitted yet, and say how much of it was too late."""

import sys
from collections import Counter
from collections.abc import Iterable
from time import monotonic
from typing import Annotated, Final

import orjson
import typer

from processor.cli.common import (
    WRONG_INPUT,
    ConfigFile,
    codecs_or_fail,
    connection_or_fail,
    fail,
    settings_of,
)
from processor.cli.control import CAUSE, put_controls, until_or_fail
from processor.cli.events import Event
from processor.cli.output import plain
from processor.cli.scan import BEGINNING, Scan, starts_at
from processor.cli.tail import decoded
from processor.codec.events import EventCodec
from processor.core.control import RECALL
from processor.core.events import Control, DeliveryEvent
from processor.core.refusal import MESSAGE_ID, too_long
from processor.core.words import Reason, Status
from processor.kafka.admin import Topics
from processor.settings import Settings
from processor.stages.clock import SystemClock

EXAMPLES: Final = """Examples:

  commproc recall --campaign spring-2026

  commproc recall --channel SMS --until +2h

  commproc recall --message order-4711 --json

  commproc recall --campaign spring-2026 --undo
"""
QUIET_S: Final = 1.5
"""Numbers that have not changed for this long have settled: a recall binds within a second."""
_LOOK_S: Final = 0.25


def recall(
    campaign: Annotated[str | None, typer.Option(metavar="ID", help="Stop the messages of a campaign.")] = None,
    message: Annotated[str | None, typer.Option(metavar="ID", help="Stop one message.")] = None,
    channel: Annotated[str | None, typer.Option(metavar="CODE", help="Stop all messages of a channel.")] = None,
    until: Annotated[
        str | None, typer.Option(metavar="WHEN", help="Until then (ISO 8601 or +2h); else until it is undone.")
    ] = None,
    undo: Annotated[bool, typer.Option("--undo", help="Take a recall back.")] = False,
    within: Annotated[
        float, typer.Option(min=0, metavar="SECONDS", help="How long to wait for the numbers to settle.")
    ] = 5.0,
    as_object: Annotated[bool, typer.Option("--json", help="One JSON object.")] = False,
    config: ConfigFile = None,
) -> None:
    """
    Recall a campaign, a message or a channel: what is not submitted within a second ends CANCELLED.

    Prints, from the events, how many messages were stopped and how many were too late. A message that still waits for
    its time is stopped, and counted, when its time comes: recall again then, and see the numbers.
    """
    settings = settings_of(config)
    control = _control(settings, campaign, message, channel, until)
    put_controls(settings, [control], undo=undo)
    about = f"{control.scope} {plain(campaign or message or channel)}"
    if undo:
        print(f"{about}: the recall is taken back. What it has stopped stays CANCELLED.")
        return
    print(f"{about}: recalled. Nothing of it is submitted from a second from now on.", file=sys.stderr)
    tally = _settled(settings, control, within_s=within)
    if as_object:
        print(orjson.dumps({"scope": control.scope, **tally.as_json()}).decode())
    else:
        print(tally)
        print("What still waits is stopped when its time comes, and counted then.", file=sys.stderr)


class Tally:
    """What has become of the messages that a recall is about."""

    def __init__(self, about: Control) -> None:
        """Count none."""
        self._about = about
        self.counts: Counter[Status] = Counter()
        self.whole = False  # every event that there is was counted

    def add(self, events: Iterable[Event]) -> bool:
        """Count the results among *events*; tell whether there were any."""
        before = self.counts.total()
        self.counts.update(each.status for each in events if isinstance(each, DeliveryEvent) and self._counts(each))
        return self.counts.total() > before

    def as_json(self) -> dict[str, object]:
        """Return the numbers."""
        return {
            "stopped": self.stopped,
            "too_late": self.too_late,
            "perhaps_sent": self.counts[Status.UNKNOWN],
            "ended_otherwise": self.counts.total() - self.stopped - self.too_late,
            "complete": self.whole,
        }

    @property
    def stopped(self) -> int:
        """Return how many were CANCELLED."""
        return self.counts[Status.CANCELLED]

    @property
    def too_late(self) -> int:
        """Return how many were sent, or perhaps sent."""
        return self.counts[Status.SENT] + self.counts[Status.UNKNOWN]

    def __str__(self) -> str:
        """Return the numbers as a line."""
        found = self.as_json()
        perhaps = f" (perhaps sent: {found['perhaps_sent']})" if found["perhaps_sent"] else ""
        less = "" if self.whole else "; not all events were read, take these as the least"
        return f"stopped {self.stopped}, too late {self.too_late}{perhaps}, otherwise {found['ended_otherwise']}{less}"

    def _counts(self, event: DeliveryEvent) -> bool:
        about = self._about
        if not event.terminal or (event.status is Status.CANCELLED and event.reason is not Reason.RECALLED):
            return False
        match about.scope:
            case "message":
                return event.message_id == about.message_id
            case "campaign":
                return event.campaign_id == about.campaign_id
            case _:
                return event.channel == about.channel


def _control(
    settings: Settings, campaign: str | None, message: str | None, channel: str | None, until: str | None
) -> Control:
    named = {"campaign": campaign, "message": message, "channel": channel}
    given = [scope for scope, about in named.items() if about is not None]
    if len(given) != 1:
        fail("Write one of --campaign, --message and --channel.", WRONG_INPUT)
    if message is not None and MESSAGE_ID.fullmatch(message) is None:
        fail("--message: write 1 to 64 of A-Z a-z 0-9 . _ : -", WRONG_INPUT)
    if campaign is not None and (not campaign or too_long(campaign)):
        fail("--campaign: write 1 to 1,024 characters", WRONG_INPUT)
    if channel is not None and channel not in settings.channels:
        fail(f"--channel: write one of {', '.join(settings.channels)}", WRONG_INPUT)
    now_ms = SystemClock().now_ms()
    until_ms = until_or_fail(until, now_ms)
    return Control(RECALL, given[0], None, message, campaign, channel, until_ms, now_ms, CAUSE)


def _settled(settings: Settings, control: Control, *, within_s: float) -> Tally:
    """Return the numbers once they have not changed for a while, or time is up after everything there is was read."""
    codec, connection = codecs_or_fail(settings).events, connection_or_fail(settings)
    counts = Topics(connection).partitions([settings.topics.names().delivery])
    tally = Tally(control)
    with Scan(connection, starts_at(counts, BEGINNING), follow=True) as scan:
        try:
            _follow(scan, codec, tally, within_s)
        except KeyboardInterrupt:
            tally.whole = scan.whole
    return tally


def _follow(scan: Scan, codec: EventCodec, tally: Tally, within_s: float) -> None:
    began_s = changed_s = monotonic()
    told_s = 0.0
    while True:
        changed = tally.add(decoded(codec, scan.records(within_s=_LOOK_S)))
        now_s = monotonic()
        if not tally.whole:
            tally.whole = scan.whole
            began_s = changed_s = now_s
        elif changed:
            changed_s = now_s
        if changed and now_s - told_s > 1:
            told_s = now_s
            print(tally if tally.whole else f"{tally.counts.total()} counted …", file=sys.stderr)
        if tally.whole and (now_s - changed_s >= QUIET_S or now_s - began_s >= within_s):
            return
