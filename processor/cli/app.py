"""Every command of `commproc`, in the order in which `--help` lists them."""

from collections.abc import Callable, Sequence
from importlib import import_module
from typing import Any, Final

import typer

COMMANDS: Final = {  # the module of each; there the function has its name, or a group of commands is `app`
    "run": "run",
    "topics": "topics",
    "send": "send",
    "tail": "tail",
    "show": "show",
    "recall": "recall",
    "suppress": "suppress",
    "audit": "audit",
    "config": "config",
    "sandbox": "sandbox",
    "kafka": "sandbox",
    "demo": "demo",
}


def app_for(arguments: Sequence[str]) -> typer.Typer:
    """
    Return the application with the command that *arguments* name, or with all of them.

    A command imports what it needs, and all together take a second: three times what most of them take alone.
    """
    app = typer.Typer(
        name="commproc",
        help="Communication Processor: sends e-mails and text messages from Kafka, at the right time.",
        no_args_is_help=True,
        add_completion=False,
        pretty_exceptions_enable=False,  # its tracebacks show local variables, which may hold a body or a password
        rich_markup_mode="rich",
        context_settings={"help_option_names": ["-h", "--help"]},
    )
    app.callback()(_group)
    named = arguments[0] if arguments and arguments[0] in COMMANDS else None
    for name in COMMANDS if named is None else (named,):
        _add(app, name)
    return app


def _add(app: typer.Typer, name: str) -> None:
    module = import_module(f"processor.cli.{COMMANDS[name]}")
    if isinstance(getattr(module, "app", None), typer.Typer):
        app.add_typer(module.app, name=name)
        return
    examples = module.KAFKA_EXAMPLES if name == "kafka" else module.EXAMPLES
    command: Callable[..., Any] = getattr(module, name)
    app.command(name, epilog=examples)(command)


def _group() -> None:
    pass  # without a callback Typer would take an only command for the whole application
