"""`commproc sandbox` and `commproc kafka`: servers to try things against."""

import asyncio
import signal
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Annotated, Any, Final

import typer
import yaml

from processor.cli.common import fail
from processor.sandbox import broker
from processor.sandbox.servers import Sandbox, SandboxConfig, run_sandbox

EXAMPLES: Final = """Examples:

  commproc sandbox

  commproc sandbox --smtp-port 0 --http-port 0 --smsc-port 0

  commproc sandbox --mailbox mails

  commproc sandbox --script staging.yaml

  commproc sandbox --webhook-url http://127.0.0.1:8081/w/GatewaySMS

A recipient says what happens to its message: bounce-550@example.com, defer-451-2x@example.com (twice, then accepted),
throttle-421-1x@example.com, drop-after-dot@example.com, slow-3s@example.com; telephone numbers by their last digits:
…0550 is refused, …04512 deferred twice, …0999 cut after it was taken. A script says it for others: `default: slow-50ms`
or `bob@: bounce-550`. All rules are in docs/sandbox.md.
"""
KAFKA_EXAMPLES: Final = """Examples:

  commproc kafka

  KAFKA_BOOTSTRAP=127.0.0.1:9092 commproc kafka
"""


def sandbox(
    smtp_port: Annotated[int, typer.Option(help="Port of the mail server; 0: a free one.")] = 2525,
    http_port: Annotated[int, typer.Option(help="Port of the HTTP service; 0: a free one.")] = 8025,
    smsc_port: Annotated[int, typer.Option(help="Port of the short message centre; 0: a free one.")] = 2775,
    host: Annotated[str, typer.Option(help="Address to listen on.")] = "127.0.0.1",
    webhook_url: Annotated[
        str | None, typer.Option(metavar="URL", help="Called, signed, with a report of each message over HTTP.")
    ] = None,
    ledger: Annotated[
        Path, typer.Option(metavar="PATH", help="File that gets a line for each message; it holds recipients.")
    ] = Path("sandbox-ledger.jsonl"),
    mailbox: Annotated[
        Path | None,
        typer.Option(metavar="FOLDER", help="Keep accepted mails there, to be opened at /mailbox of the HTTP service."),
    ] = None,
    script: Annotated[
        Path | None,
        typer.Option(metavar="PATH", help="YAML or JSON: rules by recipient or its beginning, and default."),
    ] = None,
) -> None:
    """Run mail server, HTTP service and short message centre in the providers' place, with faults and a ledger."""
    try:
        config = SandboxConfig(
            ledger,
            host,
            smtp_port,
            http_port,
            smsc_port,
            {} if script is None else _read(script),
            mailbox=mailbox,
            webhook_url=webhook_url,
        )
        asyncio.run(_until_asked(config))
    except ValueError as error:
        fail(f"{script}: {error}")
    except OSError as error:
        fail(f"The sandbox cannot listen or write ({type(error).__name__}); give other ports or another --ledger.")


def kafka() -> None:
    """Run a Kafka broker and a schema registry in the foreground; their data are deleted at the end."""
    raise typer.Exit(broker.main())


def _read(script: Path) -> Mapping[str, Any]:
    """Return the rules in a file. Raises ValueError for what is no mapping."""
    try:
        read = yaml.safe_load(script.read_text(encoding="utf-8"))
    except (yaml.YAMLError, OSError) as error:
        raise ValueError(f"cannot be read ({type(error).__name__}); write YAML or JSON") from None
    if not isinstance(read, Mapping):
        raise ValueError("holds no rules; write a mapping such as default: slow-50ms")  # noqa: TRY004 - a file's content
    return {str(key): value for key, value in read.items()}


async def _until_asked(config: SandboxConfig) -> None:
    running = asyncio.ensure_future(run_sandbox(config, ready=_told))
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, running.cancel)
    with suppress(asyncio.CancelledError):
        await running


def _told(running: Sandbox) -> None:
    print(f"smtp {running.host}:{running.smtp_port}", flush=True)
    print(f"http {running.http_url}", flush=True)
    print(f"smpp {running.host}:{running.smsc_port}", flush=True)
    print(f"ledger {running.ledger_path}", flush=True)
