"""Placeholders, filled structurally: a value lands in its leaf and nowhere else."""

from __future__ import annotations

import re
from base64 import b64encode
from collections.abc import Mapping
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from processor.core.message import Attachment
    from processor.providers.adapter import Submission
    from processor.providers.http.config import HttpConfig, Template

PLACEHOLDER: Final = re.compile(r"\{\{\s*([A-Za-z_]+(?:\.[A-Za-z0-9_-]+)?)\s*\}\}")


class Missing:
    """The message has no such value; a type of its own, because None is a value of JSON."""


MISSING: Final = Missing()

Json = str | int | float | bool | None | list["Json"] | dict[str, "Json"]


class Scope:
    """What placeholders may name, for one submission (and, in a bulk call, for all: `items`)."""

    def __init__(self, submission: Submission, config: HttpConfig, items: list[Json] | None = None) -> None:
        self._submission = submission
        self._config = config
        self._items = items

    def value(self, name: str) -> Json | Missing:
        """Return the typed value of a placeholder; what is empty counts as missing."""
        group, _, key = name.partition(".")
        if key:
            return GROUPS[group](self._submission, self._config).get(key, MISSING)
        if name == "items":
            return MISSING if self._items is None else self._items
        value = NAMES[name](self._submission, self._config)
        return MISSING if value is None or value in ("", []) else value


NAMES: Final[Mapping[str, Callable[[Submission, HttpConfig], Json]]] = {
    "to": lambda asked, _: asked.message.to,
    "cc": lambda asked, _: list(asked.message.cc),
    "bcc": lambda asked, _: list(asked.message.bcc),
    "recipients": lambda asked, _: [asked.message.to, *asked.message.cc, *asked.message.bcc],
    "subject": lambda asked, _: asked.message.subject,
    "text": lambda asked, _: asked.message.text,
    "html": lambda asked, _: asked.message.html,
    "attachments": lambda asked, _: [_attachment(attachment) for attachment in asked.message.attachments],
    "message_id": lambda asked, _: asked.message.head.message_id,
    "attempt": lambda asked, _: asked.attempt,
    "channel": lambda asked, _: asked.message.head.channel,
    "external_id": lambda asked, _: asked.message.head.external_id,
    "campaign_id": lambda asked, _: asked.message.head.campaign_id,
    "purpose": lambda asked, _: asked.message.head.purpose.value,
    "username": lambda _, config: config.username,
    "password": lambda _, config: config.password,
    "token": lambda _, config: config.token,
}

GROUPS: Final[Mapping[str, Callable[[Submission, HttpConfig], Mapping[str, str]]]] = {
    "properties": lambda asked, _: asked.message.properties,
    "params": lambda asked, _: asked.message.provider_params,
    "settings": lambda _, config: config.settings,
}


def filled(template: Template, scope: Scope) -> Json | Missing:
    """Return *template* with its leaves filled; members whose value is missing are left out."""
    if isinstance(template, str):
        return _leaf(template, scope)
    if isinstance(template, Mapping):
        members = ((key, filled(value, scope)) for key, value in template.items())
        return {key: value for key, value in members if not isinstance(value, Missing)}
    if isinstance(template, list | tuple):
        return [value for value in (filled(item, scope) for item in template) if not isinstance(value, Missing)]
    return template


def filled_text(template: str, scope: Scope) -> str:
    """Return *template* as text, whatever the types of its values; missing ones are empty."""
    return PLACEHOLDER.sub(lambda found: as_text(scope.value(found[1])), template)


def as_text(value: Json | Missing) -> str:
    """Return a value as it stands within text."""
    if isinstance(value, Missing) or value is None:
        return ""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, list):
        return ",".join(map(as_text, value))
    return str(value)


def names(template: Template) -> Iterator[str]:
    """Every placeholder in *template*."""
    if isinstance(template, str):
        yield from (found[1] for found in PLACEHOLDER.finditer(template))
    elif isinstance(template, Mapping):
        for value in template.values():
            yield from names(value)
    elif isinstance(template, list | tuple):
        for value in template:
            yield from names(value)


def is_known(name: str) -> bool:
    """Tell whether a placeholder of that name has a meaning."""
    group, _, key = name.partition(".")
    return group in GROUPS if key else name in NAMES


def _leaf(template: str, scope: Scope) -> Json | Missing:
    if "{{" not in template:
        return template
    whole = PLACEHOLDER.fullmatch(template)
    return scope.value(whole[1]) if whole else filled_text(template, scope)


def _attachment(attachment: Attachment) -> Json:
    content = b64encode(attachment.content or b"").decode("ascii")
    return {"name": attachment.file_name, "type": attachment.content_type, "content": content}
