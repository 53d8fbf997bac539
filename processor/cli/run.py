"""`commproc run`: the loops of one instance, until it is asked to stop."""

import os
import sys
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Final, NoReturn

import typer

from processor import logs
from processor.cli.common import WRONG_INPUT, ConfigFile, fail, settings_of, specs_of
from processor.cli.process import Process
from processor.metrics import LOG_FIELDS_DROPPED
from processor.settings import Settings
from processor.stages.assembly import STAGES
from processor.stages.clock import DrillClock, SystemClock

EXAMPLES: Final = """Examples:

  commproc run

  commproc run --stage dispatch --slot 1 --config production.yaml
"""


class Stage(StrEnum):
    """What an instance may do."""

    INTAKE = "intake"
    DELAY = "delay"
    DISPATCH = "dispatch"
    TRACKING = "tracking"
    ALL = "all"


def run(
    stage: Annotated[list[Stage] | None, typer.Option(help="What to run; may be given several times.")] = None,
    slot: Annotated[
        str | None, typer.Option(help="Number or name of this instance, instead of the configured kafka.slot.")
    ] = None,
    apply_topics: Annotated[
        bool, typer.Option("--apply-topics", help="Make the topics as they have to be, instead of only checking them.")
    ] = False,
    drill_clock: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            hidden=True,
            help="For drills alone: the wall clock is off by as many milliseconds as FILE says, and follows it.",
        ),
    ] = None,
    config: ConfigFile = None,
) -> None:
    """
    Run one instance: judge, wait, send, publish.

    SIGTERM or Ctrl-C stops it cleanly: calls under way are finished and recorded. A second one stops it at once.
    Instances with the same configuration share the work; each needs a slot of its own.
    /metrics, /healthz and /readyz are served where the configuration says. The stage tracking joins receipts; where
    tracking.base_url is set, it serves links and webhooks as well.
    """
    settings = _with_slot(settings_of(config), slot)
    logs.configure(level=settings.logs.level, format=settings.logs.format, on_dropped=LOG_FIELDS_DROPPED.inc)
    clock = SystemClock() if drill_clock is None else DrillClock(drill_clock)
    process = Process(settings, _stages(stage), specs_of(settings), apply_topics=apply_topics, clock=clock)
    code = process.run()
    if code:
        _leave(code)
    raise typer.Exit(code)


def _leave(code: int) -> NoReturn:
    """
    End at once, as a crash would, which loses nothing.

    Whatever failed may have left consumers open, and the destructor of one that was about to join its group may spin in
    librdkafka for ever (measured with 2.16.0): the process would neither work nor end.
    """
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)


def _stages(chosen: list[Stage] | None) -> tuple[str, ...]:
    if not chosen or Stage.ALL in chosen:
        return STAGES
    return tuple(each for each in STAGES if each in chosen)


def _with_slot(settings: Settings, slot: str | None) -> Settings:
    if slot is None:
        return settings
    if not slot.replace("-", "").replace("_", "").isalnum() or not slot.isascii():
        fail("--slot: write a number or a short name, such as 0 or dispatch-1", WRONG_INPUT)
    return settings.model_copy(update={"kafka": settings.kafka.model_copy(update={"slot": slot})})
