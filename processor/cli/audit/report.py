"""What an audit found, for people and for programs."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from rich.table import Table

from processor.cli.output import plain, table_of
from processor.core.audit.account import PROMISES, Account, Line, Promise, Source
from processor.core.audit.story import Rules

SECRETS: Final = "secrets"
ROWS: Final[Mapping[str, Promise]] = {
    **PROMISES,
    SECRETS: Promise("places that tell a secret", lambda *_: (), Source.SECRETS),
}
"""What is told, in this order; secrets are looked for in bytes and not in stories."""
WITHOUT: Final = {
    Source.ASKED: "needs --asked: what producers noted",
    Source.CALLS: "needs --calls: what providers noted",
    Source.SECRETS: "needs --secrets: what to look for",
}
NOT_WHOLE: Final = "the inbound topics do not hold what was asked before"
OF_WHOLE: Final = frozenset({"phantom_result", "phantom_call", "repeats_nothing", "misjudged", "untold"})
HOLDS, BROKEN, UNCHECKED = "holds", "BROKEN", "not checked"


@dataclass(frozen=True, slots=True)
class Audit:
    """An account, and what belongs beside it."""

    account: Account
    rules: Rules
    sources: Sequence[Source]
    waiting: Mapping[str, int]  # records, by topic
    secrets: Line
    unreadable: int  # events that this release cannot read
    older: int  # acknowledged records that the topics no longer hold
    files: int  # that were looked through

    @property
    def holds(self) -> bool:
        """Tell whether nothing that could be checked is broken."""
        return not self.account.breaches() and not self.secrets.broken and not self.unreadable

    def as_json(self) -> dict[str, Any]:
        """Return everything, by name."""
        account = self.account
        return {
            "holds": self.holds,
            "promises": [self._promise(name, promise) for name, promise in ROWS.items()],
            "records": account.records,
            "results": account.results,
            "calls": account.calls,
            "attempts_in_doubt": account.doubts,
            "waiting": dict(sorted(self.waiting.items())),
            "unreadable_events": self.unreadable,
            "acknowledged_before": self.older,
            "files_searched": self.files,
        }

    def _promise(self, name: str, promise: Promise) -> dict[str, Any]:
        line, why = self.line(name), self.why_unchecked(name)
        return {
            "name": name,
            "found": None if line is None or why else line.found,
            "allowed": self.account.allowed(name),
            "verdict": self.verdict(name),
            "examples": [] if line is None or why else line.examples,
            "why": why,
        }

    def line(self, name: str) -> Line | None:
        """Return what was found of a promise; None where nothing could be."""
        return self.secrets if name == SECRETS else self.account.lines.get(name)

    def why_unchecked(self, name: str) -> str | None:
        """Return why a promise could not be checked; None where it was."""
        source = ROWS[name].source
        if source is not Source.TOPICS and source not in self.sources:
            return WITHOUT[source]
        if name in OF_WHOLE and not self.rules.whole:
            return NOT_WHOLE
        if name == "still_waiting" and not self.rules.drained:
            return "may wait; --drained asks for it"
        return None

    def verdict(self, name: str) -> str:
        """Return whether a promise holds."""
        line = self.line(name)
        if line is None or self.why_unchecked(name):
            return UNCHECKED
        return BROKEN if line.broken else HOLDS


def print_audit(audit: Audit) -> None:
    """Print the tables."""
    account = audit.account
    table = Table("what must not be", "found", "allowed", "verdict", title="What was promised")
    for name, promise in ROWS.items():
        line, why = audit.line(name), audit.why_unchecked(name)
        if line is None or why:
            table.add_row(promise.what, "-", "-", f"{UNCHECKED}: {why}")
        else:
            table.add_row(promise.what, str(line.found), str(account.allowed(name)), audit.verdict(name))
    table_of(table)
    if audit.waiting:
        waiting = Table("topic", "records", title="What waits")
        for topic, count in sorted(audit.waiting.items()):
            waiting.add_row(topic, str(count))
        table_of(waiting)
    for name in ROWS:
        line = audit.line(name)
        if line is not None and line.broken:
            more = f", and {line.broken - len(line.examples)} more" if line.broken > len(line.examples) else ""
            print(f"{name}: {'; '.join(map(plain, line.examples))}{more}")
    for text in _notes(audit):
        print(text)
    counted = f"{account.records} records, {account.results} results, {account.calls} calls"
    told = "Every promise holds." if audit.holds else "NOT every promise holds."
    print(f"{counted}, {account.doubts} attempts in doubt. {told}")


def _notes(audit: Audit) -> list[str]:
    notes = []
    if audit.unreadable:
        notes.append(f"{audit.unreadable} events cannot be read: they are none of ours, or of a newer release.")
    if audit.older:
        notes.append(f"{audit.older} acknowledged records are older than what the topics hold.")
    if Source.SECRETS in audit.sources:
        notes.append(f"Secrets were looked for in {audit.files} files.")
    return notes
