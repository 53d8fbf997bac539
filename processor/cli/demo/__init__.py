"""`commproc demo`: everything on this machine, 500 messages through it, and a sum that has to come out."""

import signal
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from time import monotonic
from typing import Annotated, Final

import typer

from processor.cli.common import FAILED, fail
from processor.cli.demo.account import Account, latencies_ms
from processor.cli.demo.feed import Feed
from processor.cli.demo.held import held
from processor.cli.demo.mix import WAITING, mix
from processor.cli.demo.screen import Screen, Snapshot, snapshot_statuses
from processor.cli.demo.stack import Stack
from processor.cli.demo.summary import print_account
from processor.cli.demo.watch import Watch
from processor.codec.assembly import open_codecs
from processor.sandbox.service import NotAvailable

__all__ = ["EXAMPLES", "demo"]

EXAMPLES: Final = """Examples:

  commproc demo

  commproc demo --keep
"""
DONE_WITHIN_S: Final = 60.0
_POLL_S: Final = 0.1


def demo(
    keep: Annotated[
        bool, typer.Option("--keep", help="Leave broker, sandbox and stages running until Ctrl-C; says where they are.")
    ] = False,
) -> None:
    """
    Send 500 messages through a whole processor on this machine, and add up what became of them.

    Starts Kafka (or takes the one in KAFKA_BOOTSTRAP), a mail server and an HTTP service in the providers' place, and
    each stage as a process. The exit code is 0 if every message is accounted for, exactly once, and 1 if not.
    """
    screen = Screen()
    try:
        with _ending_in_order(), Stack(screen.say) as stack:
            adds_up = _run(stack, screen, keep=keep)
            stack.keep_folder = not adds_up
            _tell_where(stack, screen, keep=keep, adds_up=adds_up)
            if keep:
                _until_interrupted()
    except NotAvailable as reason:
        fail(str(reason))
    raise typer.Exit(0 if adds_up else FAILED)


def _run(stack: Stack, screen: Screen, *, keep: bool) -> bool:
    """Send the mix, watch it, add it up; tells whether it does."""
    codecs, connection, asks = open_codecs(), stack.settings.kafka.connection(), mix()
    with Watch(connection, stack.names, codecs.events, stack.ledger) as watch:
        with Feed(connection, stack.names, codecs.outbound, asks) as feed, screen:
            _watch(feed, watch, screen, len(asks))
        exit_codes = {} if keep else stack.stop()
        watch.drain()
        left = held(connection, stack.names, stack.settings.plan())
        account = Account(len(asks), feed.acknowledged, watch.evidence(), left, exit_codes)
    print_account(screen.console, account, {name: p.adapter for name, p in stack.settings.providers.items()})
    return not account.problems()


def _watch(feed: Feed, watch: Watch, screen: Screen, asked: int) -> None:
    """Return when every message has ended or waits for tomorrow, or when too much time has gone by."""
    began_s = monotonic()
    while not (complete := feed.done and _settled(feed, watch)) and monotonic() - began_s < DONE_WITHIN_S:
        watch.poll(_POLL_S)
        screen.show(_snapshot(feed, watch, asked, monotonic() - began_s))
    screen.show(_snapshot(feed, watch, asked, monotonic() - began_s), last=True)
    if not complete:
        screen.say("late", f"not everything had ended after {DONE_WITHIN_S:.0f} s")


def _settled(feed: Feed, watch: Watch) -> bool:
    ended = {event.message_id for event in watch.results if event.terminal}
    unreadable = {letter.origin for letter in watch.letters if letter.message_id is None}
    return all(
        message_id in ended
        or each.origin in unreadable
        or (each.ask.case.ending == WAITING and message_id in watch.delayed)
        for message_id, each in feed.acknowledged.copy().items()
    )


def _snapshot(feed: Feed, watch: Watch, asked: int, seconds: float) -> Snapshot:
    acknowledged = feed.acknowledged.copy()  # the feed's thread adds to it
    return Snapshot(
        seconds,
        asked,
        len(acknowledged),
        snapshot_statuses(Counter(event.status for event in watch.results if event.terminal)),
        sum(letter.message_id is None for letter in watch.letters),
        watch.waiting_by_tier(),
        len(watch.entries),
        latencies_ms(acknowledged, watch.entries),
    )


def _tell_where(stack: Stack, screen: Screen, *, keep: bool, adds_up: bool) -> None:
    if keep:
        for stage in ("intake", "delay", "dispatch"):
            screen.say(stage, f"{stack.metrics_url(stage)}  log {stack.log(stage)}")
        screen.say("ledger", str(stack.ledger))
        screen.say("try", f"export COMMPROC_CONFIG={stack.config}")
        screen.say("", ".venv/bin/commproc tail")
        screen.say("", ".venv/bin/commproc show twice-001")
        screen.say("", "Ctrl-C ends everything.")
        return
    if not adds_up:
        screen.say("look into", f"{stack.folder} (configuration, ledger, a log of each process)")
    screen.say("next", "`make demo KEEP=1` leaves it running: metrics, `commproc tail`, `commproc show twice-001`")
    screen.say("", "docs/architecture.md, docs/configuration.md, docs/events.md")


@contextmanager
def _ending_in_order() -> Iterator[None]:
    """Let SIGTERM end us as Ctrl-C does: with everything that we started."""

    def interrupted(*_: object) -> None:
        raise KeyboardInterrupt

    before = signal.signal(signal.SIGTERM, interrupted)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


def _until_interrupted() -> None:
    try:
        signal.pause()
    except KeyboardInterrupt:
        print()
