"""`commproc topics`: make the topics as the configuration needs them, and tell where they are not."""

from collections.abc import Sequence
from typing import Annotated

import typer
from rich.table import Table

from processor.cli.common import FAILED, WRONG_INPUT, ConfigFile, connection_or_fail, fail, settings_of, specs_of
from processor.cli.output import table_of
from processor.kafka.admin import Difference, Topics, hidden
from processor.kafka.offsets import NotReleased, Offsets

app = typer.Typer(help="The topics in Kafka: make them, compare them.", no_args_is_help=True)

EXAMPLES = """Examples:

  commproc topics check

  commproc topics apply --config production.yaml
"""
RELEASE_EXAMPLES = """Examples:

  commproc topics release comm.send.GatewaySMS.bulk 0 --from-offset first

  commproc topics release comm.send.GatewaySMS.bulk 0 --from-offset 4711 --yes
"""


@app.command(epilog=EXAMPLES)
def apply(config: ConfigFile = None) -> None:
    """Create the topics that are missing, and set partitions, retention and clean-up of the others right."""
    settings = settings_of(config)
    specs = specs_of(settings)
    differences = Topics(connection_or_fail(settings)).apply(specs, settings.kafka.replication_factor)
    if differences:
        _print(differences, "Set right")
    print(f"{len(specs)} topics are as they have to be.")


@app.command(epilog=EXAMPLES)
def check(config: ConfigFile = None) -> None:
    """Compare the topics with the configuration; the exit code is 1 where they differ."""
    settings = settings_of(config)
    specs = specs_of(settings)
    differences = Topics(connection_or_fail(settings)).check(specs)
    if differences:
        _print(differences, "Different; `commproc topics apply` sets it right")
        for line in hidden(differences, specs):
            print(line)
        raise typer.Exit(FAILED)
    print(f"{len(specs)} topics are as they have to be.")


@app.command(epilog=RELEASE_EXAMPLES)
def release(
    topic: Annotated[str, typer.Argument(help="The topic that the log line `partition.held` names.")],
    partition: Annotated[int, typer.Argument(help="Its partition.")],
    from_offset: Annotated[str, typer.Option(metavar="N|first|end", help="Where to go on.")],
    yes: Annotated[bool, typer.Option("--yes", help="Do it; without it nothing is changed.")] = False,
    config: ConfigFile = None,
) -> None:
    """
    Let a partition go on whose journal is lost, and which is held for that.

    Which messages from the offset on were sent before is not known: all of them are sent. From `first` nobody misses
    one and some may get one twice; from `end` nobody gets one twice, and what is there has no result, ever. The stage
    that reads the topic must be stopped everywhere.
    """
    settings = settings_of(config)
    offsets = Offsets(connection_or_fail(settings), settings.topics.names())
    try:
        offset = _offset(offsets, topic, partition, from_offset)
        if not yes:
            fail(f"{topic}/{partition} would go on at {offset}; repeat with --yes to do it.")
        offsets.release(topic, partition, offset)
    except NotReleased as reason:
        fail(str(reason))
    print(f"{topic}/{partition} goes on at {offset}; start its stage again.")


def _offset(offsets: Offsets, topic: str, partition: int, text: str) -> int:
    if text in {"first", "end"}:
        return offsets.bounds(topic, partition)[text == "end"]
    if not text.isdecimal():
        fail("--from-offset: write an offset, first or end", WRONG_INPUT)
    return int(text)


def _print(differences: Sequence[Difference], title: str) -> None:
    table = Table("topic", "what", "is", "has to be", title=title)
    for each in differences:
        table.add_row(each.topic, each.what, each.found or "missing", each.wanted)
    table_of(table)
