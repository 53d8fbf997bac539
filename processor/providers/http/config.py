"""What an HTTP provider is configured with."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

HEADER_NAME: Final = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
"""RFC 9110 §5.6.2, token."""

WRITTEN: Final = frozenset({"connection", "content-length", "content-type", "transfer-encoding"})
"""Headers that say how the request is written, and so are written with it."""

Template = str | int | float | bool | None | tuple["Template", ...] | list["Template"] | Mapping[str, "Template"]
"""
A JSON-like structure whose string leaves may hold placeholders.

Names: `to`, `cc`, `bcc`, `recipients`, `subject`, `text`, `html`, `attachments`, `message_id`, `attempt`, `channel`,
`external_id`, `campaign_id`, `purpose`, `username`, `password`, `token`, `properties.NAME`, `params.NAME`
(provider_params), `settings.NAME` and, in the body of a bulk call, `items`. A leaf that is exactly one placeholder
takes the typed value, and is left out of its object where the message has none; within text it becomes text. Nothing
is ever pasted into a serialised body. For `{{ each NAME }}`, `{{ with NAME }}` and `{{ url NAME }}` see template.py.
"""


@dataclass(frozen=True, slots=True)
class HttpConfig:
    """A service and how a message becomes a request to it; built once, by settings."""

    url: str  # may hold {{ settings.NAME }} and {{ username }}, never a message's value: it cannot choose where it goes
    body: Template = field(repr=False)
    method: str = "POST"
    headers: Mapping[str, str] = field(default_factory=dict, repr=False)  # values may hold placeholders
    query: Mapping[str, str] = field(default_factory=dict, repr=False)  # likewise; appended to the URL
    body_kind: str = "json"  # json | form | multipart
    settings: Mapping[str, str] = field(default_factory=dict, repr=False)  # for placeholders
    countries: tuple[int, ...] = ()  # calling codes that may be sent to, for recipient_kind phone; none: all
    recipient_kind: str = "any"  # email | phone | any: the form that `to` must have
    # Authentication: none | basic (username, password) | bearer (token) | header (auth_header: [auth_scheme] token) |
    # aws4 (username: access key id, password: secret access key, token: session token; settings region and service).
    auth: str = "none"
    username: str | None = None
    password: str | None = field(default=None, repr=False)
    token: str | None = field(default=None, repr=False)
    auth_header: str | None = None  # name of the header that carries the token, such as X-Api-Key
    auth_scheme: str | None = None  # word before the token in that header
    # The answer. Paths are JMESPath expressions, relative to each result where `results` is set.
    provider_message_id: str | None = None
    provider_message_id_header: str | None = None  # where the id is in a header instead
    code: str | None = None
    code_header: str | None = None  # likewise; up to its first colon
    segments: str | None = None  # path to the number of short messages
    part_ids: str | None = None  # path to the ids of a text's parts, where receipts come for each part
    # accepted | deferred | throttled | rejected | unknown | authentication | unavailable
    statuses: Mapping[int, str] = field(default_factory=dict)  # over the table of HTTP status codes
    codes: Mapping[str, str] = field(default_factory=dict)  # by the answer's own code; wins over the status
    retry_after_headers: Mapping[str, str] = field(default_factory=dict)  # beside Retry-After: name to seconds | unix_s
    idempotency_header: str | None = None  # carries the message id, the same for each attempt
    # Several messages in one call: `body` holds `{{ items }}`, and `item` is the template of each.
    item: Template = field(default=None, repr=False)
    results: str | None = None  # path to the list of results
    result_reference: str | None = None  # path, in a result, to the message id; None: results are in order
    connections: int = 100
    keep_alive_ms: int = 4_000  # below the 5 s after which common servers hang up, so that no call meets that
    ca_file: str | None = None  # PEM file of further trusted authorities
    connect_timeout_ms: int = 10_000
    answer_timeout_ms: int = 30_000  # from the connection to the end of the answer
    answer_bytes_max: int = 65_536
