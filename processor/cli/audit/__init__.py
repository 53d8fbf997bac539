"""`commproc audit`: hold what the topics and other ledgers say against what was promised."""

from pathlib import Path
from typing import Annotated, Final

import orjson
import typer
from confluent_kafka import KafkaException

from processor.cli.audit.report import print_audit
from processor.cli.audit.run import Files, audited
from processor.cli.audit.secrets import Secrets
from processor.cli.common import FAILED, REGISTRY_AWAY, WRONG_INPUT, ConfigFile, fail, settings_of
from processor.cli.compose import Wrong, instant_ms
from processor.codec.errors import RegistryUnavailable
from processor.core.audit.story import Rules
from processor.stages.clock import SystemClock
from processor.stages.zones import zones

__all__ = ["EXAMPLES", "audit"]

EXAMPLES: Final = """Examples:

  commproc audit

  commproc audit --since 2026-11-26T00:00:00Z --json

  commproc audit --drained --calls ledger.jsonl

  commproc audit --secrets secrets.txt --output log.jsonl
"""


def audit(
    since: Annotated[
        str | None, typer.Option(metavar="WHEN", help="Only what was asked from then on (ISO 8601, with its zone).")
    ] = None,
    asked: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="What was acknowledged: JSON Lines of topic, partition, offset, message_id."),
    ] = None,
    calls: Annotated[
        Path | None, typer.Option(metavar="FILE", help="What providers received: a sandbox's ledger.")
    ] = None,
    secrets: Annotated[
        Path | None, typer.Option(metavar="FILE", help="What must be found nowhere, one a line.")
    ] = None,
    output: Annotated[
        list[Path] | None, typer.Option(metavar="PATH", help="A log, or a folder of them, to look for secrets in.")
    ] = None,
    drained: Annotated[bool, typer.Option("--drained", help="Nothing may wait any more.")] = False,
    skew: Annotated[
        float, typer.Option(min=0, metavar="SECONDS", help="By which the clocks of providers may differ from ours.")
    ] = 0.0,
    latency: Annotated[
        float,
        typer.Option(min=0, metavar="SECONDS", help="From the last judgement to the first byte at the provider."),
    ] = 1.0,
    as_object: Annotated[bool, typer.Option("--json", help="One JSON object.")] = False,
    config: ConfigFile = None,
) -> None:
    """
    State how many messages were lost, doubled or sent at a wrong time, and how many secrets were told.

    It may run beside a processor, and changes nothing. The exit code is 0 if every promise that could be checked
    holds, 1 if one is broken, and 2 if nothing could be checked. Contents and recipients are never printed.
    """
    settings = settings_of(config)
    files = Files(asked, calls, secrets, output or ())
    rules = Rules(
        settings.plan(),
        zones,
        drained=drained,
        horizon_ms=settings.duplicates.horizon_ms,
        patience_ms=settings.receipts.patience_ms,
        skew_ms=round(skew * 1_000),
        latency_ms=round(latency * 1_000),
    )
    since_ms, hidden = _since_or_fail(since, settings.topics.events_retention_ms), _secrets_or_fail(files)
    try:
        found = audited(settings, files, rules, hidden, since_ms)
    except (KafkaException, TimeoutError) as error:
        fail(f"Kafka did not answer as it should ({type(error).__name__}); nothing can be said.", WRONG_INPUT)
    except RegistryUnavailable:
        fail(REGISTRY_AWAY, WRONG_INPUT)
    if as_object:
        print(orjson.dumps(found.as_json()).decode())
    else:
        print_audit(found)
    raise typer.Exit(0 if found.holds else FAILED)


def _since_or_fail(since: str | None, kept_ms: int) -> int | None:
    if since is None:
        return None
    now_ms = SystemClock().now_ms()
    try:
        since_ms = instant_ms("--since", since, now_ms)
    except Wrong as wrong:
        fail(str(wrong), WRONG_INPUT)
    if since_ms > now_ms:
        fail("--since: write an instant that has been", WRONG_INPUT)
    if since_ms < now_ms - kept_ms:
        fail(
            f"--since: events are kept for {kept_ms // 3_600_000} h (topics.events_retention); write a later instant",
            WRONG_INPUT,
        )
    return since_ms


def _secrets_or_fail(files: Files) -> Secrets:
    if files.secrets is None:
        if files.output:
            fail("--output: write --secrets as well, for what to look for", WRONG_INPUT)
        return Secrets()
    try:
        return Secrets(files.secrets.read_text(encoding="utf-8").splitlines())
    except (OSError, ValueError) as error:
        fail(f"--secrets cannot be read as UTF-8 text ({type(error).__name__})", WRONG_INPUT)
