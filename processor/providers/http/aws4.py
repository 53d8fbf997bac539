"""
Requests signed with AWS Signature Version 4, pure.

Source: AWS IAM User Guide, "Create a signed AWS API request". Written here because the vendor's signer comes with
17 MB of service descriptions and an older python-dateutil than ours; the tests hold known answers of the vendor's
published test suite.
"""

from __future__ import annotations

import hmac
from dataclasses import dataclass, field
from datetime import UTC, datetime
from hashlib import sha256
from typing import TYPE_CHECKING, Final
from urllib.parse import parse_qsl, quote, urlsplit

if TYPE_CHECKING:
    from collections.abc import Mapping

ALGORITHM: Final = "AWS4-HMAC-SHA256"
UNRESERVED: Final = "-_.~"


@dataclass(frozen=True, slots=True)
class Signer:
    """The credentials of one access key, and what they are used for."""

    key_id: str
    secret: str = field(repr=False)
    region: str
    service: str
    session_token: str | None = field(default=None, repr=False)

    def signed(self, headers: Mapping[str, str], *, method: str, url: str, body: bytes, now_ms: int) -> dict[str, str]:
        """
        Return *headers* with the date, the session token where there is one, and the signature over them all.

        *url* is absolute and percent-encoded; its path is encoded once more in what is signed, as every service but
        S3 wants it. Each header that is to be sent and changed by no proxy may be among *headers*; `host` is signed
        and not returned, since the client writes it.
        """
        instant = datetime.fromtimestamp(now_ms // 1000, UTC).strftime("%Y%m%dT%H%M%SZ")
        own = {"X-Amz-Date": instant} | ({"X-Amz-Security-Token": self.session_token} if self.session_token else {})
        parts = urlsplit(url)
        signed = {name.lower(): " ".join(value.split()) for name, value in {**headers, **own}.items()}
        signed["host"] = parts.netloc
        names = ";".join(sorted(signed))
        request = "\n".join(
            (
                method,
                quote(parts.path or "/", safe="/" + UNRESERVED),
                _query(parts.query),
                *(f"{name}:{signed[name]}" for name in sorted(signed)),
                "",
                names,
                sha256(body).hexdigest(),
            )
        )
        scope = f"{instant[:8]}/{self.region}/{self.service}/aws4_request"
        to_sign = "\n".join((ALGORITHM, instant, scope, sha256(request.encode()).hexdigest()))
        signature = hmac.digest(self._key(instant[:8]), to_sign.encode(), "sha256").hex()
        credential = f"Credential={self.key_id}/{scope}"
        authorization = f"{ALGORITHM} {credential}, SignedHeaders={names}, Signature={signature}"
        return {**headers, **own, "Authorization": authorization}

    def _key(self, date: str) -> bytes:
        key = f"AWS4{self.secret}".encode()
        for part in (date, self.region, self.service, "aws4_request"):
            key = hmac.digest(key, part.encode(), "sha256")
        return key


def _query(query: str) -> str:
    pairs = sorted(
        (quote(name, safe=UNRESERVED), quote(value, safe=UNRESERVED))
        for name, value in parse_qsl(query, keep_blank_values=True)
    )
    return "&".join(f"{name}={value}" for name, value in pairs)
