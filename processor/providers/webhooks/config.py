"""What a provider's webhook is configured with: how a call is verified, and how its body is read."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping


@dataclass(frozen=True, slots=True)
class Verification:
    """How a call shows that it comes from the provider; see `signatures.SCHEMES`."""

    scheme: str
    secrets: tuple[str, ...] = field(default=(), repr=False)  # any of them fits: the new one and the old one
    username: str = ""  # of scheme basic
    header: str = ""  # that carries the signature or token, in lower case
    parameter: str = ""  # of the query that carries the token
    algorithm: str = "sha256"
    encoding: str = "hex"  # hex | base64
    prefix: str = ""  # before the signature
    signed: str = "{{ body }}"  # may hold {{ timestamp }} and {{ headers.NAME }} as well
    timestamp_header: str = ""  # in lower case
    timestamp_in: str = "unix_s"
    window_ms: int | None = None  # None: what the stage has


@dataclass(frozen=True, slots=True)
class Reading:
    """
    How a body becomes reports.

    Every path is a JMESPath expression, relative to one report (an object; of a form, its pairs). *states* maps a
    type, or `TYPE/SUBTYPE`, to a word of `core.vocabulary.STATES`; the longest that fits wins.
    """

    type: str
    states: Mapping[str, str]
    body: str = "json"  # json | form
    reports: str = "@"  # path to the list of reports, or to the only one
    embedded: str | None = None  # path to a text that holds the body proper, as JSON
    subtype: str | None = None
    event_id: str | None = None  # the provider's own id of the report, the same when it comes again
    provider_message_id: str | None = None
    id_ends_at: tuple[str, ...] = ()  # texts from which on the provider's id is not what it answered
    code: str | None = None
    occurred_at: str | None = None
    occurred_in: str = "iso8601"  # unix_s | unix_ms | iso8601 | rfc2822
    url: str | None = None
    user_agent: str | None = None
    echo: str | None = None  # path to a text that holds our ids as a query does: message_id=…&channel=…
    echo_in_query: bool = False  # the URL that is called holds them
    message_id: str | None = None
    channel: str | None = None
    external_id: str | None = None
    campaign_id: str | None = None
    attempt: str | None = None


@dataclass(frozen=True, slots=True)
class WebhookConfig:
    """One provider's webhook; built once, by settings."""

    verification: Verification
    reading: Reading
    only: Mapping[str, tuple[str, ...]] = field(default_factory=dict)  # paths into the body, and the values allowed
