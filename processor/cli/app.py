"""Every command of `commproc`, in the order in which `--help` lists them."""

import typer

from processor.cli import config, demo, run, sandbox, send, show, tail, topics

app = typer.Typer(
    name="commproc",
    help="Communication Processor: sends e-mails and text messages from Kafka, at the right time.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,  # its tracebacks show local variables, which may hold a body or a password
    rich_markup_mode="rich",
    context_settings={"help_option_names": ["-h", "--help"]},
)

app.command("run", epilog=run.EXAMPLES)(run.run)
app.add_typer(topics.app, name="topics")
app.command("send", epilog=send.EXAMPLES)(send.send)
app.command("tail", epilog=tail.EXAMPLES)(tail.tail)
app.command("show", epilog=show.EXAMPLES)(show.show)
app.add_typer(config.app, name="config")
app.command("sandbox", epilog=sandbox.EXAMPLES)(sandbox.sandbox)
app.command("kafka", epilog=sandbox.KAFKA_EXAMPLES)(sandbox.kafka)
app.command("demo", epilog=demo.EXAMPLES)(demo.demo)
