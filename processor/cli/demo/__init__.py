"""`commproc demo`: everything on this machine, 500 messages through it, and a sum that has to come out."""

import signal
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from time import monotonic
from typing import Annotated, Final

import typer
from confluent_kafka import KafkaException

from processor.cli.common import FAILED, fail
from processor.cli.demo.account import Account, latencies_ms
from processor.cli.demo.feed import Feed
from processor.cli.demo.held import held
from processor.cli.demo.mix import CASES, MISTAKE, WAITING, mix, newsletters
from processor.cli.demo.readers import Readers
from processor.cli.demo.screen import Screen, Snapshot, snapshot_statuses
from processor.cli.demo.stack import Stack
from processor.cli.demo.summary import print_account, told
from processor.cli.demo.watch import Watch
from processor.codec.assembly import open_codecs
from processor.sandbox.service import NotAvailable
from processor.stages.assembly import STAGES

__all__ = ["EXAMPLES", "demo"]

EXAMPLES: Final = """Examples:

  commproc demo

  commproc demo --keep
"""
DONE_WITHIN_S: Final = 60.0
_POLL_S: Final = 0.25


def demo(
    keep: Annotated[
        bool, typer.Option("--keep", help="Leave broker, sandbox and stages running until Ctrl-C; says where they are.")
    ] = False,
) -> None:
    """
    Send 500 messages through a whole processor on this machine, and add up what became of them.

    Starts Kafka (or takes the one in KAFKA_BOOTSTRAP), servers in the providers' place, readers of the newsletters, and
    each stage as a process. The exit code is 0 if every message is accounted for, exactly once, and 1 if not.
    """
    screen = Screen()
    try:
        with _ending_in_order() as ending, Stack(screen.say) as stack:
            with ending.heard():
                adds_up = _run(stack, screen, ending, keep=keep)
            if keep:
                _tell_where(stack, screen)
                _until_interrupted()
                adds_up = _stopped_cleanly(stack, screen) and adds_up
            stack.keep_folder = not adds_up
    except NotAvailable as reason:
        fail(str(reason))
    except (KafkaException, TimeoutError) as error:
        fail(f"Kafka did not answer as it should ({type(error).__name__}); its log is in the folder named above.")
    if not keep:
        screen.say("next", "`make demo KEEP=1` leaves it running: metrics, `commproc tail`, `commproc show twice-001`")
        screen.say("", "docs/architecture.md, docs/configuration.md, docs/events.md")
    raise typer.Exit(0 if adds_up else FAILED)


def _run(stack: Stack, screen: Screen, ending: "_Ending", *, keep: bool) -> bool:
    """Send the mix, watch it, add it up; tells whether it does."""
    codecs, connection, asks = open_codecs(), stack.settings.kafka.connection(), mix()
    readers = Readers(stack.mailbox, stack.settings.tracking.base_url or "")
    with Watch(connection, stack.names, codecs.events, stack.ledger) as watch:
        with Feed(connection, stack.names, codecs.outbound, asks) as feed, readers, screen:
            _watch(stack, feed, watch, readers, screen, ending)
        exit_codes = {} if keep else stack.stop()
        watch.drain()
        left = held(connection, stack.names, stack.settings.plan())
        account = Account(len(asks), feed.acknowledged, watch.evidence(), left, exit_codes, tuple(readers.acts))
    print_account(screen.console, account, {name: p.adapter for name, p in stack.settings.providers.items()})
    return not account.problems()


def _watch(stack: Stack, feed: Feed, watch: Watch, readers: Readers, screen: Screen, ending: "_Ending") -> None:
    """Return when all has ended or waits for tomorrow and all newsletters are read, or when that will not be."""
    began_s, recalled = monotonic(), False
    while not (settled := feed.done and _settled(feed, watch) and _read(readers, watch)):
        watch.poll(_POLL_S)
        ending.raise_if_asked()
        screen.show(_snapshot(feed, watch, monotonic() - began_s))
        if not recalled and _asked_by_mistake(feed):
            recalled = True
            stack.recall(MISTAKE)
        if stack.ended() or monotonic() - began_s > DONE_WITHIN_S:
            break
    screen.show(_snapshot(feed, watch, monotonic() - began_s), last=True)
    if not settled:
        gone = ", ".join(stack.ended()) or "nothing"
        screen.say("given up", f"not every message had ended; processes that had ended by themselves: {gone}")


def _asked_by_mistake(feed: Feed) -> bool:
    """Tell whether the whole campaign was asked for that is to be recalled: a moment later it may be due."""
    asked = sum(each.ask.case.campaign == MISTAKE for each in feed.acknowledged.copy().values())
    return asked == sum(case.count for case in CASES if case.campaign == MISTAKE)


def _settled(feed: Feed, watch: Watch) -> bool:
    ended = {event.message_id for event in watch.results if event.terminal}
    unreadable = {letter.origin for letter in watch.letters if letter.message_id is None}
    return all(
        message_id in ended
        or each.origin in unreadable
        or (each.ask.case.ending == WAITING and message_id in watch.delayed)
        for message_id, each in feed.acknowledged.copy().items()
    )


def _read(readers: Readers, watch: Watch) -> bool:
    """Tell whether every newsletter was read, and the events tell all of it."""
    return readers.count >= newsletters() and len(watch.engagement) >= sum(act.confirmed for act in readers.acts)


def _snapshot(feed: Feed, watch: Watch, seconds: float) -> Snapshot:
    acknowledged = feed.acknowledged.copy()  # the feed's thread adds to it
    return Snapshot(
        seconds,
        feed.asked,
        len(acknowledged),
        snapshot_statuses(Counter(event.status for event in watch.results if event.terminal)),
        sum(letter.message_id is None for letter in watch.letters),
        watch.waiting_by_tier(),
        len(watch.entries),
        latencies_ms(acknowledged, watch.entries),
        Counter(event.type for event in watch.engagement.values()),
    )


def _tell_where(stack: Stack, screen: Screen) -> None:
    for stage in STAGES:
        screen.say(stage, f"{stack.metrics_url(stage)}  log {stack.log(stage)}")
    screen.say("ledger", str(stack.ledger))
    screen.say("try", f"export COMMPROC_CONFIG={stack.config}")
    screen.say("", ".venv/bin/commproc tail")
    screen.say("", ".venv/bin/commproc show twice-001")
    screen.say("", ".venv/bin/commproc send --channel SMS --to +15550100111 --text Hello")
    screen.say("", "Ctrl-C ends everything.")


def _stopped_cleanly(stack: Stack, screen: Screen) -> bool:
    exit_codes = stack.stop()
    screen.say("exit codes", told(exit_codes))
    return not any(exit_codes.values())


class _Ending:
    """
    Whether somebody has asked us to end.

    The exception that says so may come to nothing: raised while confluent-kafka (2.16.0) makes objects of an answer, it
    is lost there, or comes out as a SystemError a moment later.
    """

    def __init__(self) -> None:
        self._asked = False

    def ask(self, *_: object) -> None:
        """Note it, and raise it at once; a signal handler."""
        self._asked = True
        raise KeyboardInterrupt

    def raise_if_asked(self) -> None:
        """Raise it again, where it came to nothing."""
        if self._asked:
            raise KeyboardInterrupt

    @contextmanager
    def heard(self) -> Iterator[None]:
        """Let whatever is interrupted inside end as that."""
        try:
            yield
        except Exception:
            self.raise_if_asked()
            raise
        self.raise_if_asked()


@contextmanager
def _ending_in_order() -> Iterator[_Ending]:
    """Let SIGTERM end us as Ctrl-C does: with everything that we started."""
    ending = _Ending()
    before = {number: signal.signal(number, ending.ask) for number in (signal.SIGTERM, signal.SIGINT)}
    try:
        yield ending
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _until_interrupted() -> None:
    try:
        signal.pause()
    except KeyboardInterrupt:
        print()
