"""Kinds of values: durations, sizes, times of day, secrets; each says in its errors what to write."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import tzinfo
from ipaddress import ip_address
from typing import Annotated, Any, Final

import jmespath
from jmespath.exceptions import JMESPathError
from pydantic import AfterValidator, BeforeValidator, PlainValidator, SecretStr, ValidationInfo
from pydantic_core import PydanticCustomError

from processor.providers.content import ascii_domain, is_address
from processor.providers.http.template import KNOWN, is_known, names, strays
from processor.settings.problems import shown
from processor.settings.references import Outside
from processor.stages.properties import compiled
from processor.stages.zones import zones

OWN_ERROR: Final = "comm"
TEXT_CHARS_MAX: Final = 1_000
DOMAIN_CHARS_MAX: Final = 253  # RFC 1035 §2.3.4, without the root's dot
HOST: Final = re.compile(r"(?:[A-Za-z0-9_](?:[A-Za-z0-9_-]{0,61}[A-Za-z0-9_])?(?:\.(?!$)|$))+")
"""RFC 1123 §2.1, and the underscore that names of containers have."""
UNITS_MS: Final = {"ms": 1, "s": 1_000, "m": 60_000, "h": 3_600_000, "d": 86_400_000}
UNITS_BYTES: Final = {"B": 1, "KiB": 1 << 10, "MiB": 1 << 20, "GiB": 1 << 30}


@dataclass(frozen=True, slots=True)
class Kind:
    """What the reference says of a value's type."""

    text: str
    example: str


def wrong(what: str, write: str, value: object = None) -> PydanticCustomError:
    """Return an error that says *what* is wrong (of *value*, which is shown if harmless) and what to *write*."""
    return PydanticCustomError(OWN_ERROR, "{what}", {"what": f"{shown(value)} {what}".strip(), "write": write})


def duration_ms(value: Any) -> int:
    """Return milliseconds of `250ms`, `30s`, `5m`, `2h`, `1d`."""
    match = re.fullmatch(r"([0-9]{1,9})(ms|s|m|h|d)", value) if isinstance(value, str) else None
    if not match:
        raise wrong("is not a duration", "a number with its unit, such as 30s (ms, s, m, h, d)", value)
    return int(match[1]) * UNITS_MS[match[2]]


def size_bytes(value: Any) -> int:
    """Return bytes of `64KiB`, `1MiB`."""
    match = re.fullmatch(r"([0-9]{1,9})(B|KiB|MiB|GiB)", value) if isinstance(value, str) else None
    if not match:
        raise wrong("is not a size", "a number with its unit, such as 1MiB (B, KiB, MiB, GiB)", value)
    return int(match[1]) * UNITS_BYTES[match[2]]


def time_of_day_ms(value: Any) -> int:
    """Return milliseconds after midnight of `HH:MM`."""
    match = re.fullmatch(r"([01][0-9]|2[0-3]):([0-5][0-9])", value) if isinstance(value, str) else None
    if not match:
        raise wrong("is not a time of day", f'"{_nearest_time(value)}" (HH:MM, UTC unless zone says otherwise)', value)
    return (int(match[1]) * 60 + int(match[2])) * UNITS_MS["m"]


def _nearest_time(value: Any) -> str:
    """Guess what was meant: `8:00` is 08:00, 24:00 is the next midnight."""
    match = re.fullmatch(r"([0-9]{1,2})[:.h]([0-5][0-9])(:[0-9]{2})?", value) if isinstance(value, str) else None
    return f"{int(match[1]) % 24:02}:{match[2]}" if match else "08:00"


def zone(value: Any) -> tzinfo:
    """Return the time zone of an IANA name."""
    found = zones(value) if isinstance(value, str) else None
    if found is None:
        raise wrong("is not a time zone", 'an IANA name such as "Europe/Bucharest"', value)
    return found


def secret(value: Any, info: ValidationInfo) -> Any:
    """Let pass only what came from outside the file; in production, no default either."""
    if not isinstance(value, Outside):
        raise wrong("is a secret written in the file", "{env: NAME} or {file: /run/secrets/NAME}")
    if value.default_of and value:
        raise wrong("has its default written in the file", 'default: "" (none, outside production), or no default')
    if value.default_of and (info.context or {}).get("production"):
        what = f"the environment variable {value.default_of} is not set, and production takes no default for a secret"
        raise wrong(what, f"a value into {value.default_of}")
    return none_if_empty(str(value))


def line(value: str) -> str:
    """Refuse control characters: a line break in an address or a header would start another one."""
    if len(value) > TEXT_CHARS_MAX or any(not character.isprintable() for character in value):
        raise wrong("holds a control character or is too long", f"at most {TEXT_CHARS_MAX} printable characters")
    return value


def url(value: str) -> str:
    """Refuse what is no http(s) URL, and credentials in it: they would be shown wherever the URL is."""
    if not re.fullmatch(r"https?://[^\s/]+\S*", value):
        raise wrong("is not an http(s) URL", "https://host[:port]/path")
    if "@" in value.split("/", 3)[2]:
        raise wrong("holds credentials", "the URL without them, and `username` and `password` beside it")
    return line(value)


def encrypted(value: str, info: ValidationInfo, *, plain: bool, write: str) -> str:
    """Refuse a *plain* connection in production (FAULTS S20)."""
    if plain and (info.context or {}).get("production"):
        raise wrong("is plain text, which production refuses", write)
    return value


def bootstrap(value: str) -> str:
    """Refuse what is not a list of host:port."""
    if not re.fullmatch(r"[A-Za-z0-9._\[\]:-]+:[0-9]{1,5}(,[A-Za-z0-9._\[\]:-]+:[0-9]{1,5})*", value):
        raise wrong("is not a list of brokers", "host:port[,host:port]")
    return value


def address(value: str) -> str:
    """Refuse what is not exactly one mail address."""
    if not is_address(value):
        raise wrong("is not a mail address", "one address, such as noreply@example.com")
    return value


def host(value: str) -> str:
    """Refuse what is neither an IP address nor a name that could be looked up."""
    try:
        ip_address(value)
    except ValueError:
        written = ascii_domain(value.removesuffix(".")) or ""
        if len(written) > DOMAIN_CHARS_MAX or not HOST.fullmatch(written):
            what = "its name, such as mail.example.com, or its address, without a port"
            raise wrong("is not a host", what, value) from None
    return value


def domain(value: str) -> str:
    """Refuse what cannot stand behind the @ of an address."""
    if not is_address(f"x@{value}"):
        raise wrong("is not a domain name", "letters, digits, - and dots, such as example.com")
    return value


def path_expression(value: str) -> str:
    """Refuse what is not JMESPath."""
    try:
        jmespath.compile(value)
    except JMESPathError:
        raise wrong("is not a JMESPath expression", "the way to a value in the answer, such as result.id") from None
    return value


def template(value: Any) -> Any:
    """Refuse a placeholder that nothing fills."""
    if any(not is_known(placeholder) and placeholder != "items" for placeholder in names(value)):
        raise wrong("holds a placeholder that is not known", f"one of {', '.join(KNOWN)} between {{{{ and }}}}")
    if next(strays(value), None) is not None:
        what = "holds {{ that begins no placeholder"
        raise wrong(what, "{{ NAME }}, or as the only key of a mapping {{ each NAME }}, fit, join, with or url")
    return value


def country(value: str) -> str:
    """Refuse what is not the code of a country."""
    if not re.fullmatch(r"[A-Z]{2}", value):
        raise wrong("is not a country", "its ISO 3166-1 code of two capital letters, such as RO")
    return value


def unsubscribe(value: str) -> str:
    """Refuse an address that no reader of mail could follow (RFC 2369 §3.2, RFC 8058 §3.1)."""
    if not re.fullmatch(r"(https://|mailto:)[!-;=?-~]+", value.replace("{{ message_id }}", "id")):
        raise wrong("is not an address to unsubscribe at", "https://… or mailto:…, with {{ message_id }} where wanted")
    return value


def properties_schema(value: Mapping[str, Any]) -> Mapping[str, Any]:
    """Refuse what is not a JSON Schema that stands on its own."""
    try:
        compiled(value)
    except ValueError:
        raise wrong("is not a JSON Schema", "one of its own, without $ref to another document") from None
    return value


def name(value: str) -> str:
    """Refuse a name that cannot be part of a topic's or a group's name."""
    if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9_-]{0,63}", value):
        raise wrong("is not a name", "letters, digits, _ and -, at most 64")
    return value


def none_if_empty(value: Any) -> Any:
    """Take an empty text as not set, so that `{env: NAME, default: ""}` makes a key optional."""
    return None if value == "" else value


Duration = Annotated[int, BeforeValidator(duration_ms), Kind("duration", "30s")]
Size = Annotated[int, BeforeValidator(size_bytes), Kind("size", "1MiB")]
TimeOfDay = Annotated[int, BeforeValidator(time_of_day_ms), Kind("time of day", '"08:00"')]
Zone = Annotated[tzinfo, PlainValidator(zone), Kind("IANA time zone", '"Europe/Bucharest"')]
Text = Annotated[str, AfterValidator(line), Kind("text", "text")]
Url = Annotated[str, AfterValidator(url), Kind("http(s) URL", "https://host/path")]
Bootstrap = Annotated[str, AfterValidator(bootstrap), Kind("list of host:port", "kafka-1:9093,kafka-2:9093")]
Address = Annotated[str, AfterValidator(address), Kind("mail address", "noreply@example.com")]
Host = Annotated[str, AfterValidator(host), Kind("host", "mail.example.com")]
Domain = Annotated[str, AfterValidator(domain), Kind("domain name", "example.com")]
JmesPath = Annotated[str, AfterValidator(path_expression), Kind("JMESPath", "result.id")]
Template = Annotated[Any, AfterValidator(template), Kind("structure with {{ placeholders }}", '{"to": "{{ to }}"}')]
Country = Annotated[str, AfterValidator(country), Kind("country", "RO")]
Unsubscribe = Annotated[
    str, AfterValidator(unsubscribe), Kind("https: or mailto: address", "https://example.com/u?m={{ message_id }}")
]
PropertiesSchema = Annotated[
    Mapping[str, Any], AfterValidator(properties_schema), Kind("JSON Schema", "{required: [customer]}")
]
Name = Annotated[str, AfterValidator(name), Kind("name", "GatewayEmail")]
Secret = Annotated[
    SecretStr | None, BeforeValidator(secret), Kind("secret: {env: NAME} or {file: PATH}", "{env: NAME}")
]
