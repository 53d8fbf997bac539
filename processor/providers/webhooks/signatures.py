"""
Who calls a webhook: a closed set of schemes, each over the body as it arrived, compared in constant time.

Nothing here raises for what a client wrote, and nothing is ever fetched: a certificate whose address stands in
the call that it is to prove (as in Amazon SNS) proves nothing to us.
"""

from __future__ import annotations

import binascii
import hmac
import re
from base64 import b64decode, b64encode
from hashlib import sha256
from typing import TYPE_CHECKING, Final

from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.ec import ECDSA, EllipticCurvePublicKey
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import load_der_public_key

from processor.providers.http.template import PLACEHOLDER
from processor.providers.webhooks import credentials
from processor.providers.webhooks.body import NotReadable, form, json, object_of, pairs
from processor.providers.webhooks.call import SIGNED_CALL, Call, Signed, Verify, Why, fits, stale

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from processor.providers.webhooks.config import Verification

SIGNED: Final = re.compile(r"body|timestamp|headers\.[A-Za-z0-9-]+")
"""What the template of signed bytes may name."""

MAILGUN_SIGNATURES: Final = ("signature", "parent-signature")
"""Fields of the body; the second is the main account's, of an event of a subaccount."""


def verifier(verification: Verification) -> Verify:
    """Return what verifies calls; raises ValueError for a key or a template that could verify none."""
    return SCHEMES[verification.scheme](verification)


# ----------------------------------------------------------------------------------------------------------- signatures


def _hmac(config: Verification) -> Verify:
    """HMAC (RFC 2104) over what the template says; in a header, with a prefix perhaps."""
    material = _material(config)
    keys = [secret.encode() for secret in config.secrets]

    def verify(call: Call, now_ms: int, window_ms: int) -> Signed | Why:
        given = call.headers.get(config.header)
        if given is None:
            return Why.ABSENT
        signed = material(call, now_ms, window_ms)
        if isinstance(signed, Why):
            return signed
        digests = (hmac.digest(key, signed, config.algorithm) for key in keys)
        return fits(given, (config.prefix + ENCODINGS[config.encoding](digest) for digest in digests), config.encoding)

    return verify


def _ecdsa(config: Verification) -> Verify:
    """
    ECDSA with SHA-256; a signature in base64, keys in base64 of their SubjectPublicKeyInfo (RFC 5480).

    Source, for SendGrid: https://www.twilio.com/docs/sendgrid/for-developers/tracking-events/ and below it
    getting-started-event-webhook-security-features
    """
    material = _material(config)
    keys = [_public_key(secret) for secret in config.secrets]

    def verify(call: Call, now_ms: int, window_ms: int) -> Signed | Why:
        given = call.headers.get(config.header)
        if given is None:
            return Why.ABSENT
        signature, signed = _base64(given), material(call, now_ms, window_ms)
        if signature is None:
            return Why.MALFORMED
        if isinstance(signed, Why):
            return signed
        return SIGNED_CALL if any(_is_signed(key, signature, signed) for key in keys) else Why.WRONG

    return verify


def _mailgun(config: Verification) -> Verify:
    """
    HMAC-SHA256, in hexadecimal digits, over a time and a token that stand in the body.

    It does not cover the rest of the body, so a token counts for one body only.
    Source: https://documentation.mailgun.com/docs/mailgun/user-manual/webhooks/securing-webhooks
    """
    keys = [secret.encode() for secret in config.secrets]

    def verify(call: Call, now_ms: int, window_ms: int) -> Signed | Why:
        whole = json(call.body)
        part = whole.get("signature") if isinstance(whole, dict) else None
        if not isinstance(part, dict):
            return Why.ABSENT
        timestamp, token = str(part.get("timestamp")), part.get("token")
        given = [each for name in MAILGUN_SIGNATURES if isinstance(each := part.get(name), str)]
        if not isinstance(token, str) or not given:
            return Why.MALFORMED
        signed = (timestamp + token).encode()
        wanted = [hmac.digest(key, signed, "sha256").hex() for key in keys]
        if all(fits(each, wanted, "hex") is Why.WRONG for each in given):
            return Why.WRONG
        return stale(timestamp, "unix_s", now_ms, window_ms) or Signed(once=token)

    return verify


def _twilio(config: Verification) -> Verify:
    """
    HMAC-SHA1, in base64, over the URL and the sorted pairs of a form; of another body its SHA-256 is in the URL.

    Twilio may or may not write the port into the URL that it signs, so both are tried.
    Source: https://www.twilio.com/docs/usage/security#validating-requests
    """
    keys = [secret.encode() for secret in config.secrets]

    def verify(call: Call, _now_ms: int, _window_ms: int) -> Signed | Why:
        given = call.headers.get("x-twilio-signature")
        if given is None:
            return Why.ABSENT
        if call.headers.get("content-type", "").lower().startswith("application/x-www-form-urlencoded"):
            found = pairs(call.body)
            if isinstance(found, NotReadable):
                return Why.MALFORMED
            tail = "".join(name + value for name, value in sorted(set(found)))
        else:
            query = pairs(call.query.encode("utf-8", "surrogatepass"))
            claimed = None if isinstance(query, NotReadable) else object_of(query).get("bodySHA256")
            if claimed is None or not hmac.compare_digest(claimed.encode(), sha256(call.body).hexdigest().encode()):
                return Why.WRONG
            tail = ""
        texts = [(url + tail).encode("utf-8", "surrogatepass") for url in _with_and_without_port(call.url)]
        wanted = (b64encode(hmac.digest(key, text, "sha1")).decode() for key in keys for text in texts)
        return fits(given, wanted, "base64")

    return verify


def _vonage(config: Verification) -> Verify:
    """
    HMAC in hexadecimal digits over the sorted parameters of a form or a flat object; itself is the parameter `sig`.

    Source: https://developer.vonage.com/en/getting-started/concepts/signing-messages
    """
    keys = [secret.encode() for secret in config.secrets]

    def verify(call: Call, now_ms: int, window_ms: int) -> Signed | Why:
        is_form = call.headers.get("content-type", "").lower().startswith("application/x-www-form-urlencoded")
        found = form(call.body) if is_form else json(call.body)
        if not isinstance(found, dict) or not isinstance(given := found.get("sig"), str):
            return Why.ABSENT
        if any(not isinstance(value, str | int) for value in found.values()):
            return Why.MALFORMED
        written = {name: str(value).replace("&", "_").replace("=", "_") for name, value in found.items()}
        signed = "".join(f"&{name}={written[name]}" for name in sorted(written) if name != "sig").encode()
        verdict = fits(given, (hmac.digest(key, signed, config.algorithm).hex() for key in keys), "hex")
        if isinstance(verdict, Why):
            return verdict
        return stale(str(found.get("timestamp", "")), "unix_s", now_ms, window_ms) or verdict

    return verify


SCHEMES: Final[Mapping[str, Callable[[Verification], Verify]]] = {
    "hmac": _hmac,
    "ecdsa": _ecdsa,
    "mailgun": _mailgun,
    "twilio": _twilio,
    "vonage": _vonage,
    "basic": credentials.basic,
    "bearer": credentials.bearer,
    "header": credentials.header,
    "query": credentials.query,
}
"""How a call may show where it comes from. There is no `none`."""


# ------------------------------------------------------------------------------------------------------------ the parts

ENCODINGS: Final[Mapping[str, Callable[[bytes], str]]] = {
    "hex": bytes.hex,
    "base64": lambda digest: b64encode(digest).decode(),
}


def _material(config: Verification) -> Callable[[Call, int, int], bytes | Why]:
    """Return what gives the signed bytes of a call, its time checked."""
    pieces = PLACEHOLDER.split(config.signed)  # literal, name, literal, name, …, literal
    if strange := [name for name in pieces[1::2] if not SIGNED.fullmatch(name)]:
        raise ValueError(f"signed: {strange[0]} is not known; body, timestamp and headers.NAME are")

    def material(call: Call, now_ms: int, window_ms: int) -> bytes | Why:
        timestamp = call.headers.get(config.timestamp_header, "")
        if config.timestamp_header and (why := stale(timestamp, config.timestamp_in, now_ms, window_ms)):
            return why
        octets = [_piece(call, piece, timestamp) if at % 2 else piece.encode() for at, piece in enumerate(pieces)]
        return b"".join(octets)

    return material


def _piece(call: Call, name: str, timestamp: str) -> bytes:
    if name == "body":
        return call.body
    text = timestamp if name == "timestamp" else call.headers.get(name.partition(".")[2].lower(), "")
    return text.encode("utf-8", "surrogatepass")


def _base64(text: str) -> bytes | None:
    """Return the octets of a text that is their only spelling in base64 (RFC 4648 §3.5 lets others through)."""
    try:
        octets = b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        return None
    return octets if b64encode(octets).decode() == text else None


def _public_key(text: str) -> EllipticCurvePublicKey:
    octets = _base64("".join(text.split()))
    try:
        key = load_der_public_key(octets or b"")
    except (ValueError, UnsupportedAlgorithm):
        key = None
    if isinstance(key, EllipticCurvePublicKey):
        return key
    raise ValueError("secret: is no public key of an elliptic curve, in base64 without its BEGIN and END")


def _is_signed(key: EllipticCurvePublicKey, signature: bytes, signed: bytes) -> bool:
    try:
        key.verify(signature, signed, ECDSA(SHA256()))
    except InvalidSignature:
        return False
    return True


def _with_and_without_port(url: str) -> tuple[str, ...]:
    scheme, _, rest = url.partition("://")
    host, slash, path = rest.partition("/")
    name, colon, port = host.rpartition(":")
    bare, standard = (name, port) if colon and port.isdecimal() else (host, STANDARD_PORTS.get(scheme, ""))
    return tuple(f"{scheme}://{each}{slash}{path}" for each in (host, bare, f"{bare}:{standard}"))


STANDARD_PORTS: Final[Mapping[str, str]] = {"https": "443", "http": "80"}
