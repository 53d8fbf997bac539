"""Messages as one HTTP request, pure."""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Callable, Mapping
from hashlib import blake2b
from typing import TYPE_CHECKING, Final
from urllib.parse import urlencode, urlsplit

import orjson

from processor.core.words import Reason
from processor.providers.content import RECIPIENT_KINDS, is_line, refused, rejected
from processor.providers.http.template import NAMES, Missing, Scope, as_text, filled, filled_text, is_known, names
from processor.providers.http.wire import Request

if TYPE_CHECKING:
    from collections.abc import Sequence

    from processor.core.message import Message
    from processor.core.outcome import Rejected
    from processor.providers.adapter import Submission
    from processor.providers.http.config import HttpConfig
    from processor.providers.http.template import Json

CONTENT_TYPES: Final = {"json": "application/json", "form": "application/x-www-form-urlencoded"}

CARRIED: Final[Mapping[str, frozenset[str]]] = {
    "cc": frozenset({"cc", "recipients"}),
    "bcc": frozenset({"bcc", "recipients"}),
    "attachments": frozenset({"attachments"}),
}
"""Fields that a request must carry if the message has them, and the placeholders that do: nothing is dropped unseen."""


def refusal(message: Message, config: HttpConfig) -> Rejected | None:
    """Return why *message* can never go through this provider; None if it can."""
    found = refused(message, recipient_kind=config.recipient_kind)
    if found is not None:
        return found
    mentioned = frozenset(names(config.body)) | frozenset(names(config.item))
    for field_name, carriers in CARRIED.items():
        if getattr(message, field_name) and not carriers & mentioned:
            return rejected(Reason.INVALID_CONTENT, field_name)
    if any(attachment.content is None for attachment in message.attachments):
        return rejected(Reason.INVALID_CONTENT, "attachments")  # by reference: not yet
    if message.text is None and message.html is None:
        return rejected(Reason.INVALID_CONTENT, "text")
    return None


def build(batch: Sequence[Submission], config: HttpConfig) -> Request | Rejected:
    """Return the request that sends *batch*, all of whose messages passed `refusal`."""
    items = [filled(config.item, Scope(asked, config)) for asked in batch] if config.item is not None else None
    scope = Scope(batch[0], config, [item for item in items if not isinstance(item, Missing)] if items else None)
    headers = _headers(batch, scope, config)
    if not all(map(_is_header_value, headers.values())):
        return rejected(Reason.INVALID_CONTENT, "properties")
    try:
        body = BODIES[config.body_kind](filled(config.body, scope))
    except (TypeError, UnicodeEncodeError):  # orjson: half a surrogate pair in a property
        return rejected(Reason.INVALID_CONTENT, "properties")
    return Request(body, CONTENT_TYPES[config.body_kind], headers)


def check(config: HttpConfig) -> None:
    """Raise ValueError, with the setting's name, for a configuration that could send nothing."""
    url = urlsplit(config.url)
    if url.scheme not in {"http", "https"} or not url.hostname:
        raise ValueError("url: write an address that starts with https:// or http://")
    for setting, value, allowed in (
        ("auth", config.auth, AUTHENTICATION),
        ("body_kind", config.body_kind, BODIES),
        ("recipient_kind", config.recipient_kind, RECIPIENT_KINDS),
    ):
        if value not in allowed:
            raise ValueError(f"{setting}: write one of {', '.join(allowed)}")
    if not all(map(_is_header_value, AUTHENTICATION[config.auth](config).values())):
        raise ValueError("token: write one line of ASCII")
    templates = {"body": config.body, "item": config.item, "headers": config.headers}
    for setting, template in templates.items():
        unknown = [name for name in names(template) if not is_known(name) and (setting, name) != ("body", "items")]
        if unknown:
            raise ValueError(f"{setting}: {unknown[0]} is not a placeholder; known ones: {', '.join(sorted(NAMES))}")
    if config.body_kind == "form" and not isinstance(config.body, Mapping):
        raise ValueError("body: a form is a mapping of names to values")
    if ("items" in names(config.body)) != (config.item is not None):
        raise ValueError("item: a bulk call needs both an item and {{ items }} in the body")


def _headers(batch: Sequence[Submission], scope: Scope, config: HttpConfig) -> dict[str, str]:
    filled_in = {name: filled_text(template, scope) for name, template in config.headers.items()}
    headers = {name: text for name, text in filled_in.items() if text}
    if config.idempotency_header is not None:
        headers[config.idempotency_header] = _reference(batch)
    return headers | AUTHENTICATION[config.auth](config)


def _is_header_value(text: str) -> bool:
    return text.isascii() and is_line(text)


def _reference(batch: Sequence[Submission]) -> str:
    """The same for the same messages, whatever the attempt."""
    ids = [asked.message.head.message_id for asked in batch]
    return ids[0] if len(ids) == 1 else blake2b("\n".join(ids).encode(), digest_size=16).hexdigest()


def _basic(config: HttpConfig) -> dict[str, str]:
    pair = f"{config.username or ''}:{config.password or ''}".encode()
    return {"Authorization": f"Basic {b64encode(pair).decode('ascii')}"}  # RFC 7617


AUTHENTICATION: Final[Mapping[str, Callable[[HttpConfig], dict[str, str]]]] = {
    "none": lambda _: {},
    "basic": _basic,
    "bearer": lambda config: {"Authorization": f"Bearer {config.token or ''}"},  # RFC 6750 §2.1
    "header": lambda config: {config.auth_header or "Authorization": config.token} if config.token else {},
}


def _form(value: Json | Missing) -> bytes:
    """Encode a flat mapping; a list becomes one pair for each of its values."""
    members = value if isinstance(value, dict) else {}
    lists = {
        name: [as_text(item) for item in (item if isinstance(item, list) else [item])] for name, item in members.items()
    }
    return urlencode(lists, doseq=True).encode("ascii")


BODIES: Final[Mapping[str, Callable[[Json | Missing], bytes]]] = {"json": orjson.dumps, "form": _form}
