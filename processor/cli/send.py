"""`commproc send`: put messages on the inbound topics."""

import sys
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Any, Final

import typer
from rich.console import Console
from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeElapsedColumn

from processor.cli.common import FAILED, WRONG_INPUT, ConfigFile, codecs_or_fail, connection_or_fail, fail, settings_of
from processor.cli.compose import Wrong
from processor.cli.outbox import Outbox
from processor.cli.rows import Format, Lines, format_of, opened, rows
from processor.settings import Settings
from processor.stages.clock import SystemClock

EXAMPLES: Final = """Examples:

  commproc send --channel Email --to ana@example.com --subject Hi --text Hello

  commproc send --channel EmailOTP --to ana@example.com --text-file code.txt

  commproc send --channel SMS --to +40700000001 --text Hi --start-at +5m

  commproc send --file campaign.csv

  generate | commproc send --file - --quiet

A file has a message a line: JSON objects with the fields of the schema
OutboundMessage, or CSV with their names in the first line (cc and bcc with ;
between addresses; columns param.NAME and property.NAME; interval may stand
for interval_min and interval_max). Instants are ISO 8601 with a zone, Unix
milliseconds, or +5m.
"""


def send(
    channel: Annotated[str | None, typer.Option(help="Code of a configured channel.")] = None,
    to: Annotated[str | None, typer.Option(help="Address, or number in E.164 (+40…).")] = None,
    subject: Annotated[str | None, typer.Option(help="Subject of an e-mail.")] = None,
    text: Annotated[str | None, typer.Option(help="Plain text.")] = None,
    text_file: Annotated[Path | None, typer.Option(metavar="FILE", help="Plain text from a file.")] = None,
    html_file: Annotated[Path | None, typer.Option(metavar="FILE", help="HTML from a file.")] = None,
    priority: Annotated[str | None, typer.Option(metavar="0-9", help="9 is the most urgent; else 4.")] = None,
    start_at: Annotated[str | None, typer.Option(metavar="INSTANT", help="Not before it.")] = None,
    end_at: Annotated[str | None, typer.Option(metavar="INSTANT", help="Not at or after it.")] = None,
    interval: Annotated[str | None, typer.Option(metavar="08:00-20:00", help="Part of the day.")] = None,
    time_zone: Annotated[str | None, typer.Option(metavar="ZONE", help="Of the interval; else UTC.")] = None,
    campaign: Annotated[str | None, typer.Option(help="Campaign, on every event.")] = None,
    purpose: Annotated[str | None, typer.Option(help="otp, transactional or marketing.")] = None,
    external_id: Annotated[str | None, typer.Option(help="Your own reference, on every event.")] = None,
    provider: Annotated[str | None, typer.Option(help="Instead of the channel's.")] = None,
    param: Annotated[list[str] | None, typer.Option(metavar="K=V", help="Parameter for the provider.")] = None,
    properties: Annotated[
        list[str] | None, typer.Option("--property", metavar="K=V", help="Extended property.")
    ] = None,
    message_id: Annotated[str | None, typer.Option(help="Else a new one is made.")] = None,
    file: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Messages, one a line; - is standard input.")
    ] = None,
    form: Annotated[Format | None, typer.Option("--format", help="Else by the file's name; jsonl for -.")] = None,
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="Do not print message ids.")] = False,
    config: ConfigFile = None,
) -> None:
    """
    Put a message, or a file of them, on the inbound topics; prints the id of each that Kafka acknowledged.

    Urgent ones (channels of the express lane, priority 9) go to the express topic. The exit code is 1 if any line
    failed; each is named with what to write, never with its content.
    """
    single: dict[str, Any] = {
        "message_id": message_id,
        "channel": channel,
        "provider": provider,
        "priority": priority,
        "start_at": start_at,
        "end_at": end_at,
        "interval": interval,
        "time_zone": time_zone,
        "campaign_id": campaign,
        "purpose": purpose,
        "external_id": external_id,
        "to": to,
        "subject": subject,
        "text": text if text_file is None else _read(text_file, "--text-file"),
        "html": None if html_file is None else _read(html_file, "--html-file"),
        **_pairs("param", param),
        **_pairs("property", properties),
    }
    single = {name: value for name, value in single.items() if value is not None}
    if bool(single) == (file is not None):
        fail("Write either --file, or --channel and --to with what to send; --help has examples.", WRONG_INPUT)
    settings = settings_of(config)
    if file is None:
        single.setdefault("message_id", str(uuid.uuid4()))
        outbox = _outbox(settings, quiet=quiet, numbered=False)
        outbox.put(1, single)
        outbox.flush()
    else:
        outbox = _outbox(settings, quiet=quiet, numbered=True)
        _put_file(outbox, file, format_of(file, form))
    failed = f", {outbox.failed_lines} failed" if outbox.failed_lines else ""
    print(f"{outbox.acknowledged} acknowledged{failed}", file=sys.stderr)
    raise typer.Exit(FAILED if outbox.failed_lines else 0)


def _outbox(settings: Settings, *, quiet: bool, numbered: bool) -> Outbox:
    def sent(_: int, message_id: str) -> None:
        if not quiet:
            print(message_id, flush=True)

    def failed(line: int, why: str) -> None:
        print(f"line {line}: {why}" if numbered else why, file=sys.stderr)

    codec = codecs_or_fail(settings).outbound
    return Outbox(
        connection_or_fail(settings),
        settings.topics.names(),
        settings.plan(),
        codec,
        SystemClock(),
        sent=sent,
        failed=failed,
    )


def _put_file(outbox: Outbox, path: Path, form: Format) -> None:
    try:
        file = opened(path)
    except OSError as error:
        fail(f"--file cannot be read ({type(error).__name__})", WRONG_INPUT)
    total = path.stat().st_size if path.is_file() else None
    with file, _progress(total) as progress:
        lines = Lines(file)
        for number, row in rows(lines, form):
            if isinstance(row, Wrong):
                outbox.refuse(number, str(row))
            else:
                outbox.put(number, row)
            progress(lines.size_bytes, number)
        outbox.flush()


@contextmanager
def _progress(total_bytes: int | None) -> Iterator[Any]:
    """Show how much of the file was read, where a person looks on."""
    columns = (
        TextColumn("sending"),
        BarColumn(),
        TaskProgressColumn(),
        TextColumn("{task.fields[lines]} lines"),
        TimeElapsedColumn(),
    )
    console = Console(stderr=True)
    with Progress(*columns, console=console, disable=not console.is_terminal) as progress:
        task = progress.add_task("sending", total=total_bytes, lines=0)
        yield lambda done, lines: progress.update(task, completed=done, lines=lines)


def _read(path: Path, option: str) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except (OSError, ValueError) as error:
        fail(f"{option} cannot be read as UTF-8 text ({type(error).__name__})", WRONG_INPUT)


def _pairs(group: str, given: list[str] | None) -> dict[str, str]:
    pairs = {}
    for each in given or ():
        key, equals, value = each.partition("=")
        if not equals or not key:
            fail(f"--{group}: write a name, = and a value, such as template=welcome", WRONG_INPUT)
        pairs[f"{group}.{key}"] = value
    return pairs
