"""
A body of parts (RFC 7578), pure.

Written directly: names and file names are escaped as browsers do (WHATWG HTML, "Multipart form data"), so that
neither a quote nor a line end can begin another header.
"""

from __future__ import annotations

from hashlib import blake2b
from typing import TYPE_CHECKING

from processor.core.message import Attachment
from processor.providers.content import visible
from processor.providers.http.template import as_text, base_name

if TYPE_CHECKING:
    from collections.abc import Iterator

    from processor.providers.http.template import Json


def encoded(members: dict[str, Json]) -> tuple[bytes, str]:
    """Return the body and its content type: one part for each value, one for each of a list, files as files."""
    parts = [part for name, value in members.items() for part in _parts(name, value)]
    # No part can hold the hash of all, so that none can end itself; the same parts give the same bytes.
    boundary = blake2b(b"".join(parts), digest_size=16).hexdigest()
    frame = boundary.encode()
    body = b"".join(b"--%b\r\n%b\r\n" % (frame, part) for part in parts) + b"--%b--\r\n" % frame
    return body, f"multipart/form-data; boundary={boundary}"


def _parts(name: str, value: Json) -> Iterator[bytes]:
    for one in value if isinstance(value, list) else (value,):
        disposition = f'Content-Disposition: form-data; name="{_escaped(name)}"'
        if isinstance(one, Attachment):
            file_name = _escaped(visible(base_name(one.file_name)))
            head = f'{disposition}; filename="{file_name}"\r\nContent-Type: {one.content_type}'
            yield head.encode() + b"\r\n\r\n" + (one.content or b"")
        else:
            yield disposition.encode() + b"\r\n\r\n" + as_text(one).encode()


def _escaped(text: str) -> str:
    return text.replace('"', "%22").replace("\r", "%0D").replace("\n", "%0A")
