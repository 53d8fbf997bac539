"""`commproc tail`: the events as they come."""

import sys
from collections.abc import Iterator
from contextlib import suppress
from enum import StrEnum
from itertools import islice
from typing import Annotated, Final

import orjson
import typer
from confluent_kafka import Message

from processor.cli.common import ConfigFile, codecs_or_fail, connection_or_fail, fail, settings_of
from processor.cli.events import Event, as_json, as_row
from processor.cli.scan import BEGINNING, NOW, Scan, starts_at
from processor.codec.errors import RegistryUnavailable, Unreadable
from processor.codec.events import EventCodec
from processor.kafka.admin import Topics
from processor.kafka.topics import Names

EXAMPLES: Final = """Examples:

  commproc tail

  commproc tail --from beginning --no-follow --json

  commproc tail --topic dead-letter --limit 10
"""
WIDTHS: Final = (24, 36, 11, 3, 16, 28)


class Chosen(StrEnum):
    """Topics of events."""

    DELIVERY = "delivery"
    RETRY = "retry"
    ENGAGEMENT = "engagement"
    DEAD_LETTER = "dead-letter"
    RECEIPTS = "receipts"
    CONTROL = "control"
    ALL = "all"


class Begin(StrEnum):
    """Where to begin."""

    BEGINNING = "beginning"
    NOW = "now"


def tail(
    topic: Annotated[Chosen, typer.Option(help="Which events.")] = Chosen.ALL,
    begin: Annotated[Begin, typer.Option("--from", help="Where to begin.")] = Begin.NOW,
    limit: Annotated[int | None, typer.Option(min=1, metavar="N", help="Stop after so many.")] = None,
    as_objects: Annotated[
        bool, typer.Option("--json", help="One JSON object a line, with the schema's names.")
    ] = False,
    follow: Annotated[bool, typer.Option(help="Wait for more, or stop at the present end.")] = True,
    config: ConfigFile = None,
) -> None:
    """
    Print events as they come: time, message id, status, attempt, provider, reason, note.

    Only what was committed is read. Contents of messages are never printed.
    """
    settings = settings_of(config)
    codec = codecs_or_fail(settings).events
    connection = connection_or_fail(settings)
    counts = Topics(connection).partitions(topics_of(settings.topics.names(), topic))
    if not counts:
        fail("There are no event topics; run `commproc topics apply`.")
    starts = starts_at(counts, BEGINNING if begin is Begin.BEGINNING else NOW)
    with suppress(KeyboardInterrupt, BrokenPipeError), Scan(connection, starts, follow=follow) as scan:
        for event in islice(decoded(codec, scan.records()), limit):
            print(orjson.dumps(as_json(event)).decode() if as_objects else line_of(event), flush=True)


def topics_of(names: Names, chosen: Chosen) -> list[str]:
    """Return the topics of a choice."""
    found = {
        Chosen.DELIVERY: [names.delivery],
        Chosen.RETRY: [names.retry],
        Chosen.ENGAGEMENT: [names.engagement],
        Chosen.DEAD_LETTER: [names.dead_letter],
        Chosen.RECEIPTS: [names.receipts],
        Chosen.CONTROL: [names.control],
        Chosen.ALL: [names.delivery, names.retry, names.engagement, names.dead_letter, names.receipts],
    }
    return found[chosen]


def decoded(codec: EventCodec, messages: Iterator[Message]) -> Iterator[Event]:
    """Yield the events in *messages*; what cannot be read is told on standard error, by place."""
    for message in messages:
        try:
            yield codec.decode_event(message.value())
        except Unreadable as error:
            place = f"{message.topic()}/{message.partition()}@{message.offset()}"
            print(f"{place} cannot be read: {error.fault}", file=sys.stderr)
        except RegistryUnavailable:
            fail("The schema registry does not answer; look at registry.url in the configuration.")


def line_of(event: Event) -> str:
    """Return an event in columns."""
    *columns, note = as_row(event)
    return "  ".join([*(text.ljust(width) for text, width in zip(columns, WIDTHS, strict=True)), note]).rstrip()
