"""`commproc topics`: make the topics as the configuration needs them, and tell where they are not."""

from collections.abc import Sequence

import typer
from rich.table import Table

from processor.cli.common import FAILED, ConfigFile, connection_or_fail, settings_of, specs_of
from processor.cli.output import table_of
from processor.kafka.admin import Difference, Topics

app = typer.Typer(help="The topics in Kafka: make them, compare them.", no_args_is_help=True)

EXAMPLES = """Examples:

  commproc topics check

  commproc topics apply --config production.yaml
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
        raise typer.Exit(FAILED)
    print(f"{len(specs)} topics are as they have to be.")


def _print(differences: Sequence[Difference], title: str) -> None:
    table = Table("topic", "what", "is", "has to be", title=title)
    for each in differences:
        table.add_row(each.topic, each.what, each.found or "missing", each.wanted)
    table_of(table)
