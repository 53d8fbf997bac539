"""The section `attachments`."""

import re
from typing import Annotated, Self

from pydantic import AfterValidator, Field, ValidationInfo, model_validator

from processor.providers.attachments.config import USUAL_TYPES, AttachmentsConfig
from processor.settings.kinds import Duration, Kind, Size, Text, wrong
from processor.settings.models import Optional, PemFile
from processor.settings.section import Section


def root(value: str) -> str:
    """Refuse what is no folder of its own."""
    if not value.startswith("/") or value == "/":
        raise wrong("is not a folder", "its absolute path, such as /srv/attachments, and not the whole disk")
    return value


def host(value: str) -> str:
    """Refuse what is not the name of one server."""
    if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9.-]*(:[0-9]{1,5})?", value):
        raise wrong("is not a server", "its name, such as files.example.com, with :port if that is not 443")
    return value


def placed_host(value: str) -> str:
    """Refuse a server without its port."""
    if ":" not in host(value):
        raise wrong("has no port", "host:port, such as 127.0.0.1:8443")
    return value


def type_pattern(value: str) -> str:
    """Refuse what is neither a content type nor the beginning of one."""
    if not re.fullmatch(r"[a-z0-9!#$&^_.+-]+/([a-z0-9!#$&^_.+-]*\*|[a-z0-9!#$&^_.+-]+)|\*", value):
        raise wrong("is not a content type", "type/subtype in small letters, or its beginning and *, such as image/*")
    return value


Root = Annotated[Text, AfterValidator(root), Kind("folder", "/srv/attachments")]
Host = Annotated[Text, AfterValidator(host), Kind("host, or host:port", "files.example.com")]
PlacedHost = Annotated[Text, AfterValidator(placed_host), Kind("host:port", "127.0.0.1:8443")]
TypePattern = Annotated[Text, AfterValidator(type_pattern), Kind("content types", "image/*")]


class AttachmentsSettings(Section):
    """Where attachments may come from and what they may be; without roots and hosts, every reference is refused."""

    file_roots: tuple[Root, ...] = Field((), description="Folders that file: references may name files in.")
    hosts: tuple[Host, ...] = Field((), description="Servers that https: references may name; public addresses only.")
    loopback_hosts: tuple[PlacedHost, ...] = Field(
        (), description="Servers on this machine that they may name: for development, refused in production."
    )
    content_types: tuple[TypePattern, ...] = Field(USUAL_TYPES, description="What an attachment may be.")
    bytes_max: Size = Field(10 << 20, ge=1, le=100 << 20, description="Of one attachment, decoded.")
    total_bytes_max: Size = Field(20 << 20, ge=1, le=200 << 20, description="Of all attachments of a message, decoded.")
    count_max: int = Field(50, ge=1, le=1_000, description="Attachments of a message.")
    timeout_ms: Duration = Field(
        10_000,
        alias="timeout",
        ge=100,
        description="To fetch all attachments of a message, before the provider's call.",
    )
    ca_file: Annotated[PemFile | None, Optional] = Field(None, description="Further authorities that are trusted.")

    @model_validator(mode="after")
    def _public(self, info: ValidationInfo) -> Self:
        if self.loopback_hosts and (info.context or {}).get("production"):
            raise wrong("lets messages reach this machine, which production refuses", "hosts, without loopback_hosts")
        return self

    @property
    def are_fetched(self) -> bool:
        """Tell whether any reference is allowed."""
        return bool(self.file_roots or self.hosts or self.loopback_hosts)

    def config(self) -> AttachmentsConfig:
        """Return what the fetching is built with."""
        return AttachmentsConfig(**{key: getattr(self, key) for key in type(self).model_fields})
