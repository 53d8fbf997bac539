"""Where attachments may come from, and what they may be."""

from __future__ import annotations

from dataclasses import dataclass

MIB = 1 << 20

USUAL_TYPES = (
    "application/pdf",
    "application/msword",
    "application/vnd.*",
    "application/zip",
    "image/*",
    "text/calendar",
    "text/csv",
    "text/plain",
)
"""Documents, pictures, tables and appointments; no scripts, programs or web pages."""


@dataclass(frozen=True, slots=True)
class AttachmentsConfig:
    """Built once, by settings. Without roots and hosts, every reference is refused."""

    file_roots: tuple[str, ...] = ()  # folders that `file:` may name files in
    hosts: tuple[str, ...] = ()  # that `https:` may name: host (port 443), or host:port
    loopback_hosts: tuple[str, ...] = ()  # host:port that may be on this machine: for tests and development
    bytes_max: int = 10 * MIB  # of one attachment, decoded
    total_bytes_max: int = 20 * MIB  # of all attachments of a message, decoded
    count_max: int = 50  # attachments of a message
    content_types: tuple[str, ...] = USUAL_TYPES  # `type/subtype`; a `*` at the end stands for anything
    timeout_ms: int = 10_000  # for all attachments of a message together
    connections: int = 20
    ca_file: str | None = None  # PEM file of further trusted authorities
