"""
Scripted behaviour: what the sandbox does with a message, told by its recipient.

| recipient (before @, or up to a +) | SMTP                                   | HTTP                             |
| ---------------------------------- | -------------------------------------- | -------------------------------- |
| `bounce-550`                       | that code after the dot                | 422, with the code in the answer |
| `rcpt-550`, `rcpt-450-2x`          | that code to its RCPT; others go on    | as bounce                        |
| `defer-451`, `defer-451-2x`        | that code; with 2x twice per message   | 503                              |
| `throttle-421-2x`                  | that code, closing after 421           | 429, Retry-After: 1              |
| `drop-before-dot`                  | cut instead of the answer to DATA      | cut, nothing in the ledger       |
| `drop-after-dot`                   | in the ledger, then cut                | likewise                         |
| `answer-600`                       | in the ledger, then that code          | likewise                         |
| `slow-3s`, `slow-250ms`            | in the ledger, answered that much later| likewise                         |

Every rule takes `-2x`: that often per message id (to RCPT: per recipient), then accepted. Phone numbers say
the same by their last digits:

| ends in         | is                                                  |
| --------------- | --------------------------------------------------- |
| `0550`          | `bounce-550`                                        |
| `0451N`         | `defer-451-Nx`; N = 0: always                       |
| `0429N`         | `throttle-429-Nx`; N = 0: always                    |
| `0998`, `0999`  | `drop-before-dot`, `drop-after-dot`                 |
| `0502`          | `answer-502`                                        |
| `0700N`         | `slow-Ns`                                           |

What the short message centre answers is told in smsc.py.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Iterable


class Action(StrEnum):
    """What happens to a message."""

    ACCEPT = "accept"
    BOUNCE = "bounce"
    RCPT = "rcpt"
    DEFER = "defer"
    THROTTLE = "throttle"
    DROP_BEFORE_DOT = "drop-before-dot"
    DROP_AFTER_DOT = "drop-after-dot"
    ANSWER = "answer"


ACCEPTED_BY: Final = frozenset({Action.ACCEPT, Action.DROP_AFTER_DOT, Action.ANSWER})
"""Actions after which the sandbox has the message, whatever it answers."""

DEFAULT_CODES: Final = {Action.BOUNCE: 550, Action.RCPT: 550, Action.DEFER: 451, Action.THROTTLE: 421}


@dataclass(frozen=True, slots=True)
class Rule:
    """An action, and how it is done."""

    action: Action = Action.ACCEPT
    code: int = 250
    delay_ms: int = 0  # before the answer
    times: int = 0  # per message id, then ACCEPT; 0: always


ACCEPT: Final = Rule()

RULE: Final = re.compile(
    r"(?:slow-(?P<delay>\d{1,6})(?P<unit>ms|s)"
    r"|(?P<action>accept|drop-before-dot|drop-after-dot|(?:bounce|rcpt|defer|throttle|answer)(?=-|$))(?:-(?P<code>\d{3}))?)"
    r"(?:-(?P<times>\d{1,6})x)?"
)

NUMBERS: Final = (
    (re.compile(r"0550$"), "bounce-550"),
    (re.compile(r"0451(\d)$"), "defer-451-{0}x"),
    (re.compile(r"0429(\d)$"), "throttle-429-{0}x"),
    (re.compile(r"0998$"), "drop-before-dot"),
    (re.compile(r"0999$"), "drop-after-dot"),
    (re.compile(r"0502$"), "answer-502"),
    (re.compile(r"0700(\d)$"), "slow-{0}s"),
)


def parse_rule(text: str) -> Rule | None:
    """Return the rule that *text* names, None if it names none."""
    found = RULE.fullmatch(text)
    if found is None:
        return None
    times = int(found["times"] or 0)
    if found["delay"]:
        return Rule(delay_ms=int(found["delay"]) * (1000 if found["unit"] == "s" else 1), times=times)
    action = Action(found["action"])
    return Rule(action, int(found["code"] or DEFAULT_CODES.get(action, 250)), times=times)


def rule_of(recipient: str) -> Rule | None:
    """Return the rule that a recipient itself asks for."""
    local, at, _ = recipient.partition("@")
    if at:
        return parse_rule(local.partition("+")[0])
    for pattern, text in NUMBERS:
        found = pattern.search(recipient)
        if found:
            return parse_rule(text.format(*found.groups()))
    return None


class Behaviour:
    """The script in force, and how often each message has met its rule."""

    def __init__(self, script: Mapping[str, Any] | None = None) -> None:
        self._default = ACCEPT
        self._rules: dict[str, Rule] = {}
        self._met: Counter[tuple[str, Action]] = Counter()
        self.replace(script or {})

    def replace(self, script: Mapping[str, Any]) -> None:
        """
        Put *script* in force: rules by recipient or prefix of one, and `default` for all others.

        A rule is its text ("defer-451-2x"), or {"rule": text, "delay_ms": 50}. The longest prefix wins, and a
        script wins over the recipient's own name. Raises ValueError, naming the key.
        """
        rules = {key: _scripted(key, value) for key, value in script.items()}
        self._default = rules.pop("default", ACCEPT)
        self._rules = dict(sorted(rules.items(), key=lambda item: -len(item[0])))

    def of_recipient(self, recipient: str) -> Rule:
        """Return the rule for *recipient*, whatever the message."""
        for prefix, rule in self._rules.items():
            if recipient.startswith(prefix):
                return rule
        return rule_of(recipient) or self._default

    def apply(self, recipients: Iterable[str], reference: str) -> Rule:
        """Return what happens to the message *reference* now; the first recipient with a rule decides."""
        rules = [self.of_recipient(recipient) for recipient in recipients]
        rule = next((rule for rule in rules if rule is not self._default), self._default)
        if rule.times:
            self._met[reference, rule.action] += 1
            if self._met[reference, rule.action] > rule.times:
                return self._default if self._default.action is Action.ACCEPT else ACCEPT
        return rule


def _scripted(key: str, value: object) -> Rule:
    members = {"rule": value} if isinstance(value, str) else value
    if not isinstance(members, Mapping) or set(members) - {"rule", "delay_ms"}:
        raise ValueError(f'{key}: write a rule such as "defer-451-2x", or {{"rule": ..., "delay_ms": ...}}')
    rule = parse_rule(str(members.get("rule", "accept")))
    delay_ms = members.get("delay_ms", 0)
    if rule is None or not isinstance(delay_ms, int) or delay_ms < 0:
        raise ValueError(f"{key}: not a rule; the table of rules is in the sandbox's documentation")
    return Rule(rule.action, rule.code, delay_ms or rule.delay_ms, rule.times)
