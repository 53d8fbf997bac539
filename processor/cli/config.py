"""`commproc config`: check a configuration before it is used, and print one to begin with."""

import asyncio
from typing import Final

import typer
from rich.table import Table

from processor.cli.adapters import AdapterRefused, open_adapters
from processor.cli.common import WRONG_INPUT, ConfigFile, fail, settings_of
from processor.cli.output import table_of
from processor.core.lanes import lanes_reached
from processor.core.plan import Channel, LaneSplit, Plan, Provider
from processor.settings import DEFAULT, Settings

app = typer.Typer(help="The configuration: check it, print one to begin with.", no_args_is_help=True)

CHECK_EXAMPLES: Final = """Examples:

  commproc config check

  commproc config check --config production.yaml
"""
DEFAULT_EXAMPLES: Final = """Examples:

  commproc config show-default > commproc.yaml
"""


@app.command(epilog=CHECK_EXAMPLES)
def check(config: ConfigFile = None) -> None:
    """Check everything that can be checked without a network; all errors at once, and the exit code is 2."""
    settings = settings_of(config)
    asyncio.run(_open_and_close(settings))
    plan = settings.plan()
    table_of(_channels(plan))
    table_of(_providers(plan))
    table_of(_lanes(plan.lanes))
    print("ok")


@app.command("show-default", epilog=DEFAULT_EXAMPLES)
def show_default() -> None:
    """Print the packaged configuration: six providers and five channels against the sandbox."""
    print(DEFAULT.read_text(encoding="utf-8"), end="")


async def _open_and_close(settings: Settings) -> None:
    try:
        adapters = open_adapters(settings)
    except AdapterRefused as refused:
        fail(str(refused), WRONG_INPUT)
    for adapter in adapters.values():
        await adapter.close()


def _channels(plan: Plan) -> Table:
    table = Table("channel", "sends", "provider", "lane", "tries", "valid for", "if in doubt", title="Channels")
    for channel in plan.channels.values():
        table.add_row(
            channel.code,
            str(channel.action),
            channel.provider,
            str(channel.lane or "by priority"),
            _tries(channel),
            "-" if channel.validity_ms is None else _seconds(channel.validity_ms),
            str(channel.in_doubt),
        )
    return table


def _tries(channel: Channel) -> str:
    return f"1 + {channel.retry.max_attempts}, {_seconds(channel.retry.interval_ms)} apart"


def _providers(plan: Plan) -> Table:
    table = Table("provider", "adapter", "bus provider", "lanes", "at once", "per second", "daily", title="Providers")
    lanes = lanes_reached(plan)
    for provider in plan.providers.values():
        table.add_row(
            provider.name,
            provider.adapter,
            f"{provider.bus_provider}/{provider.bus_channel}",
            ", ".join(lanes[provider.name]) or "none",
            str(provider.concurrency),
            "no limit" if provider.rate_per_s is None else f"{provider.rate_per_s:g}",
            _daily(provider),
        )
    return table


def _daily(provider: Provider) -> str:
    if provider.interval is None:
        return "always"
    start, end = (f"{ms // 3_600_000:02}:{ms // 60_000 % 60:02}" for ms in _bounds(provider))
    return f"{start}-{end} {provider.interval.zone}"


def _bounds(provider: Provider) -> tuple[int, int]:
    return (0, 0) if provider.interval is None else (provider.interval.start_ms, provider.interval.end_ms)


def _lanes(split: LaneSplit) -> Table:
    table = Table("lane", "priorities", title="Lanes by priority")
    table.add_row("express", f"{split.express}-9")
    table.add_row("high", f"{split.high}-{split.express - 1}")
    table.add_row("normal", f"{split.normal}-{split.high - 1}")
    table.add_row("bulk", f"0-{split.normal - 1}" if split.normal else "none")
    return table


def _seconds(ms: int) -> str:
    return f"{ms / 1_000:g} s"
