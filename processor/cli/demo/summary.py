"""Prints what a run came to, in tables that fit a hundred columns."""

from collections import Counter
from collections.abc import Mapping, Sequence

from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table

from processor.cli.demo.account import Account, percentile
from processor.cli.demo.mix import CASES, UNREADABLE, WAITING
from processor.cli.demo.readers import CLICKED, OPENED, UNSUBSCRIBED
from processor.core.words import Status

_SAYS = {
    UNREADABLE: "dead letters without a message id",
    WAITING: "records that delay tiers hold",
}


def print_account(to: Console, account: Account, protocols: Mapping[str, str]) -> None:
    """Print the tables and the sum; *protocols* tells how each provider is spoken to."""
    to.print(_cases(account))
    to.print(_providers(account, protocols))
    to.print(_readers(account))
    to.print(_waits(account))
    to.print(" Broker and stages are seconds old, which shows in p99; docs/performance.md has a warm system's.\n")
    to.print(_sum(account))
    _print_verdict(to, account)


def _new(title: str, *columns: str) -> Table:
    table = Table(title=title, title_justify="left", title_style="bold", box=SIMPLE_HEAD, pad_edge=False)
    for number, column in enumerate(columns):
        table.add_column(column, justify="left" if number == 0 else "right")
    return table


def _cases(account: Account) -> Table:
    table = _new("What was asked, and how it ended", "messages", "asked", "has to end as", "did")
    for case in CASES:
        ids = [message_id for message_id, each in account.acknowledged.items() if each.ask.case is case]
        did = sum(list(account.endings[message_id]) == [case.ending] for message_id in ids)
        table.add_row(case.about, str(len(ids)), case.ending, str(did))
    return table


def _providers(account: Account, protocols: Mapping[str, str]) -> Table:
    columns = ("provider", "protocol", "SENT events", "in the ledger", "of them once", "refused attempts")
    table = _new("What each provider took, by the sandbox's ledger", *columns)
    sent = Counter(event.provider for event in account.evidence.results if event.status is Status.SENT)
    provider_of = {message_id: each.ask.route.provider for message_id, each in account.acknowledged.items()}
    refused = Counter(provider_of.get(str(each.message_id)) for each in account.evidence.entries if not each.accepted)
    for name, protocol in protocols.items():
        accepted = [len(entries) for each, entries in account.accepted.items() if provider_of.get(each) == name]
        counts = (sent[name], sum(accepted), accepted.count(1), refused[name])
        table.add_row(name, protocol, *map(str, counts))
    return table


def _readers(account: Account) -> Table:
    done = Counter(act.type for act in account.acts)
    told = Counter(event.type for event in account.evidence.engagement)
    actors = Counter((event.type, event.actor) for event in account.evidence.engagement)
    table = _new("What readers of the newsletters did, and what the events say of it", "", "done", "events", "by")
    for act in (OPENED, CLICKED, UNSUBSCRIBED):
        by = ", ".join(f"{actor} {count}" for (each, actor), count in sorted(actors.items()) if each == act)
        table.add_row(act, str(done[act]), str(told[act]), by)
    delivered = [event for event in account.evidence.results if event.status is Status.DELIVERED]
    table.add_row("text messages, delivered", str(_texts_sent(account)), str(len(delivered)), "reported by the centre")
    return table


def _texts_sent(account: Account) -> int:
    return sum(entry.accepted and entry.protocol == "smpp" for entry in account.evidence.entries)


def _waits(account: Account) -> Table:
    table = _new(
        "How soon and how late, in milliseconds", "from, to: in the sandbox's ledger", "count", "p50", "p99", "max"
    )
    for lane, values in account.latencies_ms().items():
        table.add_row(f"acknowledged by Kafka, lane {lane}", *_figures(values))
    for what, values in account.latenesses_ms().items():
        table.add_row(f"the instant it was due, {what}", *_figures(values))
    return table


def _figures(values: Sequence[int]) -> list[str]:
    return [str(len(values)), *(str(percentile(values, share)) for share in (0.5, 0.99, 1.0))]


def _sum(account: Account) -> Table:
    table = _new("The sum", "asked: acknowledged by Kafka", str(len(account.acknowledged)), "counted from")
    for word, count in account.totals().items():
        table.add_row(word, str(count), _SAYS.get(word, "terminal delivery events"))
    table.add_section()
    table.add_row("together", str(sum(account.totals().values())))
    return table


def _print_verdict(to: Console, account: Account) -> None:
    if account.exit_codes:
        to.print(f"Exit codes of the stages: {told(account.exit_codes)}.")
    problems = account.problems()
    for problem in problems:
        to.print(f"  ✗ {problem}", style="red")
    doubled = sum(len(entries) - 1 for entries in account.accepted.values())
    if problems:
        to.print(f"It does not add up: {len(problems)} findings.", style="bold red")
    else:
        to.print(f"It adds up. Sent twice: {doubled}. Sent early: {len(account.early())}.", style="bold green")


def told(exit_codes: Mapping[str, int]) -> str:
    """Return how each process ended."""
    return ", ".join(f"{name} {code}" for name, code in exit_codes.items())
