"""Calls that carry a shared secret: for providers that sign nothing."""

from __future__ import annotations

from base64 import b64encode
from typing import TYPE_CHECKING

from processor.providers.webhooks.body import NotReadable, object_of, pairs
from processor.providers.webhooks.call import Why, fits

if TYPE_CHECKING:
    from processor.providers.webhooks.call import Call, Signed, Verify
    from processor.providers.webhooks.config import Verification


def basic(config: Verification) -> Verify:
    """RFC 7617: user name and password."""
    tokens = [f"{config.username}:{secret}".encode() for secret in config.secrets]
    return _authorization("basic", [b64encode(token).decode() for token in tokens])


def bearer(config: Verification) -> Verify:
    """RFC 6750 §2.1: a token."""
    return _authorization("bearer", list(config.secrets))


def _authorization(scheme: str, wanted: list[str]) -> Verify:
    def verify(call: Call, _now_ms: int, _window_ms: int) -> Signed | Why:
        given, _, token = call.headers.get("authorization", "").partition(" ")
        return fits(token.strip(), wanted, "base64") if given.lower() == scheme else Why.ABSENT

    return verify


def header(config: Verification) -> Verify:
    """Compare a token in a header of the operator's choice."""

    def verify(call: Call, _now_ms: int, _window_ms: int) -> Signed | Why:
        given = call.headers.get(config.header)
        return Why.ABSENT if given is None else fits(given, config.secrets, "base64")

    return verify


def query(config: Verification) -> Verify:
    """Compare a token in the URL, for providers that sign nothing and send no header; logs of proxies may hold it."""

    def verify(call: Call, _now_ms: int, _window_ms: int) -> Signed | Why:
        found = pairs(call.query.encode("utf-8", "surrogatepass"))
        given = None if isinstance(found, NotReadable) else object_of(found).get(config.parameter)
        return Why.ABSENT if given is None else fits(given, config.secrets, "base64")

    return verify
