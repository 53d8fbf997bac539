"""Messages as one HTTP request, pure; what does not depend on a message is worked out once."""

from __future__ import annotations

import re
from base64 import b64encode
from collections.abc import Callable, Mapping
from hashlib import blake2b
from typing import TYPE_CHECKING, Final
from urllib.parse import quote, urlencode, urlsplit

import orjson
from yarl import URL

from processor.core.words import Reason
from processor.providers.content import RECIPIENT_KINDS, is_line, refused, rejected
from processor.providers.http import multipart
from processor.providers.http.aws4 import Signer
from processor.providers.http.config import HEADER_NAME, WRITTEN
from processor.providers.http.template import (
    CONSTANTS,
    KNOWN,
    PLACEHOLDER,
    Missing,
    Scope,
    as_json,
    as_text,
    compiled,
    filler,
    is_known,
    names,
    strays,
    text,
)
from processor.providers.http.wire import Request

if TYPE_CHECKING:
    from collections.abc import Sequence

    from processor.core.message import Message
    from processor.core.outcome import Rejected
    from processor.providers.adapter import Submission
    from processor.providers.http.config import HttpConfig
    from processor.providers.http.template import Fill, Json

CARRIED: Final[Mapping[str, frozenset[str]]] = {
    "cc": frozenset({"cc", "recipients"}),
    "bcc": frozenset({"bcc", "recipients"}),
    "attachments": frozenset({"attachments"}),
}
"""Fields that a request must carry if the message has them, and the placeholders that do: nothing is dropped unseen."""

SHARED: Final = frozenset({*CONSTANTS, "items"})
"""Beside settings, what the parts of a bulk call that are not its items may name: the same for every message."""

HOST: Final = re.compile(r"([A-Za-z0-9.-]+|\[[0-9a-fA-F:.]+\])(:[0-9]{1,5})?")


class Requests:
    """
    How one provider's messages become requests.

    Raises ValueError, with the setting's name, for a configuration that could send nothing.
    """

    def __init__(self, config: HttpConfig) -> None:
        _check(config)
        self._recipient_kind = config.recipient_kind
        self._signer = _signer(config)
        self._method = config.method
        self.url = URL(address(config), encoded=True)
        self._query = {name: text(template, config) for name, template in config.query.items()}
        self._fixed = AUTHENTICATION[config.auth](config)
        self._headers = {name: text(template, config) for name, template in config.headers.items()}
        self._reference = config.idempotency_header
        self._item: Fill | None = None if config.item is None else filler(compiled(config.item, config))
        self._body = filler(compiled(config.body, config))
        self._encode = BODIES[config.body_kind]
        carried = frozenset(names(config.body, but=frozenset({"with"}))) | frozenset(
            names(config.item, but=frozenset({"with"}))
        )
        self._dropped = [field_name for field_name, carriers in CARRIED.items() if not carriers & carried]

    def refusal(self, message: Message) -> Rejected | None:
        """Return why *message* can never go through this provider; None if it can."""
        found = refused(message, recipient_kind=self._recipient_kind)
        if found is not None:
            return found
        for field_name in self._dropped:
            if getattr(message, field_name):
                return rejected(Reason.INVALID_CONTENT, field_name)
        if any(attachment.content is None for attachment in message.attachments):
            return rejected(Reason.INVALID_CONTENT, "attachments")  # by reference, and nobody fetched it
        if message.text is None and message.html is None:
            return rejected(Reason.INVALID_CONTENT, "text")
        return None

    def build(self, batch: Sequence[Submission], *, now_ms: int) -> Request | Rejected:
        """Return the request that sends *batch*, all of whose messages passed `refusal`; *now_ms* dates a signature."""
        try:
            scope = Scope(batch[0], None if self._item is None else self._items(batch, self._item))
            body, content_type = self._encode(self._body(scope))
            url = self._address(scope)
        except (TypeError, ValueError):  # half a surrogate pair in a property, or one that was to be an address
            return rejected(Reason.INVALID_CONTENT, "properties")
        headers = dict(self._fixed)
        for name, fill in self._headers.items():
            if value := fill(scope):
                if not _is_header_value(value):
                    return rejected(Reason.INVALID_CONTENT, "properties")
                headers[name] = value
        if self._reference is not None:
            headers[self._reference] = _reference(batch)
        headers["Content-Type"] = content_type
        if self._signer is not None:
            headers = self._signer.signed(headers, method=self._method, url=str(url), body=body, now_ms=now_ms)
        return Request(body, headers, url)

    def _items(self, batch: Sequence[Submission], item: Fill) -> list[Json]:
        filled = [item(Scope(asked)) for asked in batch]
        return [value for value in filled if not isinstance(value, Missing)]

    def _address(self, scope: Scope) -> URL:
        if not self._query:
            return self.url
        pairs = urlencode({name: value for name, fill in self._query.items() if (value := fill(scope))})
        return URL(f"{self.url}{'&' if self.url.raw_query_string else '?'}{pairs}", encoded=True)


def address(config: HttpConfig) -> str:
    """Return where requests go, constants filled in and percent-encoded: none adds a path, a host or a query."""

    def constant(found: re.Match[str]) -> str:
        group, _, key = found[1].partition(".")
        value = config.settings.get(key) if group == "settings" else config.username if group == "username" else None
        if not value:
            raise ValueError(f"url: {found[1]} has no value; write it, or another url")
        return quote(value, safe="")

    return PLACEHOLDER.sub(constant, config.url)


def _check(config: HttpConfig) -> None:
    url = urlsplit(address(config))
    if url.scheme not in {"http", "https"} or not HOST.fullmatch(url.netloc):
        raise ValueError("url: write an address that starts with https:// or http://")
    if not re.fullmatch(r"[!-~]+", address(config)):
        raise ValueError("url: percent-encode what is not a visible character of ASCII")
    for setting, header_names in (
        ("headers", config.headers),
        ("auth_header", filter(None, [config.auth_header])),
        ("idempotency_header", filter(None, [config.idempotency_header])),
    ):
        if any(not HEADER_NAME.fullmatch(name) or name.lower() in WRITTEN for name in header_names):
            raise ValueError(f"{setting}: holds what is no header's name, or one that is written with the body")
    for setting, value, allowed in (
        ("auth", config.auth, AUTHENTICATION),
        ("body_kind", config.body_kind, BODIES),
        ("recipient_kind", config.recipient_kind, RECIPIENT_KINDS),
    ):
        if value not in allowed:
            raise ValueError(f"{setting}: write one of {', '.join(allowed)}")
    if not all(map(_is_header_value, AUTHENTICATION[config.auth](config).values())):
        raise ValueError("token: write one line of ASCII")
    if config.auth == "aws4" and not all(config.settings.get(key) for key in ("region", "service")):
        raise ValueError("settings: auth aws4 needs region and service")
    if config.body_kind != "json" and not isinstance(config.body, Mapping):
        raise ValueError("body: a form is a mapping of names to values")
    if config.body_kind == "form" and "attachments" in names(config.body):
        raise ValueError("body_kind: only json and multipart carry attachments")
    if ("items" in names(config.body)) != (config.item is not None):
        raise ValueError("item: a bulk call needs both an item and {{ items }} in the body")
    _check_templates(config)


def _check_templates(config: HttpConfig) -> None:
    templates = {"body": config.body, "item": config.item, "headers": config.headers, "query": config.query}
    for setting, template in templates.items():
        if next(strays(template), None) is not None:
            raise ValueError(f"{setting}: holds {{{{ that begins no placeholder")
        for name in names(template):
            if not is_known(name) and (setting, name) != ("body", "items"):
                raise ValueError(f"{setting}: {name} is not a placeholder; known ones: {', '.join(KNOWN)}")
            group, _, key = name.partition(".")
            if group == "settings" and key not in config.settings:
                raise ValueError(f"settings: {key} is missing, and {setting} names it")
            if config.item is not None and setting != "item" and not (group == "settings" or name in SHARED):
                raise ValueError(
                    f"{setting}: a call for several messages cannot take {name} of one; write it into item"
                )


def _is_header_value(value: str) -> bool:
    return value.isascii() and is_line(value)


def _reference(batch: Sequence[Submission]) -> str:
    """The same for the same messages, whatever the attempt."""
    if len(batch) == 1:
        return batch[0].message.head.message_id
    ids = "\n".join(asked.message.head.message_id for asked in batch)
    return blake2b(ids.encode(), digest_size=16).hexdigest()


def _signer(config: HttpConfig) -> Signer | None:
    if config.auth != "aws4":
        return None
    settings = config.settings
    return Signer(
        config.username or "", config.password or "", settings["region"], settings["service"], config.token or None
    )


def _basic(config: HttpConfig) -> dict[str, str]:
    pair = f"{config.username or ''}:{config.password or ''}".encode()
    return {"Authorization": f"Basic {b64encode(pair).decode('ascii')}"}  # RFC 7617


def _header(config: HttpConfig) -> dict[str, str]:
    if not config.token:
        return {}
    return {config.auth_header or "Authorization": " ".join(filter(None, (config.auth_scheme, config.token)))}


AUTHENTICATION: Final[Mapping[str, Callable[[HttpConfig], dict[str, str]]]] = {
    "none": lambda _: {},
    "basic": _basic,
    "bearer": lambda config: {"Authorization": f"Bearer {config.token or ''}"},  # RFC 6750 §2.1
    "header": _header,
    "aws4": lambda _: {},  # signs each request
}


def _json(value: Json | Missing) -> tuple[bytes, str]:
    return orjson.dumps(value, as_json, orjson.OPT_PASSTHROUGH_DATACLASS), "application/json"


def _form(value: Json | Missing) -> tuple[bytes, str]:
    """Encode a flat mapping; a list becomes one pair for each of its values."""
    members = value if isinstance(value, dict) else {}
    lists = {
        name: [as_text(item) for item in (item if isinstance(item, list) else [item])] for name, item in members.items()
    }
    return urlencode(lists, doseq=True).encode("ascii"), "application/x-www-form-urlencoded"


def _multipart(value: Json | Missing) -> tuple[bytes, str]:
    return multipart.encoded(value if isinstance(value, dict) else {})


BODIES: Final[Mapping[str, Callable[[Json | Missing], tuple[bytes, str]]]] = {
    "json": _json,
    "form": _form,
    "multipart": _multipart,
}
