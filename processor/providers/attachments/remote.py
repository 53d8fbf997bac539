"""
Attachments from listed HTTPS servers. A message names the address: it must not reach into our own network.

Names are resolved here, every address is judged, and the connection goes to the judged address: a name that
answers differently the second time (DNS rebinding) gains nothing. Redirects are not followed.
"""

from __future__ import annotations

import socket
from ipaddress import IPv4Address, IPv6Address, IPv6Network, ip_address
from typing import TYPE_CHECKING, Final

import aiohttp
from aiohttp.abc import AbstractResolver, ResolveResult
from aiohttp.resolver import ThreadedResolver
from yarl import URL

from processor.providers.attachments.judge import MISSING, REFUSED
from processor.providers.names import Lookups
from processor.providers.trust import trusting

if TYPE_CHECKING:
    from processor.providers.attachments.config import AttachmentsConfig
    from processor.providers.attachments.judge import Refusal

OK: Final = 200
HTTPS_PORT: Final = 443

EMBEDDING: Final = (  # IPv6 ranges whose addresses stand for IPv4 ones, perhaps private
    IPv6Network("::/96"),  # RFC 4291 §2.5.5.1
    IPv6Network("::ffff:0:0/96"),  # RFC 4291 §2.5.5.2
    IPv6Network("64:ff9b::/96"),  # RFC 6052
    IPv6Network("64:ff9b:1::/48"),  # RFC 8215
    IPv6Network("2001::/32"),  # Teredo, RFC 4380
    IPv6Network("2002::/16"),  # 6to4, RFC 3056
)


class Forbidden(OSError):
    """A name stands for an address that messages may not reach."""


class Remote:
    """Kept connections to the listed servers. Opened by the first fetch, because a session belongs to a loop."""

    def __init__(self, config: AttachmentsConfig) -> None:
        self._config = config
        self._hosts = frozenset(map(str.lower, (*config.hosts, *config.loopback_hosts)))
        self._loopback = frozenset(map(str.lower, config.loopback_hosts))
        self._session: aiohttp.ClientSession | None = None

    async def fetch(self, url: str, *, bytes_max: int) -> bytes | Refusal:
        """Return what *url* names, at most *bytes_max* long; the caller bounds the time."""
        address = self._allowed(url)
        if address is None:
            return REFUSED
        try:
            async with self._opened().get(address, allow_redirects=False) as response:
                return await _content(response, bytes_max)
        except (aiohttp.ClientError, OSError) as broken:
            return REFUSED if _is_forbidden(broken) else MISSING

    async def close(self) -> None:
        """Drop the connections."""
        if self._session is not None:
            await self._session.close()

    def _allowed(self, url: str) -> URL | None:
        """Return *url* as the client will understand it (nobody else takes it apart), None if it is not allowed."""
        try:
            address = URL(url)
            host, port = (address.host or "").lower(), address.port
        except ValueError:
            return None
        if address.scheme != "https" or address.user is not None or address.password is not None:
            return None
        place = f"{host}:{port}"
        if place not in self._hosts and not (port == HTTPS_PORT and host in self._hosts):
            return None
        try:
            literal = ip_address(host)
        except ValueError:
            return address  # a name: judged when it is resolved
        return address if is_reachable(literal, loopback=place in self._loopback) else None

    def _opened(self) -> aiohttp.ClientSession:
        if self._session is None:
            self._session = aiohttp.ClientSession(
                connector=aiohttp.TCPConnector(
                    limit=self._config.connections,
                    resolver=JudgingResolver(self._loopback),
                    ssl=trusting(self._config.ca_file),
                ),
                cookie_jar=aiohttp.DummyCookieJar(),
                auto_decompress=False,
                headers={"Accept-Encoding": "identity", "User-Agent": "commproc"},
            )
        return self._session


class JudgingResolver(AbstractResolver):
    """Resolves names to addresses that messages may reach; one that may not be reached spoils its name."""

    def __init__(self, loopback: frozenset[str]) -> None:
        self._inner = ThreadedResolver()
        self._lookups = Lookups()
        self._loopback = loopback

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_INET
    ) -> list[ResolveResult]:
        """Return the addresses of *host*. Raises `Forbidden`."""
        found = await self._lookups.found(lambda: self._inner.resolve(host, port, family))
        loopback = f"{host.lower()}:{port}" in self._loopback
        for one in found:
            if not is_reachable(ip_address(one["host"].partition("%")[0]), loopback=loopback):
                raise Forbidden("not a public address")
        return found

    async def close(self) -> None:
        """Wait for no answer."""
        self._lookups.close()


def is_reachable(address: IPv4Address | IPv6Address, *, loopback: bool) -> bool:
    """Tell whether messages may name *address*: it is public, or *loopback* is allowed and it is one."""
    if address.is_loopback:
        return loopback
    if isinstance(address, IPv6Address) and any(address in network for network in EMBEDDING):
        return False
    return address.is_global and not address.is_multicast and not address.is_reserved


async def _content(response: aiohttp.ClientResponse, bytes_max: int) -> bytes | Refusal:
    if 300 <= response.status < 400:  # noqa: PLR2004 - RFC 9110 §15.4: redirects
        return REFUSED
    if response.status != OK:
        return MISSING
    if response.headers.get("Content-Encoding", "identity") != "identity":
        return REFUSED  # asked for as it is: packed, its size would say nothing
    content = bytearray()
    while chunk := await response.content.read(bytes_max + 1 - len(content)):
        content += chunk
        if len(content) > bytes_max:
            response.close()
            return REFUSED
    return bytes(content)


def _is_forbidden(broken: BaseException) -> bool:
    return isinstance(getattr(broken, "os_error", broken), Forbidden)
