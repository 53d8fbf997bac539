"""Placeholders, filled structurally: a value lands in its leaf and nowhere else. Templates are compiled once."""

from __future__ import annotations

import re
from base64 import b64encode
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import urlencode, urlsplit, urlunsplit

from processor.core.message import Attachment

if TYPE_CHECKING:
    from processor.core.message import Message
    from processor.core.plan import Form
    from processor.providers.adapter import Submission
    from processor.providers.http.config import HttpConfig, Template

PLACEHOLDER: Final = re.compile(r"\{\{\s*([A-Za-z_]+(?:\.[A-Za-z0-9_-]+)?)\s*\}\}")
BLOCK: Final = re.compile(r"\{\{\s*(each|fit|join|with|url)\s+([A-Za-z_]+(?:\.[A-Za-z0-9_-]+)?)\s*\}\}")


class Missing:
    """The message has no such value; a type of its own, because None is a value of JSON."""


MISSING: Final = Missing()

Json = str | int | float | bool | None | Attachment | list["Json"] | dict[str, "Json"]
"""What a filled template is made of; an attachment stays one until the body is written in its encoding."""


class Scope:
    """What placeholders may name, for one submission (and, in a bulk call, for all: `items`)."""

    __slots__ = ("attempt", "form", "it", "items", "message")

    def __init__(self, submission: Submission, items: list[Json] | None = None) -> None:
        self.message: Message = submission.message
        self.attempt = submission.attempt
        self.form: Form = submission.form
        self.items = items
        self.it: Json = None  # within {{ each … }}: the one at hand


Fill = Callable[[Scope], Json | Missing]


@dataclass(frozen=True, slots=True)
class Constant:
    """A part of a template that is the same for every message."""

    value: Json | Missing


ONE_CLICK: Final = "List-Unsubscribe=One-Click"  # RFC 8058 §3.1


def _list_unsubscribe(scope: Scope) -> Json | Missing:
    address = scope.form.list_unsubscribe
    return address.replace("{{ message_id }}", scope.message.head.message_id) if address else MISSING


def _list_unsubscribe_post(scope: Scope) -> Json | Missing:
    return ONE_CLICK if (scope.form.list_unsubscribe or "").startswith(("https:", "http:")) else MISSING


ECHO_CHARS_MAX: Final = 512
"""Of all that a provider is to give back with its reports; the longest mail headers and URLs take it."""


def _echo(scope: Scope) -> Json | Missing:
    """Return our ids as the pairs of a query, as many as fit: what a report lacks is found by a join."""
    head = scope.message.head
    told = ("message_id", head.message_id), ("attempt", str(scope.attempt)), ("channel", head.channel)
    text = urlencode(told)
    for name, value in (("campaign_id", head.campaign_id), ("external_id", head.external_id)):
        longer = f"{text}&{urlencode({name: value}, errors='replace')}" if value else text
        text = longer if len(longer) <= ECHO_CHARS_MAX else text
    return text


NAMES: Final[Mapping[str, Fill]] = {
    "to": lambda scope: scope.message.to or MISSING,
    "to_digits": lambda scope: scope.message.to.removeprefix("+") or MISSING,
    "cc": lambda scope: list(scope.message.cc) or MISSING,
    "bcc": lambda scope: list(scope.message.bcc) or MISSING,
    "recipients": lambda scope: [scope.message.to, *scope.message.cc, *scope.message.bcc],
    "subject": lambda scope: scope.message.subject or MISSING,
    "text": lambda scope: scope.message.text or MISSING,
    "html": lambda scope: scope.message.html or MISSING,
    "attachments": lambda scope: list(scope.message.attachments) or MISSING,
    "message_id": lambda scope: scope.message.head.message_id,
    "attempt": lambda scope: scope.attempt,
    "channel": lambda scope: scope.message.head.channel,
    "external_id": lambda scope: scope.message.head.external_id or MISSING,
    "campaign_id": lambda scope: scope.message.head.campaign_id or MISSING,
    "echo": _echo,
    "purpose": lambda scope: scope.message.head.purpose.value,
    "list_unsubscribe": _list_unsubscribe,
    "list_unsubscribe_post": _list_unsubscribe_post,
}
"""What placeholders read of a message; what is empty counts as missing."""

CONSTANTS: Final[Mapping[str, Callable[[HttpConfig], str | None]]] = {
    "username": lambda config: config.username,
    "password": lambda config: config.password,
    "token": lambda config: config.token,
}

GROUPS: Final[Mapping[str, Callable[[Scope], Mapping[str, str]]]] = {
    "properties": lambda scope: scope.message.properties,
    "params": lambda scope: scope.message.provider_params,
}

PARTS: Final[Mapping[str, Callable[[Attachment], str]]] = {
    "name": lambda attachment: base_name(attachment.file_name),
    "type": lambda attachment: attachment.content_type,
    "content": lambda attachment: b64encode(attachment.content or b"").decode("ascii"),
}
"""What `{{ it.… }}` gives of an attachment within `{{ each attachments }}`; its content in base64."""

KNOWN: Final = sorted({*NAMES, *CONSTANTS, *(f"{group}.NAME" for group in (*GROUPS, "settings"))})
"""What an error tells of the placeholders there are."""


def is_known(name: str) -> bool:
    """Tell whether a placeholder of that name has a meaning."""
    group, _, key = name.partition(".")
    if group == "it":
        return not key or key in PARTS
    return group in {*GROUPS, "settings"} if key else name in NAMES or name in CONSTANTS


def names(template: Template, *, but: frozenset[str] = frozenset()) -> Iterator[str]:
    """Every name in *template*, those in blocks too, except in blocks of the kinds in *but*."""
    if isinstance(template, str):
        yield from (found[1] for found in PLACEHOLDER.finditer(template))
    elif isinstance(template, Mapping):
        for key, value in template.items():
            block = BLOCK.fullmatch(key)
            if block and block[1] not in but:
                yield block[2]
            yield from names(value, but=but)
    elif isinstance(template, list | tuple):
        for value in template:
            yield from names(value, but=but)


def strays(template: Template) -> Iterator[str]:
    """Every text in *template* with `{{` that is neither a placeholder nor, as the only key of a mapping, a block."""
    if isinstance(template, str):
        if "{{" in PLACEHOLDER.sub("", template):
            yield template
    elif isinstance(template, Mapping):
        for key, value in template.items():
            if "{{" in key and not (len(template) == 1 and _is_block(key, value)):
                yield key
            yield from strays(value)
    elif isinstance(template, list | tuple):
        for value in template:
            yield from strays(value)


def _is_block(key: str, value: Template) -> bool:
    block = BLOCK.fullmatch(key)
    return block is not None and (block[1] != "fit" or type(value) is int)


def compiled(template: Template, config: HttpConfig) -> Fill | Constant:
    """
    Return what fills *template*; members whose value is missing are left out.

    A mapping with the one key `{{ each NAME }}` becomes a list with its value filled for each, `{{ join NAME }}` a
    text with its value between them, `{{ with NAME }}` its value only if the message has NAME, `{{ fit NAME }}` NAME
    as text, if it is at most so many bytes of UTF-8, `{{ url NAME }}` the address NAME with the mapping, or a text that
    is one already, as its query. What is the same for every message is worked out here, once.
    """
    if isinstance(template, str):
        return _leaf(template, config)
    if isinstance(template, Mapping):
        key = next(iter(template), "")
        block = BLOCK.fullmatch(key) if len(template) == 1 else None
        return BLOCKS[block[1]](block[2], template[key], config) if block else _object(template, config)
    if isinstance(template, list | tuple):
        return _array(template, config)
    return Constant(template)


def text(template: str, config: HttpConfig) -> Callable[[Scope], str]:
    """Return what fills *template* as text, whatever the types of its values; missing ones are empty."""
    made = _text(template, config)
    if isinstance(made, Constant):
        fixed = as_text(made.value)
        return lambda _: fixed
    return made


def as_text(value: Json | Missing) -> str:
    """Return a value as it stands within text."""
    if isinstance(value, str):
        return value
    if isinstance(value, Missing | Attachment) or value is None:
        return ""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, list):
        return ",".join(map(as_text, value))
    return str(value)


def as_json(value: Any) -> Any:
    """Return an attachment as it stands in JSON where the template does not say how; for orjson's `default`."""
    if isinstance(value, Attachment):
        return {part: read(value) for part, read in PARTS.items()}
    raise TypeError(type(value).__name__)


def base_name(file_name: str) -> str:
    """Return *file_name* without directories: a path would let a message choose where a careless reader saves it."""
    return re.split(r"[/\\]", file_name)[-1].strip(". ") or "attachment"


def value_of(name: str, config: HttpConfig) -> Fill | Constant:
    """Return what reads the placeholder *name*; what is empty counts as missing, but for a message's own pairs."""
    group, _, key = name.partition(".")
    if group == "settings" or name in CONSTANTS:
        fixed = config.settings.get(key) if key else CONSTANTS[name](config)
        return Constant(fixed or MISSING)
    if group == "it":
        return _part(key) if key else lambda scope: scope.it
    if key:
        pairs = GROUPS[group]
        return lambda scope: pairs(scope).get(key, MISSING)
    if name == "items":
        return lambda scope: MISSING if scope.items is None else scope.items
    return NAMES[name]


def _part(key: str) -> Fill:
    read = PARTS[key]
    return lambda scope: read(scope.it) if isinstance(scope.it, Attachment) else MISSING


def _leaf(template: str, config: HttpConfig) -> Fill | Constant:
    whole = PLACEHOLDER.fullmatch(template)
    return value_of(whole[1], config) if whole else _text(template, config)


def _text(template: str, config: HttpConfig) -> Callable[[Scope], str] | Constant:
    pieces = PLACEHOLDER.split(template)  # literal, name, literal, name, …, literal
    fills = [value_of(piece, config) if at % 2 else Constant(piece) for at, piece in enumerate(pieces)]
    if all(isinstance(fill, Constant) for fill in fills):
        return Constant("".join(as_text(fill.value) for fill in fills if isinstance(fill, Constant)))
    return lambda scope: "".join(as_text(fill.value if isinstance(fill, Constant) else fill(scope)) for fill in fills)


def _object(template: Mapping[str, Template], config: HttpConfig) -> Fill | Constant:
    members = [(key, compiled(value, config)) for key, value in template.items()]
    if all(isinstance(made, Constant) for _, made in members):
        fixed = {key: made.value for key, made in members if isinstance(made, Constant)}
        return Constant({key: value for key, value in fixed.items() if not isinstance(value, Missing)})
    steps = [(key, *_step(made)) for key, made in members]

    def fill(scope: Scope) -> Json:
        filled: dict[str, Json] = {}
        for key, make, fixed in steps:
            value = fixed if make is None else make(scope)
            if not isinstance(value, Missing):
                filled[key] = value
        return filled

    return fill


def _array(template: list[Template] | tuple[Template, ...], config: HttpConfig) -> Fill | Constant:
    items = [compiled(item, config) for item in template]
    if all(isinstance(made, Constant) for made in items):
        values = [made.value for made in items if isinstance(made, Constant)]
        return Constant([value for value in values if not isinstance(value, Missing)])
    steps = [_step(made) for made in items]

    def fill(scope: Scope) -> Json:
        values = [fixed if make is None else make(scope) for make, fixed in steps]
        return [value for value in values if not isinstance(value, Missing)]

    return fill


def _each(name: str, template: Template, config: HttpConfig) -> Fill | Constant:
    listed, make = value_of(name, config), filler(compiled(template, config))
    read = filler(listed)

    def fill(scope: Scope) -> Json | Missing:
        found = read(scope)
        if not isinstance(found, list):
            return MISSING
        made: list[Json] = []
        for scope.it in found:
            value = make(scope)
            if not isinstance(value, Missing):
                made.append(value)
        return made

    return fill


def _join(name: str, template: Template, config: HttpConfig) -> Fill | Constant:
    read, separator = filler(value_of(name, config)), str(template)

    def fill(scope: Scope) -> Json | Missing:
        found = read(scope)
        return separator.join(map(as_text, found)) if isinstance(found, list) else found

    return fill


def _with(name: str, template: Template, config: HttpConfig) -> Fill | Constant:
    read, made = value_of(name, config), compiled(template, config)
    if isinstance(read, Constant):
        return Constant(MISSING) if isinstance(read.value, Missing) else made
    make = filler(made)
    return lambda scope: MISSING if isinstance(read(scope), Missing) else make(scope)


def _fit(name: str, template: Template, config: HttpConfig) -> Fill | Constant:
    read, most = filler(value_of(name, config)), int(str(template))

    def fill(scope: Scope) -> Json | Missing:
        found = as_text(read(scope))
        return found if 0 < len(found.encode("utf-8", "surrogatepass")) <= most else MISSING

    return fill


def _url(name: str, template: Template, config: HttpConfig) -> Fill | Constant:
    read, make = value_of(name, config), filler(compiled(template, config))
    if isinstance(read, Constant) and isinstance(read.value, Missing):
        return Constant(MISSING)
    base = filler(read)

    def fill(scope: Scope) -> Json | Missing:
        parts, query = urlsplit(as_text(base(scope))), make(scope)
        given = {key: as_text(value) for key, value in query.items()} if isinstance(query, dict) else {}
        pairs = query if isinstance(query, str) else urlencode(given)
        return urlunsplit(parts._replace(query="&".join(filter(None, (parts.query, pairs)))))

    return fill


BLOCKS: Final[Mapping[str, Callable[[str, Template, HttpConfig], Fill | Constant]]] = {
    "each": _each,
    "fit": _fit,
    "join": _join,
    "with": _with,
    "url": _url,
}


def filler(made: Fill | Constant) -> Fill:
    """Return *made* as something to call."""
    if isinstance(made, Constant):
        fixed = made.value
        return lambda _: fixed
    return made


def _step(made: Fill | Constant) -> tuple[Fill | None, Json | Missing]:
    return (None, made.value) if isinstance(made, Constant) else (made, MISSING)
