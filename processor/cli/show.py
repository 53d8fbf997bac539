"""`commproc show`: everything that Kafka still knows about one message."""

from typing import Annotated, Any, Final

import orjson
import typer
from confluent_kafka import KafkaException
from rich.table import Table

from processor.cli.common import (
    FAILED,
    WRONG_INPUT,
    ConfigFile,
    codecs_or_fail,
    connection_or_fail,
    fail,
    settings_of,
    specs_of,
)
from processor.cli.events import as_json, as_row
from processor.cli.history import History, read_history
from processor.cli.output import instant, table_of
from processor.cli.waiting import Waiting, find_waiting
from processor.core.refusal import MESSAGE_ID
from processor.core.words import Reason
from processor.kafka.admin import Topics

EXAMPLES: Final = """Examples:

  commproc show 4f49be3e-93a7-4a17-980a-30ac90939198

  commproc show order-4711 --json --within 60
"""
NOT_FOUND: Final = "Nothing is known of this message id: never acknowledged, or older than the topics keep."


def show(
    message_id: Annotated[str, typer.Argument(help="The id that its producer gave it.")],
    within: Annotated[float, typer.Option(min=1, metavar="SECONDS", help="How long to look through topics.")] = 30.0,
    as_object: Annotated[bool, typer.Option("--json", help="One JSON object.")] = False,
    config: ConfigFile = None,
) -> None:
    """
    Print a message's status, its attempts and events in the order of time, and where it waits if it has no result.

    Records with the same id that came later do not change its status; how many there were is told beside it.

    The exit code is 1 where nothing is known of it. Its content and its recipient are never printed.
    """
    if MESSAGE_ID.fullmatch(message_id) is None:
        fail("A message id is 1 to 64 of A-Z a-z 0-9 . _ : -", WRONG_INPUT)
    settings = settings_of(config)
    names = settings.topics.names()
    codecs = codecs_or_fail(settings)
    connection = connection_or_fail(settings)
    topics = Topics(connection)
    try:
        history = read_history(connection, topics, names, codecs.events, message_id, within_s=within)
        counts = topics.partitions(spec.name for spec in specs_of(settings))
    except KafkaException as error:
        fail(f"Kafka did not answer as it should ({error.args[0].name()}); nothing can be said.")
    try:
        waiting = find_waiting(connection, counts, names, codecs.outbound, message_id, within_s=within)
    except (KafkaException, TimeoutError) as error:
        why = str(error) if isinstance(error, TimeoutError) else error.args[0].name()
        waiting = Waiting((), whole=False, unknown=why)
    if as_object:
        print(orjson.dumps(_object(message_id, history, waiting)).decode())
    else:
        _print(message_id, history, waiting)
    if not history.events and not waiting.places:
        raise typer.Exit(FAILED)


def _status(history: History, waiting: Waiting) -> str:
    if history.status is not None:
        return str(history.status)
    return "waiting" if waiting.places else "unknown"


def _again(history: History) -> str:
    total, other = history.repeats.total(), history.repeats[Reason.OTHER_CONTENT]
    if not total:
        return ""
    times = "once" if total == 1 else f"{total} times"
    return f" (asked for again {times}{f', {other} of them with other content' if other else ''}; not sent again)"


def _object(message_id: str, history: History, waiting: Waiting) -> dict[str, Any]:
    return {
        "message_id": message_id,
        "status": _status(history, waiting),
        "repeats": {str(reason): history.repeats[reason] for reason in (Reason.SAME_CONTENT, Reason.OTHER_CONTENT)},
        "events": [as_json(event) for event in history.events],
        "waiting": [
            {
                "topic": each.place[0],
                "partition": each.place[1],
                "offset": each.offset,
                "state": each.state,
                "due_at": each.due_at_ms,
                "attempts": each.attempts,
            }
            for each in waiting.places
        ],
        "complete": history.whole and waiting.whole,
        "unknown": waiting.unknown,
    }


def _print(message_id: str, history: History, waiting: Waiting) -> None:
    print(f"{message_id}: {_status(history, waiting)}{_again(history)}")
    if history.events:
        table = Table("time", "what", "attempt", "provider", "reason", "note", title="Events")
        for event in history.events:
            time, _, *rest = as_row(event)
            table.add_row(time, *rest)
        table_of(table)
    if waiting.places:
        table = Table("topic", "partition", "offset", "state", "due", "attempts", title="Waiting")
        for each in waiting.places:
            where = (each.place[0], str(each.place[1]), str(each.offset))
            table.add_row(*where, each.state, instant(each.due_at_ms), str(each.attempts))
        table_of(table)
    if waiting.unknown is not None:
        print(f"Where it waits, if it does, cannot be told now: {waiting.unknown}")
    elif not history.events and not waiting.places:
        print(NOT_FOUND)
    if not (history.whole and (waiting.whole or waiting.unknown)):
        print("The time was too short to look through everything; give a larger --within.")
