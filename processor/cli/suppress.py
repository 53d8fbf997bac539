"""`commproc suppress`: put addresses on the suppression list, or take them off."""

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Final

import typer

from processor.cli.common import FAILED, WRONG_INPUT, ConfigFile, fail, settings_of
from processor.cli.control import CAUSE, put_controls, until_or_fail
from processor.cli.rows import Lines, opened
from processor.core.control import SUPPRESSION, address_hash
from processor.core.events import Control
from processor.core.refusal import too_long
from processor.core.words import Scope
from processor.providers.listed import listed
from processor.settings.models import Environment
from processor.stages.clock import SystemClock

EXAMPLES: Final = """Examples:

  commproc suppress someone@example.com

  commproc suppress +40700000111 --scope campaign --campaign spring

  commproc suppress --file left.txt

  commproc suppress someone@example.com --undo
"""
WRITE: Final = "write a mail address, or a phone number with + and its country code"


def suppress(
    address: Annotated[str | None, typer.Argument(help="A mail address, or a phone number with +.")] = None,
    scope: Annotated[
        Scope, typer.Option(help="What it gets no more; one-time passwords and receipts it still gets.")
    ] = (Scope.MARKETING),
    campaign: Annotated[str | None, typer.Option(metavar="ID", help="Of --scope campaign.")] = None,
    until: Annotated[
        str | None, typer.Option(metavar="WHEN", help="Until then (ISO 8601 or +30d); else until it is undone.")
    ] = None,
    undo: Annotated[bool, typer.Option("--undo", help="Take it off the list, for that scope.")] = False,
    file: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Addresses, one a line; - is standard input.")
    ] = None,
    config: ConfigFile = None,
) -> None:
    """
    Put an address, or a file of them, on the suppression list; it binds within a second.

    The list holds keyed hashes: no address is printed, logged or published. The exit code is 1 if a line is no address;
    each is named by its number.
    """
    if (address is None) == (file is None):
        fail("Write either an address, or --file.", WRONG_INPUT)
    if (campaign is not None) is not (scope is Scope.CAMPAIGN) or too_long(campaign):
        fail("--campaign: write the campaign's id with --scope campaign, and only there", WRONG_INPUT)
    settings = settings_of(config)
    if settings.environment is Environment.PRODUCTION and settings.suppression.key is None:
        fail(
            "suppression.key is missing; dispatchers need the same, such as { env: COMMPROC_SUPPRESSION_KEY }",
            WRONG_INPUT,
        )
    key, now_ms = settings.suppression.hash_key(), SystemClock().now_ms()
    until_ms = until_or_fail(until, now_ms)
    wrong = list[int]()

    def controls() -> Iterator[Control]:
        for number, text in enumerate([address] if address is not None else _addresses(file), 1):
            written = listed(text)
            if written is not None:
                hashed = address_hash(written, key)
                yield Control(SUPPRESSION, scope, hashed, None, campaign, None, until_ms, now_ms, CAUSE)
            elif text.strip() or file is None:
                wrong.append(number)
                print(WRITE if file is None else f"line {number}: {WRITE}", file=sys.stderr)

    count = put_controls(settings, controls(), undo=undo)
    failed = f", {len(wrong)} wrong" if wrong else ""
    print(f"{count} {'taken off' if undo else 'suppressed'}{failed}")
    raise typer.Exit(FAILED if wrong else 0)


def _addresses(path: Path | None) -> Iterator[str]:
    if path is None:
        return
    try:
        file = opened(path)
    except OSError as error:
        fail(f"--file cannot be read ({type(error).__name__})", WRONG_INPUT)
    with file:
        yield from Lines(file)
